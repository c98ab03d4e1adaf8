"""Schedules that fall from their first value, and the one that does not.

Prefer `linear` to 0 when the number of steps is known, `cosine` when the end should be gentle.
For a rise before the fall see `warmups`.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import optax
from jaxtyping import Array, ArrayLike, Float

from xentjax.optim.progress import Schedule, between, check_run, cosine_share, remaining
from xentjax.optim.ranges import (
    Scalar,
    check_count,
    check_not_negative,
    check_positive,
    check_share,
)


def constant(value: Scalar) -> Schedule:
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
    check_not_negative(value=value)
    return lambda step: jnp.full(jnp.shape(step), value, jnp.float32)


def linear(peak: Scalar, *, total_steps: int, end: Scalar = 0.0) -> Schedule:
    """Down in a line: f(t) = peak + (end − peak)·t/n, and end from step n on.

    Args:
        peak: the first value.
        total_steps: n, after which the value stays at end.
        end: the last value.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, or n is not a whole number above 0.

    Example:
        >>> rate = linear(1.0, total_steps=100)
        >>> [round(float(rate(step)), 2) for step in (0, 25, 100, 200)]
        [1.0, 0.75, 0.0, 0.0]
    """
    return polynomial(peak, total_steps=total_steps, power=1.0, end=end)


def cosine(peak: Scalar, *, total_steps: int, end: Scalar = 0.0) -> Schedule:
    """Down along half a cosine: f(t) = end + (peak − end)·(1 + cos(π·t/n))/2, end from n on.

    Args:
        peak: the first value.
        total_steps: n, after which the value stays at end.
        end: the last value.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, or n is not a whole number above 0.

    Example:
        >>> rate = cosine(1.0, total_steps=100)
        >>> [round(float(rate(step)), 2) for step in (0, 50, 100, 200)]
        [1.0, 0.5, 0.0, 0.0]

    Reference:
        I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        2017.
    """
    check_not_negative(peak=peak, end=end)
    check_run(total_steps)
    return lambda step: between(end, peak, cosine_share(remaining(step, 0, total_steps)))


def polynomial(
    peak: Scalar, *, total_steps: int, power: Scalar = 2.0, end: Scalar = 0.0
) -> Schedule:
    """Down along a power: f(t) = end + (peak − end)·(1 − t/n)^p, and end from step n on.

    Prefer it to `linear` where the last steps should be small for longer (p > 1).

    Args:
        peak: the first value.
        total_steps: n, after which the value stays at end.
        power: p, positive; 1 is a line.
        end: the last value.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, p is not positive, or n is not a whole
            number above 0.

    Example:
        >>> rate = polynomial(1.0, total_steps=100, power=2.0)
        >>> [round(float(rate(step)), 2) for step in (0, 50, 100, 200)]
        [1.0, 0.25, 0.0, 0.0]
    """
    check_not_negative(peak=peak, end=end)
    check_positive(power=power)
    check_run(total_steps)
    return lambda step: between(end, peak, remaining(step, 0, total_steps) ** power)


def exponential(
    peak: Scalar,
    *,
    decay_rate: Scalar,
    decay_steps: int,
    end: Scalar = 0.0,
    staircase: bool = False,
) -> Schedule:
    """Down by the same factor each time: f(t) = max(end, peak·r^(t/d)).

    Args:
        peak: the first value.
        decay_rate: r in (0, 1], what d steps multiply the value by.
        decay_steps: d, at least 1.
        end: the value never falls below this.
        staircase: in jumps, with ⌊t/d⌋ in place of t/d.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, r is outside (0, 1], or d is not a whole
            number above 0.

    Example:
        >>> rate = exponential(1.0, decay_rate=0.25, decay_steps=10)
        >>> [float(rate(step)) for step in (0, 5, 10, 20)]
        [1.0, 0.5, 0.25, 0.0625]
    """
    check_not_negative(peak=peak, end=end)
    check_share(decay_rate=decay_rate)
    check_count(1, decay_steps=decay_steps)

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        step = jnp.asarray(step)
        periods = (step // decay_steps if staircase else step / decay_steps).astype(jnp.float32)
        value = peak * jnp.asarray(decay_rate, jnp.float32) ** periods
        return jnp.asarray(jnp.maximum(value, end), jnp.float32)

    return schedule


def piecewise(peak: Scalar, *, scales: Mapping[int, float]) -> Schedule:
    """Level between jumps: f(t) = peak times the scales of all the boundaries up to t.

    Prefer it to repeat results of networks trained so, ResNets most of all.

    Args:
        peak: the first value.
        scales: from a boundary, a step of 1 or more, to what multiplies the value from that step
            on, not negative.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value or a scale is negative or not finite, or a boundary is not a whole
            number above 0.

    Example:
        >>> rate = piecewise(1.0, scales={50: 0.5, 75: 0.5})
        >>> [float(rate(step)) for step in (0, 49, 50, 75)]
        [1.0, 1.0, 0.5, 0.25]
    """
    check_not_negative(peak=peak)
    for boundary, scale in scales.items():
        check_count(1, **{"a boundary in scales": boundary})
        check_not_negative(**{f"scales[{boundary}]": scale})
    levels = optax.piecewise_constant_schedule(1.0, dict(scales))
    return lambda step: jnp.asarray(peak * levels(jnp.asarray(step)), jnp.float32)
