"""The learning-rate range test: a short training whose rate rises until it diverges.

Use it before the first training of a new model: it costs a hundred steps and bounds the rates worth
trying. A sweep says more, and costs more.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xentjax import optim
from xentjax.search.rate_curve import RateCurve, make_rate_curve
from xentjax.train.architecture import SplitModel
from xentjax.train.calls import call_lengths, stacked_calls
from xentjax.train.feeding import Data, make_feed
from xentjax.train.objectives import Objective, cross_entropy
from xentjax.train.state import TrainState
from xentjax.train.step import make_step

# Divides the total of a batch that weighs nothing, which is 0.
_TINY = np.finfo(np.float32).tiny


def lr_find(
    model: Any,
    data: Data,
    objective: Objective | None = None,
    *,
    optimizer: Any = "adamw",
    low: float = 1e-7,
    high: float = 10.0,
    steps: int = 100,
    smoothing: float = 0.9,
    divergence: float = 4.0,
    batch_size: int = 64,
    seed: int = 0,
    steps_per_call: int = 10,
) -> RateCurve:
    """Train a copy of a model with a rising learning rate, and see where the loss falls and breaks.

    η_t = low · (high / low)^{t / (steps − 1)}. The test ends early once the smoothed loss exceeds
    `divergence` times its lowest value, or is not finite.

    Args:
        model: a flax.nnx module, what `from_linen` or `from_apply` returned, or a `TrainState`, of
            which the parameters are taken. It is not changed.
        data: in any form that `fit` takes: arrays, a pair, windows, batches.
        objective: by default `cross_entropy()`.
        optimizer: the name of a recipe, or a function from a learning rate (a schedule: step →
            value) to an optimizer. The best rate depends on it: take that of the training to come.
        low: the first rate.
        high: the last one.
        steps: how many, at least 5.
        smoothing: β of the exponential average of the losses, in [0, 1).
        divergence: factor above 1.
        batch_size: for `data` given as arrays.
        seed: of the batches, and of what is random in the steps.
        steps_per_call: steps run by one compiled call; the test can only end after one.

    Returns:
        The curve, with `steepest`, `valley` and `minimum_tenth`.

    Raises:
        ValueError: if a number is outside its range, or the batches end early.
        TypeError: if the model is of another kind, or `optimizer` neither a name nor a function.

    Example:
        >>> import jax.numpy as jnp
        >>> from xentjax.train import from_apply
        >>> def loss(model, batch, key):  # w² / 2: a step of η multiplies w by 1 − η
        ...     return model() ** 2 / 2, jnp.float32(1.0), {}
        >>> model = from_apply(lambda w: w, jnp.float32(1.0))
        >>> curve = lr_find(model, [{"x": np.ones(1)}] * 60, loss, optimizer="sgd", low=1e-3,
        ...                 high=100.0, steps=60, smoothing=0.0)
        >>> bool(2 < curve.rates[curve.stopped_at] < 6)  # η > 2 diverges
        True

    Reference:
        L. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
    """
    _check(low, high, steps, smoothing, divergence, steps_per_call)
    schedule = _rising(low, high, steps)
    rule = _make_optimizer(optimizer, schedule)
    state = TrainState.create(_parts(model), rule, key=jax.random.key(seed))
    step = make_step(objective or cross_entropy(), rule, learning_rate=schedule)
    source = make_feed(data, batch_size=batch_size, seed=seed).batches
    rates, losses = np.empty(0), np.empty(0)
    curve = make_rate_curve(rates, losses, smoothing=smoothing, divergence=divergence)
    for stacked, _ in stacked_calls(source, call_lengths(0, steps, steps_per_call), 0, None):
        state, metrics = step(state, stacked)
        rates = np.append(rates, np.asarray(metrics["learning_rate"], np.float64))
        losses = np.append(losses, _mean_losses(metrics))
        curve = make_rate_curve(rates, losses, smoothing=smoothing, divergence=divergence)
        if curve.stopped_at is not None:
            break
    return curve


def _mean_losses(metrics: Mapping[str, Any]) -> np.ndarray:
    total, weight = (np.asarray(metrics[k], np.float64) for k in ("loss_total", "loss_weight"))
    # A step was skipped where the gradient was not finite, even if its loss still looks sound.
    return np.where(np.asarray(metrics["skipped"]) > 0, np.nan, total / np.maximum(weight, _TINY))


def _rising(low: float, high: float, steps: int) -> Callable[[Any], Any]:
    factor = np.log(high / low) / (steps - 1)
    return lambda step: low * jnp.exp(jnp.asarray(step, jnp.float32) * factor)


def _make_optimizer(optimizer: Any, schedule: Callable[[Any], Any]) -> optax.GradientTransformation:
    if isinstance(optimizer, str):
        return optim.optimizer(optimizer, schedule)
    if isinstance(optimizer, optax.GradientTransformation) or not callable(optimizer):
        raise TypeError(
            "optimizer must be a name or a function from a learning rate to an optimizer, so that "
            f"the rate can rise, got {type(optimizer).__name__}; give lambda rate: optim.adamw("
            "rate)"
        )
    made: Any = optimizer(schedule)
    return made


def _parts(model: Any) -> Any:
    """The model, or what a state holds of it; the finder's optimizer begins anew."""
    if isinstance(model, TrainState):
        return SplitModel(model.architecture, model.params, model.rest)
    return model


def _check(
    low: float, high: float, steps: int, smoothing: float, divergence: float, steps_per_call: int
) -> None:
    if not 0 < low < high < np.inf:
        raise ValueError(f"low and high must satisfy 0 < low < high, got {low} and {high}")
    if steps < 5:
        raise ValueError(f"steps must be at least 5 to show a curve, got {steps}")
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be in [0, 1), got {smoothing}")
    if not divergence > 1:
        raise ValueError(f"divergence must be above 1, got {divergence}")
    if steps_per_call < 1:
        raise ValueError(f"steps_per_call must be at least 1, got {steps_per_call}")
