"""An estimate: a number with its 95 % interval, on the host in double precision."""

import dataclasses

import numpy as np

from xentjax.metrics.intervals import wilson_interval


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number and the interval around it.

    Attributes:
        value: the number; NaN where there was nothing to count.
        low: lower end of the 95 % interval.
        high: upper end.
    """

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
