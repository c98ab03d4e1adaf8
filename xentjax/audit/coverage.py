"""Coverage: how often prediction sets hold the true class, overall, by class and by size."""

import dataclasses
import math
from fractions import Fraction

import numpy as np

from xentjax.audit.estimate import Estimate, share, shares
from xentjax.audit.given import Given, flags_of, labels_of


@dataclasses.dataclass(frozen=True)
class Shares:
    """Shares by class or by size, with Wilson intervals.

    Attributes:
        count: int64 [K], rows.
        value: [K], the share covered; NaN without rows.
        low: [K], lower end of the 95 % interval.
        high: [K], upper end.
    """

    count: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class SetCoverage:
    """What prediction sets do on rows of their own.

    Attributes:
        rows: how many.
        covered: how many have the true class in their set.
        coverage: their share.
        by_class: the share in each class [C].
        by_size: the share among the sets of each size [C + 1]: where large sets fail more often
            than small ones, sets are small where they should not be.
        mean_size: classes a set; the fewer the more it tells.
    """

    rows: int
    covered: int
    coverage: Estimate
    by_class: Shares
    by_size: Shares
    mean_size: float


def set_coverage(sets: Given, labels: Given) -> SetCoverage:
    """Counts how often sets hold the true class.

    Args:
        sets: booleans [N, C].
        labels: integers [N] in [0, C).

    Returns:
        A `SetCoverage`.

    Raises:
        TypeError: sets are not boolean or labels not integers.
        ValueError: shapes do not fit, there is no row or a label is out of range.

    Example:
        >>> sets = np.array([[True, True], [True, False], [True, False], [False, False]])
        >>> found = set_coverage(sets, np.array([0, 0, 1, 1]))
        >>> found.coverage.value, found.by_class.value, found.mean_size
        (0.5, array([1., 0.]), 1.0)

    Reference:
        A. N. Angelopoulos et al., Uncertainty Sets for Image Classifiers using Conformal
        Prediction, 2021 (coverage stratified by size).
    """
    members = flags_of(sets, "sets", "N C")
    n, classes = members.shape
    true = labels_of(labels, rows=n, classes=classes)
    hits = members[np.arange(n), true]
    sizes = members.sum(axis=1)

    def by(cells: np.ndarray, number: int) -> Shares:
        count = np.bincount(cells, minlength=number)
        return Shares(count, *shares(np.bincount(cells, hits, number), count))

    return SetCoverage(
        rows=n,
        covered=int(hits.sum()),
        coverage=share(int(hits.sum()), n),
        by_class=by(true, classes),
        by_size=by(sizes, classes + 1),
        mean_size=float(sizes.mean()),
    )


def chance_of_coverage(covered: int, rows: int, *, calibration_rows: int, alpha: float) -> float:
    r"""How likely exchangeable rows are covered this seldom or more seldom.

    Over calibration sets, the coverage of one is Beta(n + 1 − l, l) with l = ⌊(n + 1) α⌋, where
    scores are all different; so the number covered of m rows is beta-binomial. A probability below
    some percent says that rows and calibration rows are not alike. Ties only raise the coverage.

    Args:
        covered: how many of the rows are covered.
        rows: m.
        calibration_rows: n, those of one threshold for all classes.
        alpha: α in (0, 1).

    Returns:
        P(covered or fewer), in [0, 1].

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> found = chance_of_coverage(0, 1, calibration_rows=9, alpha=0.1)
        >>> print(f"{found:.2f}")  # one row is missed with probability l / (n + 1)
        0.10

    Reference:
        V. Vovk, Conditional Validity of Inductive Conformal Predictors, 2012.
    """
    if not 0 <= covered <= rows or calibration_rows < 0 or not 0 < alpha < 1:
        raise ValueError(
            "wanted 0 ≤ covered ≤ rows, calibration_rows ≥ 0 and alpha in (0, 1), got "
            f"{covered}, {rows}, {calibration_rows} and {alpha}"
        )
    missed = math.floor((calibration_rows + 1) * Fraction(str(alpha)))
    if missed == 0:
        return 1.0 if covered == rows else 0.0
    a, b = calibration_rows + 1 - missed, missed
    whole = _log_beta(a, b)
    total = 0.0
    for k in range(covered + 1):
        ways = math.lgamma(rows + 1) - math.lgamma(k + 1) - math.lgamma(rows - k + 1)
        total += math.exp(ways + _log_beta(a + k, b + rows - k) - whole)
    return min(total, 1.0)


def _log_beta(a: int, b: int) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
