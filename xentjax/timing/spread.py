"""The middle of many runs and how far they scatter, for times and for ratios of times.

Noise on a computer only ever adds time and comes in bursts: the mean follows the bursts, the
median does not. Two contestants are compared round by round, because the two runs of one round
met the same weather; the ratio of two medians has lost that pairing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Median and interquartile range of `count` figures, in the unit of the figures."""

    median: float
    iqr: float
    count: int

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Summarises figures by their median and the width of their middle half.

        Quartiles interpolate linearly between order statistics, as `numpy.percentile` does.

        Args:
            figures: at least one number.

        Returns:
            The median, Q3 − Q1 and the count.

        Raises:
            ValueError: `figures` is empty.

        Example:
            >>> Spread.of([1.0, 2.0, 3.0, 4.0, 100.0])
            Spread(median=3.0, iqr=2.0, count=5)
        """
        if len(figures) == 0:
            raise ValueError("figures is empty: a spread needs at least one figure")
        low, middle, high = np.percentile(np.asarray(figures, dtype=np.float64), [25, 50, 75])
        return cls(median=float(middle), iqr=float(high - low), count=len(figures))

    @property
    def median_error(self) -> float:
        """Standard error of the median, √(π/2) · (iqr / 1.349) / √count, for normal scatter.

        The IQR says how far single runs scatter and does not shrink; this says how well the
        median is known, and halves with four times the runs.
        """
        return math.sqrt(math.pi / 2) * self.iqr / 1.349 / math.sqrt(self.count)


def paired_ratio(seconds: Sequence[float], base_seconds: Sequence[float]) -> Spread:
    """Spread of `paired_ratios`.

    Example:
        >>> paired_ratio([2.0, 30.0], [1.0, 10.0])
        Spread(median=2.5, iqr=0.5, count=2)
    """
    return Spread.of(paired_ratios(seconds, base_seconds))


def paired_ratios(seconds: Sequence[float], base_seconds: Sequence[float]) -> list[float]:
    """The ratios seconds[r] / base_seconds[r], one for each round r.

    Args:
        seconds: run times by round.
        base_seconds: run times of the baseline in the same rounds.

    Returns:
        The ratios by round, without unit.

    Raises:
        ValueError: the lengths differ, or the baseline took no time by the clock in some round.

    Example:
        >>> paired_ratios([2.0, 30.0], [1.0, 10.0])
        [2.0, 3.0]
    """
    if len(seconds) != len(base_seconds):
        raise ValueError(
            f"seconds has {len(seconds)} rounds and base_seconds {len(base_seconds)}: "
            "paired ratios need both from the same run"
        )
    if min(base_seconds) <= 0:
        raise ValueError(
            "base_seconds holds a run of 0 s: the clock cannot resolve the baseline; "
            "give it more work"
        )
    return [s / b for s, b in zip(seconds, base_seconds, strict=True)]
