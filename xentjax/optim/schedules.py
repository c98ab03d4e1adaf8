"""Schedules: functions from a step to a value, the learning rate most of all.

Each takes the number of steps already taken (0 for the first) as an int or a traced integer,
and returns a float32 scalar. All the peaks and ends are in the unit of the value.
"""

import math
from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

Schedule = Callable[[ArrayLike], Float[Array, ""]]


def constant(value: float) -> Schedule:
    """The same value at every step: f(t) = value.

    Args:
        value: finite and not negative.

    Returns:
        The schedule.

    Raises:
        ValueError: if value is negative or not finite.

    Example:
        >>> float(constant(0.5)(1000))
        0.5
    """
    _check_values(value=value)
    return lambda step: jnp.full(jnp.shape(step), value, jnp.float32)


def warmup_cosine(
    peak: float, *, warmup_steps: int, total_steps: int, end: float = 0.0
) -> Schedule:
    """Up in a line, then down along half a cosine: the usual choice when the end is known.

    f(t) = peak · t/w for t < w, and end + (peak − end) · (1 + cos(π·p))/2 after, with
    p = (t − w)/(n − w), at most 1. The first step has value 0 if there is a warm-up.

    Args:
        peak: the value at step w.
        warmup_steps: w, 0 for none.
        total_steps: n, after which the value stays at end.
        end: the last value.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, or not 0 ≤ w < n.

    Example:
        >>> rate = warmup_cosine(1.0, warmup_steps=10, total_steps=110)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 10, 60, 110, 200)]
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.0]

    Reference:
        I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        2017.
    """
    _check_values(peak=peak, end=end)
    _check_steps(warmup_steps=warmup_steps, total_steps=total_steps)
    if warmup_steps >= total_steps:
        raise ValueError(
            f"warmup_steps must be below total_steps, got {warmup_steps} of {total_steps}"
        )

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        progress = _fraction(step, warmup_steps, total_steps)
        decayed = end + (peak - end) * (1 + jnp.cos(math.pi * progress)) / 2
        return jnp.where(jnp.asarray(step) < warmup_steps, _ramp(peak, step, warmup_steps), decayed)

    return schedule


def warmup_stable_decay(
    peak: float,
    *,
    warmup_steps: int,
    total_steps: int,
    decay_steps: int | None = None,
    end: float = 0.0,
) -> Schedule:
    """Up in a line, level, then down in a line: when the end may move.

    The level part does not depend on n, so a run can be prolonged, or branched into several
    decays, without training again from the start.

    f(t) = peak · t/w for t < w; peak until n − d; then peak + (end − peak) · p with
    p = (t − n + d)/d, at most 1. The first step has value 0 if there is a warm-up.

    Args:
        peak: the value of the level part.
        warmup_steps: w, 0 for none.
        total_steps: n, after which the value stays at end.
        decay_steps: d, the length of the last part, at least 1; a fifth of n by default.
        end: the last value.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, d is 0, or w + d exceeds n.

    Example:
        >>> rate = warmup_stable_decay(1.0, warmup_steps=10, total_steps=100, decay_steps=20)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 10, 80, 90, 100, 200)]
        [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]

    Reference:
        S. Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable
        Training Strategies", 2024.
    """
    if decay_steps is None:
        decay_steps = max(1, total_steps // 5)
    _check_values(peak=peak, end=end)
    _check_steps(warmup_steps=warmup_steps, total_steps=total_steps, decay_steps=decay_steps)
    if decay_steps == 0 or warmup_steps + decay_steps > total_steps:
        raise ValueError(
            "decay_steps must be at least 1 and warmup_steps + decay_steps at most total_steps, "
            f"got warmup_steps={warmup_steps}, decay_steps={decay_steps}, "
            f"total_steps={total_steps}"
        )

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        progress = _fraction(step, total_steps - decay_steps, total_steps)
        decayed = peak + (end - peak) * progress
        return jnp.where(jnp.asarray(step) < warmup_steps, _ramp(peak, step, warmup_steps), decayed)

    return schedule


def _ramp(peak: float, step: ArrayLike, warmup_steps: int) -> Array:
    """From 0 at step 0 to peak at warmup_steps; chosen only below it, so never 0/0."""
    return peak * (jnp.asarray(step, jnp.float32) / max(warmup_steps, 1))


def _fraction(step: ArrayLike, first: int, last: int) -> Array:
    """How far step is from first to last, in [0, 1]."""
    # The difference in integers: a float32 counts steps exactly up to 2^24 only.
    return jnp.clip((jnp.asarray(step) - first) / (last - first), 0.0, 1.0).astype(jnp.float32)


def _check_values(**values: float) -> None:
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be finite and not negative, got {value}")


def _check_steps(**steps: int) -> None:
    for name, count in steps.items():
        if count < 0 or int(count) != count:
            raise ValueError(f"{name} must be a whole number of steps, 0 or more, got {count}")
