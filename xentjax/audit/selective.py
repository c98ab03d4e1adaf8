"""Selective prediction: which rows to decide, and which to hand over to a human.

A model that knows when it does not know makes its mistakes where it is least confident. The curve
of risk against coverage shows whether it does; a threshold fitted on validation rows turns it into
a promise.
"""

import dataclasses
import math

import numpy as np

from xentjax.audit.binomial import at_most
from xentjax.audit.estimate import Estimate, share
from xentjax.audit.given import Given, finite_of, flags_of

_GRID = 20  # coverages that are tried for a threshold


@dataclasses.dataclass(frozen=True)
class RiskCoverage:
    """The risk among the most confident rows, as more and more of them are decided.

    Attributes:
        coverage: float64 [N], k/N.
        risk: float64 [N], the share of mistakes among the k most confident rows.
        best_risk: float64 [N], the same if all mistakes came last.
        area: AURC, the mean of `risk`; lower is better. The error rate is that of a random order.
        excess_area: AURC minus the mean of `best_risk`: 0 where every mistake is less confident
            than all that is right.
    """

    coverage: np.ndarray
    risk: np.ndarray
    best_risk: np.ndarray
    area: Estimate
    excess_area: Estimate


@dataclasses.dataclass(frozen=True)
class ConfidenceThreshold:
    """The least confidence at which rows are decided by the model.

    Attributes:
        confidence: the threshold, on the scale it was fitted on; inf where none could be proven.
        accuracy: what was wanted among the rows decided.
        rows: how many it was fitted on.
        rows_needed: the fewest rows, all of them right, that could prove this accuracy.
    """

    confidence: float
    accuracy: float
    rows: int
    rows_needed: int

    @property
    def proven(self) -> bool:
        """Whether some threshold could be proven to reach the accuracy."""
        return self.confidence < math.inf


@dataclasses.dataclass(frozen=True)
class Selection:
    """What came of a threshold on other rows.

    Attributes:
        decided: rows at or above it.
        rows: all rows.
        coverage: their share.
        accuracy: among those decided; NaN within [0, 1] where there are none.
    """

    decided: int
    rows: int
    coverage: Estimate
    accuracy: Estimate


def risk_coverage(
    confidence: Given,
    correct: Given,
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> RiskCoverage:
    r"""The risk-coverage curve and the area under it.

        AURC = 1/N Σ_k (mistakes among the k most confident) / k

    Rows of equal confidence count as in a random order, on average over all orders. Prefer it to
    an AUC of confidence against success, which does not say how many mistakes are left; a model
    with few mistakes has a small area in any order, so compare by `excess_area`.

    Args:
        confidence: [N], of any scale, such as the log-probability of the likeliest class.
        correct: booleans [N].
        resamples: of the bootstrap over rows.
        seed: of the bootstrap.

    Returns:
        A `RiskCoverage`.

    Raises:
        TypeError: correct is not boolean.
        ValueError: shapes do not fit, there is no row or a confidence is not finite.

    Example:
        >>> found = risk_coverage(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]))
        >>> found.risk  # 0 of 1, 1 of 2, 1 of 3
        array([0.        , 0.5       , 0.33333333])
        >>> print(f"{found.area.value:.4f} {found.excess_area.value:.4f}")  # 5/18 and 5/18 − 1/9
        0.2778 0.1667

    Reference:
        Y. Geifman, G. Uziel, R. El-Yaniv, Bias-Reduced Uncertainty Estimation for Deep Neural
        Classifiers, 2019.
    """
    if resamples < 2:
        raise ValueError(f"resamples must be at least 2, got {resamples}")
    confidence, correct = _read(confidence, correct)
    n = len(correct)
    # 0 for the most confident; equal ones share a group.
    groups = np.unique(-confidence, return_inverse=True)[1]
    risk, best = _risks(groups, ~correct)
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, n, n) for _ in range(resamples))
    # A program compiled for each number of rows would take longer than the resamples do.
    found = [_areas(*_risks(groups[drawn], ~correct[drawn])) for drawn in draws]
    ends = np.quantile(found, [0.025, 0.975], axis=0)
    areas = [Estimate(*map(float, of)) for of in zip(_areas(risk, best), *ends, strict=True)]
    return RiskCoverage(np.arange(1, n + 1) / n, risk, best, *areas)


def choose_threshold(
    confidence: Given,
    correct: Given,
    *,
    accuracy: float,
    mistrust: float = 0.05,
) -> ConfidenceThreshold:
    r"""The lowest threshold proven, on validation rows, to reach an accuracy.

    Thresholds at coverages of 5 %, 10 %, … of the rows are tried from the strictest that could
    pass at all downwards. Each is tested exactly: with e mistakes among k rows decided, it passes
    while P(Bin(k, 1 − accuracy) ≤ e) ≤ mistrust (Clopper and Pearson). The first to fail ends the
    search; so all that passed hold together with probability 1 − mistrust, without a correction
    for having tried many.

    Prefer it to the threshold at which the validation rows themselves just reach the accuracy:
    half of the time that one does not reach it on others.

    Args:
        confidence: [N], as for `risk_coverage`, of rows the model was not trained on.
        correct: booleans [N].
        accuracy: wanted among the rows decided, in (0, 1).
        mistrust: how likely the promise may be wrong, in (0, 1).

    Returns:
        A `ConfidenceThreshold`; apply it to other rows by `select`.

    Raises:
        TypeError: correct is not boolean.
        ValueError: shapes do not fit, there is no row, a confidence is not finite or an option
            out of range.

    Example:
        >>> confidence = np.linspace(1, 0, 100)
        >>> found = choose_threshold(confidence, np.arange(100) < 70, accuracy=0.9)
        >>> found.rows_needed  # 0.9²⁹ = 0.047 ≤ 0.05
        29
        >>> int((confidence >= found.confidence).sum())  # 5 mistakes among 75 are too many
        70

    Reference:
        Y. Geifman, R. El-Yaniv, Selective Classification for Deep Neural Networks, 2017.
        A. N. Angelopoulos et al., Learn then Test, 2021. C. J. Clopper, E. S. Pearson, The Use of
        Confidence or Fiducial Limits Illustrated in the Case of the Binomial, 1934.
    """
    for name, value in (("accuracy", accuracy), ("mistrust", mistrust)):
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie in (0, 1), got {value}")
    confidence, correct = _read(confidence, correct)
    n = len(correct)
    needed = math.ceil(math.log(mistrust) / math.log(accuracy))
    falling = -np.sort(-confidence)
    found = math.inf
    for step in range(1, _GRID + 1):
        threshold = falling[math.ceil(step * n / _GRID) - 1]
        decided = confidence >= threshold
        if decided.sum() < needed:
            continue
        mistakes = int((decided & ~correct).sum())
        if at_most(mistakes, int(decided.sum()), 1 - accuracy) > mistrust:
            break
        found = float(threshold)
    return ConfidenceThreshold(found, accuracy, n, needed)


def select(
    threshold: ConfidenceThreshold,
    confidence: Given,
    correct: Given,
) -> Selection:
    """How many rows a threshold decides, and how many of them rightly.

    Args:
        threshold: from `choose_threshold` on other rows.
        confidence: [N], on its scale.
        correct: booleans [N].

    Returns:
        A `Selection` with Wilson intervals.

    Raises:
        TypeError: correct is not boolean.
        ValueError: shapes do not fit, there is no row or a confidence is not finite.

    Example:
        >>> threshold = ConfidenceThreshold(0.5, accuracy=0.9, rows=100, rows_needed=29)
        >>> found = select(threshold, np.array([0.9, 0.5, 0.1]), np.array([True, True, False]))
        >>> found.decided, found.accuracy.value
        (2, 1.0)
    """
    confidence, correct = _read(confidence, correct)
    decided = confidence >= threshold.confidence
    kept = int(decided.sum())
    right = share(int((decided & correct).sum()), kept)
    return Selection(kept, len(correct), share(kept, len(correct)), right)


def _risks(groups: np.ndarray, wrong: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The risk among the first k rows [N], those of a group in random order, and the least risk."""
    count, mistakes = np.bincount(groups), np.bincount(groups, wrong)
    upto = np.arange(1, len(groups) + 1)
    group = np.repeat(np.arange(len(count)), count)
    into = (upto - (np.cumsum(count) - count)[group]) / count[group]
    before = np.cumsum(mistakes) - mistakes
    risk = (before[group] + mistakes[group] * into) / upto
    return risk, np.maximum(upto - (len(wrong) - wrong.sum()), 0) / upto


def _areas(risk: np.ndarray, best: np.ndarray) -> tuple[float, float]:
    """AURC and its excess, which a rounding may not make negative."""
    return float(risk.mean()), max(float((risk - best).mean()), 0.0)


def _read(confidence: Given, correct: Given) -> tuple[np.ndarray, np.ndarray]:
    values = finite_of(confidence, "confidence", "N")
    return values, flags_of(correct, "correct", "N", values.shape)
