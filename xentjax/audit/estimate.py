"""Estimates: a number with its 95 % interval, from counts, resamples or a few repetitions."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from xentjax.metrics.intervals import wilson_interval

# The 97.5 % quantiles of Student's t for 1 … 9 degrees of freedom.
_T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


class Estimate(NamedTuple):
    """A number and its 95 % interval; NaN where there was nothing to count."""

    value: float
    low: float
    high: float


def share(successes: int, n: int) -> Estimate:
    """A fraction with its Wilson interval; all of [0, 1] where n is 0.

    Example:
        >>> found = share(0, 10)
        >>> print(f"{found.value} {found.low:.4f} {found.high:.4f}")  # z² / (n + z²)
        0.0 0.0000 0.2775
    """
    interval = wilson_interval(int(successes), int(n))
    value = successes / n if n else float("nan")
    return Estimate(float(value), float(interval.low), float(interval.high))


def shares(successes: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fractions [K] and the ends of their Wilson intervals; the fraction is NaN where n is 0."""
    successes, n = np.asarray(successes, np.int64), np.asarray(n, np.int64)
    interval = wilson_interval(successes, n)
    value = np.divide(successes, n, out=np.full(n.shape, np.nan), where=n > 0)
    return value, np.asarray(interval.low, np.float64), np.asarray(interval.high, np.float64)


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
    """The 97.5 % quantile of Student's t, within two thousandths of it.

    Example:
        >>> student_quantile(2)
        4.3027
    """
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    # Fisher's expansion about the normal quantile.
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
