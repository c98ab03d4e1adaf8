"""Schedules that go up and down: once, to train fast, or again and again, to leave a valley.

Weights at the bottom of each cycle are good members of an ensemble, or of an average (`swa` with
`every` a cycle).
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from xentjax.optim.progress import Schedule, between, cosine_share, fraction, remaining
from xentjax.optim.ranges import (
    Scalar,
    check_count,
    check_not_negative,
    check_positive,
    check_share,
)

_LARGEST_STEP = 2**31 - 1  # of an int32, which JAX counts steps in


def one_cycle(
    peak: Scalar,
    *,
    total_steps: int,
    rise_steps: int | None = None,
    start_divisor: Scalar = 25.0,
    end_divisor: Scalar = 1e4,
) -> Schedule:
    """Up along half a cosine, then down along another, far below the start.

    f goes from s = peak/25 at step 0 to peak at step r and to s/10⁴ at step n, each time by
    a + (b − a)·(1 − cos(π·p))/2. Prefer it for short runs with a high peak, found by a range
    test.

    Args:
        peak: the value at step r.
        total_steps: n, at least 2, after which the value stays.
        rise_steps: r, from 1 to n − 1; three tenths of n by default.
        start_divisor: the first value is the peak divided by this, positive.
        end_divisor: the last value is the first divided by this, positive.

    Returns:
        The schedule.

    Raises:
        ValueError: if the peak is negative or not finite, a divisor not positive, or not
            0 < r < n.

    Example:
        >>> rate = one_cycle(1.0, total_steps=100, rise_steps=30, end_divisor=4.0)
        >>> [round(float(rate(step)), 2) for step in (0, 15, 30, 65, 100)]
        [0.04, 0.52, 1.0, 0.5, 0.01]

    Reference:
        L. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks Using
        Large Learning Rates", 2019.
    """
    check_not_negative(peak=peak)
    check_positive(start_divisor=start_divisor, end_divisor=end_divisor)
    check_count(2, total_steps=total_steps)
    rise = max(1, 3 * total_steps // 10) if rise_steps is None else rise_steps
    check_count(1, rise_steps=rise)
    if rise >= total_steps:
        raise ValueError(f"rise_steps must be below total_steps, got {rise} of {total_steps}")
    start = peak / start_divisor
    end = start / end_divisor

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        up = between(start, peak, cosine_share(fraction(step, 0, rise)))
        down = between(end, peak, cosine_share(remaining(step, rise, total_steps)))
        return jnp.where(jnp.asarray(step) < rise, up, down)

    return schedule


def triangular(
    peak: Scalar, *, cycle_steps: int, base: Scalar = 0.0, decay: Scalar = 1.0
) -> Schedule:
    """Up and down in lines, again and again: the cyclical learning rate.

    f(t) = base + (peak − base)·dᵏ·(1 − |2·p − 1|), with k = ⌊t/c⌋ cycles done and p = t/c − k of
    this one. Prefer it with a base and a peak from a range test, when there is no search.

    Args:
        peak: the highest value of the first cycle.
        cycle_steps: c, at least 2.
        base: the lowest value.
        decay: d in (0, 1], what each cycle multiplies the height by; ½ is "triangular2".

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, d is outside (0, 1], or c is not a whole
            number above 1.

    Example:
        >>> rate = triangular(1.0, cycle_steps=10, decay=0.5)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 8, 10, 15)]
        [0.0, 1.0, 0.4, 0.0, 0.5]

    Reference:
        L. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.
    """
    check_not_negative(peak=peak, base=base)
    check_share(decay=decay)
    check_count(2, cycle_steps=cycle_steps)

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        cycle, place = jnp.divmod(jnp.asarray(step), cycle_steps)
        # The distance to the nearer end in half cycles, from whole numbers.
        height = (jnp.minimum(place, cycle_steps - place) * 2 / cycle_steps).astype(jnp.float32)
        shrunk = jnp.asarray(decay, jnp.float32) ** cycle.astype(jnp.float32)
        return between(base, peak, height * shrunk)

    return schedule


def sgdr(
    peak: Scalar,
    *,
    cycle_steps: int,
    growth: int = 2,
    end: Scalar = 0.0,
    decay: Scalar = 1.0,
) -> Schedule:
    """Down along half a cosine, again and again, each cycle longer than the last.

    f(t) = end + (peak·dᵏ − end)·(1 + cos(π·p))/2, p of the way through cycle k = 0, 1, …, which
    lasts c·gᵏ steps. Prefer it to `cosine` when the run may be stopped at the end of any cycle.

    Args:
        peak: the value at the start of the first cycle.
        cycle_steps: c, the steps of the first cycle, at least 1.
        growth: g, how many times longer each next cycle is: a whole number, at least 1.
        end: the value that each cycle falls towards; the next starts in its place.
        decay: d in (0, 1], what each restart multiplies the peak by.

    Returns:
        The schedule.

    Raises:
        ValueError: if a value is negative or not finite, d is outside (0, 1], or c or g is not a
            whole number above 0.

    Example:
        >>> rate = sgdr(1.0, cycle_steps=10)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 10, 20, 30)]
        [1.0, 0.5, 1.0, 0.5, 1.0]

    Reference:
        I. Loshchilov and F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        2017.
    """
    check_not_negative(peak=peak, end=end)
    check_share(decay=decay)
    check_count(1, cycle_steps=cycle_steps, growth=growth)
    locate = _equal_cycles(cycle_steps) if growth == 1 else _growing_cycles(cycle_steps, growth)

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        cycle, place, length = locate(jnp.asarray(step))
        high = peak * jnp.asarray(decay, jnp.float32) ** cycle.astype(jnp.float32)
        return between(end, high, cosine_share(remaining(place, 0, length)))

    return schedule


def _equal_cycles(cycle_steps: int) -> Callable[[Array], tuple[Array, Array, ArrayLike]]:
    """Step → the number of its cycle, its place there, and the cycle's length."""
    return lambda step: (*jnp.divmod(step, cycle_steps), cycle_steps)


def _growing_cycles(
    cycle_steps: int, growth: int
) -> Callable[[Array], tuple[Array, Array, ArrayLike]]:
    """The same, from a table of starts: at most 32 cycles reach the largest step there is."""
    starts, lengths = [0], [cycle_steps]
    while (start := starts[-1] + lengths[-1]) < _LARGEST_STEP:
        starts.append(start)
        lengths.append(min(lengths[-1] * growth, _LARGEST_STEP))

    def locate(step: Array) -> tuple[Array, Array, Array]:
        cycle = jnp.sum(step >= jnp.asarray(starts[1:], jnp.int32), dtype=jnp.int32)
        first = jnp.asarray(starts, jnp.int32)[cycle]
        return cycle, step - first, jnp.asarray(lengths, jnp.int32)[cycle]

    return locate
