"""Estimates: a number with its 95 % interval, from counts, resamples or a few repetitions."""

import math
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Shaped

from xentjax.metrics.intervals import bootstrap_interval, wilson_interval

# The 97.5 % quantile of the normal distribution: of a two-sided 95 % interval.
Z_95 = 1.959963984540054
# The 97.5 % quantiles of Student's t for 1 … 9 degrees of freedom.
_T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


class Estimate(NamedTuple):
    """A number and its 95 % interval; NaN where there was nothing to count."""

    value: float
    low: float
    high: float


def share(successes: int | float, n: int | float) -> Estimate:
    """A fraction with its Wilson interval; all of [0, 1] where n is 0.

    Args:
        successes: in [0, n]; weighted ones may be fractions.
        n: independent trials.

    Example:
        >>> found = share(0, 10)
        >>> print(f"{found.value} {found.low:.4f} {found.high:.4f}")  # z² / (n + z²)
        0.0 0.0000 0.2775
    """
    interval = wilson_interval(float(successes), float(n))
    value = successes / n if n else math.nan
    return Estimate(float(value), float(interval.low), float(interval.high))


def shares(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractions [K] and the ends of their Wilson intervals; the fraction is NaN where n is 0."""
    successes, n = np.asarray(successes, np.int64), np.asarray(n, np.int64)
    interval = wilson_interval(successes, n)
    value = np.divide(successes, n, out=np.full(n.shape, np.nan), where=n > 0)
    return value, np.asarray(interval.low, np.float64), np.asarray(interval.high, np.float64)


def flipped(right: Shaped[np.ndarray, "sizes rows"], number: int) -> Estimate:
    """Of the answers right at the first size, the share wrong at another; NaN where none was.

    Args:
        right: booleans, or how often each row was right, in [0, 1].
        number: which size.

    Example:
        >>> flipped(np.array([[True, True, False], [True, False, False]]), 1).value  # 1 of 2
        0.5
    """
    held = right[0].astype(np.float64)
    return share((held * (1.0 - right[number])).sum(), held.sum())


def bootstrap_mean(values: Float[np.ndarray, " N"], *, seed: int) -> Estimate:
    """The mean of what was drawn independently, with its bootstrap interval.

    Args:
        values: of the units drawn: rows, prompts, passages; at least one.
        seed: of the resamples.

    Returns:
        The mean; ends NaN for a single value, whose resamples are all alike and say nothing.

    Example:
        >>> bootstrap_mean(np.array([3.0]), seed=0)
        Estimate(value=3.0, low=nan, high=nan)
        >>> found = bootstrap_mean(np.arange(100.0), seed=0)
        >>> found.value, 43 < found.low < 45  # 49.5 − 1.96 · 28.9/√100 = 43.8
        (49.5, True)
    """
    mean = float(np.mean(values, dtype=np.float64))
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan)
    # What is common to all is taken out first: float32 keeps its digits for the differences.
    apart = (np.asarray(values, np.float64) - mean).astype(np.float32)[:, None]
    found = bootstrap_interval(jax.random.key(seed), _mean, apart)
    return percentiles(mean, mean + np.asarray(found.resampled, np.float64))


def percentiles(value: float, resampled: Float[np.ndarray, " R"]) -> Estimate:
    """The percentile interval of resamples around a number; NaN among them are left out.

    The interval always holds the number, which resamples of values that are all alike would miss
    by their roundings.

    Args:
        value: of the data.
        resampled: what each resample gave; where all are NaN the interval is.

    Example:
        >>> percentiles(0.5, np.linspace(0, 1, 101))  # the 2.5th and the 97.5th of 0 … 100
        Estimate(value=0.5, low=0.025, high=0.975)
    """
    known = resampled[~np.isnan(resampled)]
    if not known.size or np.isnan(value):
        return Estimate(float(value), math.nan, math.nan)
    low, high = np.quantile(known, [0.025, 0.975])
    return Estimate(float(value), min(float(low), float(value)), max(float(high), float(value)))


def student(values: Float[np.ndarray, " R"]) -> Estimate:
    """The mean of a few repetitions and Student's interval, mean ± t · s/√R.

    Args:
        values: at least two.

    Example:
        >>> found = student(np.array([1.0, 2.0, 3.0]))
        >>> found.value, round(found.high, 3)  # 2 + 4.3027 · 1/√3
        (2.0, 4.484)

    Reference:
        Student, The Probable Error of a Mean, 1908.
    """
    mean, freedom = float(values.mean()), len(values) - 1
    half = student_quantile(freedom) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, within four ten-thousandths of it.

    Raises:
        ValueError: freedom is below 1, as that of a single value.

    Example:
        >>> student_quantile(2)
        4.3027

    Reference:
        R. A. Fisher, E. A. Cornish, The Percentile Points of Distributions Having Known Cumulants,
        1960.
    """
    if freedom < 1:
        raise ValueError(f"freedom must be at least 1, got {freedom}: repeat at least twice")
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    # Fisher's expansion about the normal quantile.
    z = Z_95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _mean(values):
    return values.mean()
