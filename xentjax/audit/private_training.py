"""Private training: DP-SGD, of which no attack can learn more about a row than ε allows.

Each row's gradient is clipped, noise is added to their sum, and every step takes each row with the
same probability, independently of all others.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xentjax import optim
from xentjax.audit.cohort import count_classes
from xentjax.audit.given import Given, labels_of, rows_of
from xentjax.audit.privacy_budget import noise_needed, privacy_spent
from xentjax.audit.private_gradient import kept_rows, poisson_batch, private_aggregate
from xentjax.train.objectives import Objective, cross_entropy
from xentjax.train.state import TrainState


@dataclasses.dataclass(frozen=True)
class PrivateTraining:
    """A privately trained model and its promise.

    Attributes:
        state: the training state. Publish its parameters only: whoever knows the key of the noise
            can take the noise away.
        epsilon: what was spent.
        delta: the probability that the promise of ε leaves open.
        noise_multiplier: standard deviation of the noise over the clipping norm.
        clip_norm: the largest norm of what one row adds to a gradient.
        rows: N.
        batch_size: the expected number of rows of a step; each row is drawn with batch_size / N.
        largest_batch: what a larger draw was cut to; ε accounts for it.
        steps: optimizer steps.
        cut_steps: how many of them were cut.
    """

    state: TrainState
    epsilon: float
    delta: float
    noise_multiplier: float
    clip_norm: float
    rows: int
    batch_size: int
    largest_batch: int
    steps: int
    cut_steps: int

    def logits(self, features: Given) -> np.ndarray:
        """What the model says of rows, in evaluation mode: float32 [rows, C]."""
        return np.asarray(self.state.to_model()(jnp.asarray(features)), np.float32)


def train_private(
    make_model: Callable[[Any], Any],
    features: Given,
    labels: Given,
    *,
    epsilon: float | None = None,
    noise_multiplier: float | None = None,
    delta: float,
    clip_norm: float = 1.0,
    batch_size: int = 64,
    largest_batch: int | None = None,
    steps: int,
    learning_rate: float = 3e-3,
    optimizer: Callable[[Any], optax.GradientTransformation] | None = None,
    objective: Objective | None = None,
    seed: int = 0,
) -> PrivateTraining:
    r"""Trains by DP-SGD: clipped gradients of single rows, Gaussian noise, Poisson sampling.

        ĝ = (Σ_{i drawn} gᵢ · min(1, C/‖gᵢ‖) + N(0, σ²C² I)) / B,   row i drawn with q = B/N

    Prefer it where rows are private and some accuracy may be paid for a promise that holds against
    every attack; a larger batch and more rows make it cheaper. Not for fewer than some hundred
    rows: what one row may not change, few rows cannot teach. Models speak in evaluation mode, so
    that a row's gradient is its own: there is no dropout, and batch statistics stay as they began.

    The noise comes from JAX's generator, in float32: the promise is one against those who do not
    know the seed and do not look into the roundings of single noises. It is one of this training:
    to choose the best of several by these rows spends more than any of them says.

    Args:
        make_model: typed JAX key → a new model, as for `train_cohort`. It must not have seen the
            rows.
        features: [N, …]. Scale them by constants or by public figures: means of the rows are
            not accounted for.
        labels: int [N].
        epsilon: what may be spent; the noise follows. Give this or noise_multiplier.
        noise_multiplier: σ; ε follows.
        delta: δ, below 1 / N.
        clip_norm: C; about the median norm of a row's gradient is a good one.
        batch_size: B, the expected number of rows a step.
        largest_batch: the rows of a step are padded to so many, and a larger draw is cut at random
            to them, which ε accounts for; B + 6 √B by default, reached about never. Memory holds
            one gradient for each.
        steps: optimizer steps.
        learning_rate: the peak of the warm-up and cosine schedule.
        optimizer: schedule → optimizer of the noisy gradient; AdamW without decay by default.
        objective: of (model, {"features", "labels"}, key), called for one row at a time; the
            cross-entropy by default.
        seed: of parameters, draws and noise. Keep it secret where the promise is meant.

    Returns:
        A `PrivateTraining`.

    Raises:
        ImportError: if jax-privacy is missing.
        TypeError: if labels are not integers.
        ValueError: if not exactly one of epsilon and noise_multiplier is given, shapes do not fit
            or do not belong to a class, a feature is not finite, or a number is out of range.

    Example:
        >>> from flax import nnx
        >>> x = np.random.default_rng(0).normal(size=(100, 2)).astype(np.float32)
        >>> private = train_private(
        ...     lambda key: nnx.Linear(2, 2, rngs=nnx.Rngs(key)), x, (x[:, 0] > 0).astype(int),
        ...     noise_multiplier=4.0, delta=1e-5, batch_size=100, steps=16, learning_rate=0.1,
        ... )
        >>> print(f"{private.epsilon:.2f}")  # all rows in 16 steps: μ = √16 / 4 = 1
        4.38
        >>> bool((private.logits(x).argmax(1) == (x[:, 0] > 0)).mean() > 0.8)
        True

    Reference:
        M. Abadi et al., Deep Learning with Differential Privacy, 2016.
    """
    if not 0 < clip_norm < math.inf:
        raise ValueError(f"clip_norm must be positive and finite, got {clip_norm}")
    # Rows that are not finite have no finite gradient, and would be left out unseen.
    features = rows_of(features, "features")
    rows = len(features)
    classes = count_classes(make_model, features[:1])
    labels = labels_of(labels, rows=rows, classes=classes)
    if largest_batch is None:
        largest_batch = min(rows, math.ceil(batch_size + 6 * math.sqrt(max(batch_size, 0))))
    budget = {
        "rows": rows,
        "batch_size": batch_size,
        "steps": steps,
        "delta": delta,
        "largest_batch": largest_batch,
    }
    noise = _noise(epsilon, noise_multiplier, budget)
    spent = privacy_spent(noise, **budget)
    rate = optim.schedule("warmup_cosine", learning_rate, steps=steps)
    rule = (
        optim.optimizer("adamw", rate, weight_decay=0.0) if optimizer is None else optimizer(rate)
    )
    train = partial(
        _train,
        make_model,
        cross_entropy(inputs="features") if objective is None else objective,
        partial(private_aggregate, clip_norm, noise, batch_size),
        rule,
        probability=batch_size / rows,
        largest_batch=min(largest_batch, rows),
        steps=steps,
    )
    state, cut_steps = jax.jit(train)(
        jnp.asarray(features), jnp.asarray(labels, jnp.int32), jax.random.key(seed)
    )
    return PrivateTraining(
        state,
        spent,
        noise_multiplier=noise,
        clip_norm=clip_norm,
        cut_steps=int(cut_steps),
        **budget,
    )


def _train(
    make_model, objective, aggregate, rule, features, labels, key, *, probability, largest_batch,
    steps,
):  # fmt: skip
    start, draws, noise, rest = jax.random.split(key, 4)
    optimizer = optax.chain(aggregate(largest_batch, noise), rule)
    state = TrainState.create(make_model(start), optimizer, key=rest)

    def loss(params, row, label, key):
        model = state.architecture.merge(params, state.rest, training=False, key=key)
        batch = {"features": row[jnp.newaxis], "labels": label[jnp.newaxis]}
        return objective(model, batch, key)[0]

    def advance(state, step):
        numbers, drawn, count = poisson_batch(
            jax.random.fold_in(draws, step), len(features), probability, largest_batch
        )
        key = jax.random.fold_in(state.key, step)
        gradients = jax.vmap(jax.grad(loss), (None, 0, 0, None))(
            state.params, features[numbers], labels[numbers], key
        )
        updates, opt_state = optimizer.update(
            kept_rows(gradients, drawn), state.opt_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        state = dataclasses.replace(state, step=state.step + 1, params=params, opt_state=opt_state)
        return state, count > largest_batch

    state, cut = jax.lax.scan(advance, state, jnp.arange(steps))
    return state, cut.sum()


def _noise(epsilon: float | None, noise_multiplier: float | None, budget: Any) -> float:
    if epsilon is not None and noise_multiplier is None:
        return noise_needed(epsilon, **budget)
    if epsilon is None and noise_multiplier is not None:
        return noise_multiplier
    raise ValueError(
        "give exactly one of epsilon and noise_multiplier, got "
        f"{epsilon} and {noise_multiplier}; the other follows from it"
    )
