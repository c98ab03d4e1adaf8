"""Cohorts: many trainings of one model on parts of the same rows, in one compiled program.

Learning curves, cross-validation, shadow models and label-noise curves differ only in which rows,
and which labels, each training sees. So a cohort takes a mask [models, N], and labels [models, N]
where they differ.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from xentjax import optim
from xentjax.audit.given import Given, array_of, flags_of, integers_of, rows_of
from xentjax.train.objectives import Objective, cross_entropy
from xentjax.train.state import TrainState
from xentjax.train.step import make_update


@dataclasses.dataclass(frozen=True)
class Cohort:
    """Trained models, stacked.

    Attributes:
        states: their training states, models on the leading axis of every array.
        members: bool [models, N], the rows each was trained on.
    """

    states: TrainState
    members: np.ndarray

    def logits(self, features: Given) -> np.ndarray:
        """What every model says of every row, in evaluation mode: float32 [models, rows, C].

        Args:
            features: [rows, …], as a model takes them in a batch.
        """
        return np.asarray(_logits(self.states, jnp.asarray(rows_of(features, "features"))))

    def state(self, number: int) -> TrainState:
        """The training state of one model."""
        return jax.tree.map(lambda leaf: leaf[number], self.states)


def train_cohort(
    make_model: Callable[[Any], Any],
    features: Given,
    labels: Given,
    *,
    members: Given,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    optimizer: Callable[[Any], optax.GradientTransformation] | None = None,
    objective: Objective | None = None,
    seed: int = 0,
    same_start: bool = False,
    together: int = 8,
) -> Cohort:
    """Trains one model for each row of a mask, on the rows that the mask admits.

    Each draws its batches with replacement from its members, in an order of its own, under a
    warm-up and cosine schedule; a model of few members makes as many steps as one of many.

    Args:
        make_model: typed JAX key → a new model (an nnx module, or what `from_apply` or
            `from_linen` returns); traced once.
        features: the rows.
        labels: of the rows, [N], or of the rows for each model, [models, N].
        members: [models, N], True where a model is trained on a row; every model has at least one.
        steps: optimizer steps of each.
        batch_size: rows a step.
        learning_rate: the peak of the schedule.
        optimizer: schedule → optimizer; AdamW without decay by default.
        objective: of (model, {"features", "labels"}, key); the cross-entropy by default.
        seed: of parameters, orders and dropout.
        same_start: give all models the same initial parameters.
        together: how many are trained side by side; memory grows with it, figures do not change
            beyond roundings.

    Returns:
        A `Cohort`, in the order of the mask.

    Raises:
        TypeError: labels are not integers, or members not boolean.
        ValueError: if shapes do not fit, a feature is not finite, a label belongs to no class, a
            model has no members, or steps or sizes are below 1.

    Example:
        >>> from flax import nnx
        >>> x = np.array([[-1.0], [1.0]], np.float32)
        >>> cohort = train_cohort(
        ...     lambda key: nnx.Linear(1, 2, rngs=nnx.Rngs(key)), x, np.array([0, 1]),
        ...     members=np.ones((3, 2), bool), steps=200, learning_rate=0.1,
        ... )
        >>> cohort.logits(x).argmax(-1).tolist()  # three models, right on both rows
        [[0, 1], [0, 1], [0, 1]]
    """
    _check_numbers(steps=steps, batch_size=batch_size, together=together)
    features = rows_of(features, "features")
    members = _read_members(members, len(features))
    # Of another objective the labels may be anything whole.
    classes = count_classes(make_model, features[:1]) if objective is None else None
    labels = _read_labels(labels, members.shape, classes)
    rate = optim.schedule("warmup_cosine", learning_rate, steps=steps)
    rule = (
        optim.optimizer("adamw", rate, weight_decay=0.0) if optimizer is None else optimizer(rate)
    )
    objective = cross_entropy(inputs="features") if objective is None else objective
    keys = jax.random.split(jax.random.key(seed), len(members))
    starts = jnp.broadcast_to(keys[:1], keys.shape) if same_start else keys
    train = partial(
        _train, make_model, objective, rule, steps=steps, batch_size=batch_size, together=together
    )
    order, counts = _members_first(members)
    states = jax.jit(train)(
        jnp.asarray(features), (jnp.asarray(labels), order, counts, keys, starts)
    )
    return Cohort(states, members)


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")


def _read_members(members: Given, rows: int) -> np.ndarray:
    found = flags_of(members, "members", "models N")
    if found.shape[1] != rows:
        raise ValueError(
            f"members must be [models, {rows}], one column a row of features, got shape "
            f"{found.shape}"
        )
    empty = np.flatnonzero(~found.any(axis=1))
    if empty.size:
        raise ValueError(f"members: model {empty[0]} has no row to be trained on")
    return found


def _read_labels(labels: Given, shape: tuple[int, ...], classes: int | None) -> np.ndarray:
    """Labels of every model, int32 [models, N]; those of no class would make all of it NaN."""
    if np.ndim(array_of(labels, "labels")) == 1:
        found = integers_of(labels, "labels", "N", shape[1:], below=classes)
    else:
        found = integers_of(labels, "labels", "models N", shape, below=classes)
    return np.broadcast_to(found.astype(np.int32), shape)


def count_classes(make_model: Callable[[Any], Any], row: np.ndarray) -> int:
    """C, from the shape of what a new model says of one row [1, …]; nothing is computed."""

    def speak(row):
        key = jax.random.key(0)
        state = TrainState.create(make_model(key), optax.identity(), key=key)
        return state.to_model()(row)

    return jax.eval_shape(speak, jnp.asarray(row)).shape[-1]


def _members_first(members: np.ndarray) -> tuple[Array, Array]:
    """Of each model the rows, members first, and how many members there are."""
    order = np.argsort(~members, axis=1, kind="stable").astype(np.int32)
    return jnp.asarray(order), jnp.asarray(members.sum(axis=1), jnp.int32)


def _train(make_model, objective, rule, features, each, *, steps, batch_size, together):
    update = make_update(objective, rule)

    def train_one(one):
        labels, order, count, key, start = one
        state = TrainState.create(make_model(start), rule, key=jax.random.fold_in(key, 0))

        def advance(state, step):
            drawn = jax.random.randint(jax.random.fold_in(key, step + 1), (batch_size,), 0, count)
            rows = order[drawn]
            batch = {"features": features[rows], "labels": labels[rows]}
            return update(state, batch)[0], None

        return jax.lax.scan(advance, state, jnp.arange(steps))[0]

    return jax.lax.map(train_one, each, batch_size=min(together, len(each[0])))


@jax.jit
def _logits(states: TrainState, features: Array) -> Float[Array, "models rows classes"]:
    return jax.lax.map(lambda state: state.to_model()(features).astype(jnp.float32), states)
