"""Confidence intervals: how much of a score is chance.

`wilson_interval` for fractions (accuracy, recall), `bootstrap_interval` for everything else.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.inputs import as_index
from xentjax.losses.reduction import is_concrete, real_array

# Numbers that are resampled at once: 16 MB of float32.
_RESAMPLED_AT_ONCE = 2**22


class Interval(NamedTuple):
    """From `low` to `high`."""

    low: Float[Array, "..."]
    high: Float[Array, "..."]


class _Trials(NamedTuple):
    """How often something came, how often not, and both together, of one shape."""

    successes: Array
    failures: Array
    n: Array


class BootstrapInterval(NamedTuple):
    """The statistic of the data, the interval around it, and what the resamples gave."""

    estimate: Float[Array, "..."]
    low: Float[Array, "..."]
    high: Float[Array, "..."]
    resampled: Float[Array, "..."]  # [resamples, ...]


def wilson_interval(
    successes: Num[ArrayLike, "..."],
    n: Num[ArrayLike, "..."],
    *,
    confidence: Num[ArrayLike, ""] = 0.95,
) -> Interval:
    r"""Wilson's score interval of a fraction of successes among n independent trials.

    The rates p with |k/n − p| ≤ z √(p (1 − p) / n), where z is the normal quantile. Prefer it to
    k/n ± z·s, which is empty at k = 0 and leaves [0, 1]; for test sets of some hundred examples
    it is as good as the exact one, and narrower.

    Args:
      successes: k, real in [0, n], any shape; counts of a metric may be fractions.
      n: real ≥ 0, broadcastable with k by having its shape or none.
      confidence: in (0, 1), may be traced.

    Returns:
      `Interval` within [0, 1], at least float32; all of it when n = 0.

    Raises:
      ValueError: shapes do not fit, or (eager calls) a number is out of range. Under jit that
        gives NaN.

    Example:
      >>> found = wilson_interval(0, 10)
      >>> print(f"{found.low:.4f} {found.high:.4f}")  # 0 to z² / (n + z²) = 3.8415 / 13.8415
      0.0000 0.2775

    Reference:
      E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.

    See Also:
      `bootstrap_interval` for what is no fraction.
    """
    if np.shape(n) not in ((), np.shape(successes)):
        shapes = f"{np.shape(n)}, {np.shape(successes)}"
        raise ValueError(f"n must have the shape of successes, got {shapes}")
    if is_concrete(successes, n):
        trials = _known_trials(successes, n)
    else:
        successes, n = real_array(successes, "successes"), real_array(n, "n")
        n = jnp.broadcast_to(n, successes.shape)
        # Counts are subtracted before they are rounded to floats.
        trials = _Trials(successes, n - successes, n)
    return _wilson(trials, _level(confidence))


def bootstrap_interval(
    key: Shaped[Array, "..."],
    statistic: Callable[..., Any],
    *arrays: Shaped[ArrayLike, "..."],
    resamples: int = 1000,
    confidence: Num[ArrayLike, ""] = 0.95,
) -> BootstrapInterval:
    r"""The percentile bootstrap: the spread of a statistic over resamples of the examples.

    Examples are drawn with replacement, the same ones from every array, n at a time; the
    interval goes from the (1 − c)/2 to the (1 + c)/2 quantile of what `statistic` gives. All
    resamples run in one program, as many at once as 16 MB hold. Prefer it for scores without a
    formula (F1, AUC, a difference of two models on the same examples). With fewer than some 30
    examples, or where the statistic is a maximum, it is too narrow.

    Args:
      key: a JAX random key.
      statistic: (*arrays) → array, jittable, examples on the leading axes; a mean divides by
        what is there. Pass the same function again, not a new lambda, to compile once.
      *arrays: the data, examples on the leading axis of each; labels, weights and masks too.
      resamples: how many, at least 2; the ends waver by about 1/√resamples of the width.
      confidence: c in (0, 1), may be traced.

    Returns:
      `BootstrapInterval`: estimate, low, high and what the resamples gave. (Its reflection
      2 · estimate − high, 2 · estimate − low is the basic bootstrap.) NaN where a resample's
      statistic is NaN, as that of an AUC without positives.

    Raises:
      ValueError: no arrays or no examples, lengths differ, an option is out of range.

    Example:
      >>> import jax
      >>> hits = jnp.ones(100).at[:20].set(0)
      >>> found = bootstrap_interval(jax.random.key(0), jnp.mean, hits)
      >>> print(f"{found.estimate:.2f}")  # Wilson's interval is 0.71 to 0.87
      0.80
      >>> print(bool(0.69 < found.low < 0.74), bool(0.85 < found.high < 0.9))
      True True

    Reference:
      B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993.

    See Also:
      `wilson_interval` for fractions.
    """
    data = tuple(jnp.asarray(x) for x in arrays)
    lengths = {x.shape[:1] for x in data}
    if len(lengths) != 1 or lengths & {(), (0,)}:
        raise ValueError(
            "arrays must have the same number of examples, at least 1, on the leading axis: got "
            f"shapes {[x.shape for x in data]}"
        )
    count = as_index(resamples, "resamples")
    if count is None or count < 2:
        raise ValueError(f"resamples must be at least 2, got {resamples}")
    level = _level(confidence)
    return _bootstrap(key, data, level, statistic=statistic, resamples=count)


def _known_trials(successes: ArrayLike, n: ArrayLike) -> _Trials:
    """The counts in the dtype of the interval, out of float64: 64-bit ones would wrap in JAX."""
    for x, name in ((successes, "successes"), (n, "n")):
        if np.iscomplexobj(x):
            raise TypeError(f"{name} must be real, got {np.asarray(x).dtype}")
    counts, whole = np.broadcast_arrays(
        np.asarray(successes, np.float64), np.asarray(n, np.float64)
    )
    position = inputs.first_false((counts >= 0) & (counts <= whole) & (whole < np.inf))
    if position is not None:
        raise ValueError(
            f"successes must lie in [0, n], got {counts[position]:.17g} of "
            f"{whole[position]:.17g} at position {position}"
        )
    given = [jax.dtypes.canonicalize_dtype(np.asarray(x).dtype) for x in (successes, n)]
    dtype = jnp.promote_types(jnp.result_type(*given), jnp.float32)
    return _Trials(*(jnp.asarray(x, dtype) for x in (counts, whole - counts, whole)))


@partial(jax.jit, inline=True)
def _wilson(trials: _Trials, confidence: Array) -> Interval:
    dtype = jnp.promote_types(jnp.result_type(*trials), jnp.float32)
    successes, failures, n = trials
    good = (successes >= 0) & (successes <= n) & (n < jnp.inf)
    successes, failures, n = (x.astype(dtype) for x in trials)
    square = jax.scipy.special.ndtri((1 - confidence.astype(dtype)) / 2) ** 2
    share = successes * failures / jnp.where(n == 0, 1, n)
    root = jnp.sqrt(square) * jnp.sqrt(share + square / 4)
    upper = (successes + square / 2 + root) / (n + square)
    # The ends are the roots of (n + z²) p² − (2k + z²) p + k²/n = 0. The lower one is what their
    # product leaves, for a difference would cancel.
    rate = jnp.where(n == 0, 0, successes / jnp.where(n == 0, 1, n))
    lower = rate * successes / ((n + square) * upper)
    high = jnp.where(failures == 0, 1, jnp.minimum(upper, 1))
    nan = jnp.where(good, 1, jnp.nan).astype(dtype)
    return Interval(lower * nan, high * nan)


@partial(jax.jit, static_argnames=("statistic", "resamples"))
def _bootstrap(key, data, confidence, *, statistic, resamples) -> BootstrapInterval:
    n = data[0].shape[0]

    def resample(key):
        drawn = jax.random.randint(key, (n,), 0, n)
        return jnp.asarray(statistic(*(x[drawn] for x in data)))

    size = sum(x.size for x in data) + n
    at_once = max(1, min(resamples, _RESAMPLED_AT_ONCE // size))
    found = lax.map(resample, jax.random.split(key, resamples), batch_size=at_once)
    found = found.astype(jnp.promote_types(found.dtype, jnp.float32))
    tail = (1 - confidence.astype(found.dtype)) / 2
    low, high = jnp.quantile(found, jnp.stack([tail, 1 - tail]), axis=0)
    estimate = jnp.asarray(statistic(*data)).astype(found.dtype)
    return BootstrapInterval(estimate, low, high, found)


def _level(confidence: ArrayLike) -> Array:
    return inputs.scalar(confidence, "confidence", "lie in (0, 1)", lambda v: (v > 0) & (v < 1))
