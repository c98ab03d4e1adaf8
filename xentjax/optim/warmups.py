"""Schedules that start with a warm-up: the usual ones for transformers and large batches.

Adaptive rules know little of the gradient's size in their first steps; a rate that rises from 0
keeps those from doing harm.
"""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from xentjax.optim.progress import (
    Schedule,
    between,
    check_run,
    cosine_share,
    remaining,
    warmed_up,
)
from xentjax.optim.ranges import Scalar, check_count, check_not_negative


def warmup_cosine(
    peak: Scalar, *, warmup_steps: int, total_steps: int, end: Scalar = 0.0
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
    check_not_negative(peak=peak, end=end)
    check_run(total_steps, warmup_steps)

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        left = remaining(step, warmup_steps, total_steps)
        return warmed_up(peak, step, warmup_steps, between(end, peak, cosine_share(left)))

    return schedule


def warmup_stable_decay(
    peak: Scalar,
    *,
    warmup_steps: int,
    total_steps: int,
    decay_steps: int | None = None,
    end: Scalar = 0.0,
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
    check_not_negative(peak=peak, end=end)
    check_count(0, warmup_steps=warmup_steps, total_steps=total_steps, decay_steps=decay_steps)
    if decay_steps == 0 or warmup_steps + decay_steps > total_steps:
        raise ValueError(
            "decay_steps must be at least 1 and warmup_steps + decay_steps at most total_steps, "
            f"got warmup_steps={warmup_steps}, decay_steps={decay_steps}, "
            f"total_steps={total_steps}"
        )

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        left = remaining(step, total_steps - decay_steps, total_steps)
        return warmed_up(peak, step, warmup_steps, between(end, peak, left))

    return schedule


def inverse_sqrt(peak: Scalar, *, warmup_steps: int) -> Schedule:
    """Up in a line, then down as 1/√t, with no end: the original transformer's.

    f(t) = peak · t/w for t < w, and peak · √(w/t) after. Prefer it for a run without a planned
    end that must not stay at its peak; `warmup_stable_decay` ends lower.

    Args:
        peak: the value at step w.
        warmup_steps: w, at least 1: it also sets how fast the value falls.

    Returns:
        The schedule.

    Raises:
        ValueError: if the peak is negative or not finite, or w is not a whole number above 0.

    Example:
        >>> rate = inverse_sqrt(1.0, warmup_steps=10)
        >>> [round(float(rate(step)), 2) for step in (0, 5, 10, 40, 1000)]
        [0.0, 0.5, 1.0, 0.5, 0.1]

    Reference:
        A. Vaswani et al., "Attention Is All You Need", 2017.
    """
    check_not_negative(peak=peak)
    check_count(1, warmup_steps=warmup_steps)

    def schedule(step: ArrayLike) -> Float[Array, ""]:
        later = jnp.maximum(jnp.asarray(step), warmup_steps).astype(jnp.float32)
        fallen = jnp.asarray(peak * jnp.sqrt(warmup_steps / later), jnp.float32)
        return warmed_up(peak, step, warmup_steps, fallen)

    return schedule
