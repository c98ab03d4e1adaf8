"""What every schedule is made of: how far a step has come, and a value between two others.

Values at the corners are exact, whatever rounding does between them, and steps are counted in
integers: a float32 counts them one by one up to 2²⁴ only.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from xentjax.optim.ranges import Scalar, check_count

Schedule: TypeAlias = Callable[[ArrayLike], Float[Array, ""]]


def fraction(step: ArrayLike, first: ArrayLike, last: ArrayLike) -> Float[Array, ""]:
    """How far a step is from first to last: (t − first)/(last − first), in [0, 1].

    Args:
        step: t, an integer.
        first: where it starts.
        last: where it ends, above first.

    Returns:
        A float32 scalar.

    Example:
        >>> float(fraction(2**25 + 1, 2**25, 2**25 + 4))
        0.25
    """
    done = jnp.asarray(step) - jnp.asarray(first)
    return jnp.clip(done / (jnp.asarray(last) - first), 0.0, 1.0).astype(jnp.float32)


def remaining(step: ArrayLike, first: ArrayLike, last: ArrayLike) -> Float[Array, ""]:
    """How far a step still is from last: (last − t)/(last − first), in [0, 1].

    Not 1 − `fraction`, of which the last steps of a long run would keep few digits.

    Args:
        step: t, an integer.
        first: where it starts.
        last: where it ends, above first.

    Returns:
        A float32 scalar.

    Example:
        >>> float(remaining(3, 0, 4))
        0.25
    """
    left = jnp.asarray(last) - jnp.asarray(step)
    return jnp.clip(left / (jnp.asarray(last) - first), 0.0, 1.0).astype(jnp.float32)


def between(start: Scalar, end: Scalar, share: Float[Array, ""]) -> Float[Array, ""]:
    """A value share of the way from start to end, exactly start at 0 and end at 1.

    Args:
        start: the value at share 0.
        end: the value at share 1.
        share: in [0, 1].

    Returns:
        (1 − share)·start + share·end, a float32 scalar.

    Example:
        >>> float(between(3.0, 1.0, jnp.float32(0.25)))
        2.5
    """
    return jnp.asarray((1 - share) * start + share * end, jnp.float32)


def cosine_share(share: Float[Array, ""]) -> Float[Array, ""]:
    """The same way with a slow start and a slow end: (1 − cos(π·p))/2, exactly 0 at 0, 1 at 1.

    As sin²(π·p/2), which does not cancel near 0, where cosine's float32 is 1.

    Example:
        >>> [round(float(cosine_share(jnp.float32(p))), 6) for p in (0.0, 0.5, 1.0)]
        [0.0, 0.5, 1.0]
    """
    return jnp.square(jnp.sin(math.pi / 2 * share))


def warmed_up(peak: Scalar, step: ArrayLike, warmup_steps: int, after: Array) -> Float[Array, ""]:
    """Up in a line from 0 to the peak at the end of the warm-up, then what comes after.

    Args:
        peak: the value at warmup_steps.
        step: steps taken.
        warmup_steps: 0 for none.
        after: the value from warmup_steps on.

    Returns:
        A float32 scalar.

    Example:
        >>> float(warmed_up(4.0, 1, 2, jnp.float32(9.0)))
        2.0
    """
    ramp = between(0.0, peak, fraction(step, 0, max(warmup_steps, 1)))  # chosen below w only
    return jnp.where(jnp.asarray(step) < warmup_steps, ramp, after)


def check_run(total_steps: int, warmup_steps: int = 0) -> None:
    """Raise unless both are whole numbers and the warm-up is the shorter.

    Raises:
        ValueError: naming the argument and what it was.

    Example:
        >>> check_run(9, 9)
        Traceback (most recent call last):
        ValueError: warmup_steps must be below total_steps, got 9 of 9
    """
    check_count(0, warmup_steps=warmup_steps)
    check_count(1, total_steps=total_steps)
    if warmup_steps >= total_steps:
        raise ValueError(
            f"warmup_steps must be below total_steps, got {warmup_steps} of {total_steps}"
        )
