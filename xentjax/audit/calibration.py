"""Calibration: whether what was said with probability p came true as often.

From logits and labels to one record: mean confidence against accuracy, the calibration error
without the part that noise adds to it, the Brier score and what it is made of, and the data of a
reliability diagram.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from xentjax.audit.bins import equal_mass_cells
from xentjax.audit.brier import BrierDecomposition, brier_decomposition
from xentjax.audit.class_scores import ClassScores, read_class_scores
from xentjax.audit.estimate import Z_95, Estimate, share, shares
from xentjax.audit.given import Given
from xentjax.metrics.calibration import expected_calibration_error
from xentjax.metrics.reliability import Reliability, ReliabilityTable

_NULL_DRAWS = 1000


@dataclasses.dataclass(frozen=True)
class ReliabilityDiagram:
    """Confidence against accuracy in bins of equal width.

    Attributes:
        count: int64 [bins], rows in the bin.
        confidence: [bins], their mean confidence; NaN in an empty bin.
        accuracy: [bins], the share of them that was right; NaN in an empty bin.
        low: [bins], lower end of the Wilson interval of the accuracy.
        high: [bins], upper end.
    """

    count: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Calibration:
    """How far a classifier's confidence can be taken at its word.

    Attributes:
        rows: how many were counted.
        accuracy: with its Wilson interval.
        confidence: mean probability of the likeliest class.
        overconfidence: mean confidence minus accuracy; below 0 it is underconfidence.
        error: the debiased calibration error, root mean square, in [0, 1].
        chance_error: what a perfectly calibrated model with these confidences stays below in 95 of
            100 samples of labels.
        expected_error: the plain ECE in the same bins, with its upward bias, for comparison with
            publications.
        nats: mean cross-entropy.
        brier: the Brier score and its parts.
        diagram: the reliability diagram.
    """

    rows: int
    accuracy: Estimate
    confidence: float
    overconfidence: Estimate
    error: Estimate
    chance_error: float
    expected_error: float
    nats: float
    brier: BrierDecomposition
    diagram: ReliabilityDiagram


def measure_calibration(
    logits: Given,
    labels: Given,
    *,
    bins: int = 15,
    diagram_bins: int = 10,
    resamples: int = 1000,
    seed: int = 0,
) -> Calibration:
    r"""Confidence against accuracy, with intervals and with what chance alone would show.

    In bins of equal mass with n_b of N rows the calibration error is the root of

        E² = Σ_b n_b/N [(acc_b − conf_b)² − acc_b (1 − acc_b)/(n_b − 1)],

    unbiased before the root is taken (0 where E² < 0). Its interval is the basic bootstrap of E²
    over rows: what resamples show beyond the plug-in error of the data is taken off. Where a
    calibrated model would show as large an error in one of 20 samples, the interval begins at 0;
    it reaches at least as far as that of the overconfidence, which the error is never below.

    The interval of the overconfidence joins Wilson's of the accuracy and the normal one of the mean
    confidence (Zou and Donner): valid with no mistake at all, where a bootstrap shrinks to a point,
    and at worst a little wide, as it leaves out that confidence and success go together.

    Prefer it to a plain ECE, which noise alone makes positive. It looks at the likeliest class
    only, except for the Brier score, which looks at all of them.

    Args:
        logits: [N, C], finite.
        labels: integers [N].
        bins: of equal mass, for the errors and the Brier score; no more than a fifth of the rows
            are used, so that each bin holds 5.
        diagram_bins: of equal width, for the diagram.
        resamples: of the bootstrap, at least 2.
        seed: of the bootstrap and of the chance error.

    Returns:
        A `Calibration`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite, a label or an option is out of range.

    Example:
        >>> logits = np.log([[0.75, 0.25]] * 4)
        >>> found = measure_calibration(logits, np.array([0, 0, 1, 1]))
        >>> print(f"{found.confidence:.2f} - {found.accuracy.value:.2f}")  # says ¾, right in ½
        0.75 - 0.50
        >>> print(f"{found.overconfidence.value:.2f}")
        0.25

    Reference:
        A. Kumar, P. Liang, T. Ma, Verified Uncertainty Calibration, 2019. J. Bröcker, L. A. Smith,
        Increasing the Reliability of Reliability Diagrams, 2007. G. Y. Zou, A. Donner,
        Construction of Confidence Limits about Effect Measures, 2008.
    """
    check_at_least(1, bins=bins, diagram_bins=diagram_bins)
    check_at_least(2, resamples=resamples)
    scores = read_class_scores(logits, labels)
    confidence, correct = scores.confidence, scores.correct
    cells = equal_mass_cells(confidence, min(bins, max(1, len(correct) // 5)))
    accuracy = share(int(correct.sum()), len(correct))
    chance = _chance_square(cells, confidence, seed)
    overconfidence = _overconfidence(confidence, accuracy)
    error = _error(cells, confidence, correct, chance, resamples, seed)
    # The error is never below the size of the overconfidence (Jensen), and where no row is wrong
    # all resamples are alike.
    reach = max(error.high, -overconfidence.low, overconfidence.high)
    return Calibration(
        rows=len(correct),
        accuracy=accuracy,
        confidence=float(confidence.mean()),
        overconfidence=overconfidence,
        error=error._replace(high=reach),
        chance_error=root(chance),
        expected_error=float(expected_calibration_error(_table(cells, confidence, correct))),
        nats=float(scores.losses.mean()),
        brier=brier_decomposition(logits, labels, bins=bins),
        diagram=_diagram(scores, diagram_bins),
    )


def _overconfidence(confidence: np.ndarray, accuracy: Estimate) -> Estimate:
    mean, n = confidence.mean(), len(confidence)
    reach = Z_95 * confidence.std(ddof=1) / np.sqrt(n) if n > 1 else 1.0
    low, high = max(mean - reach, 0.0), min(mean + reach, 1.0)
    gap = mean - accuracy.value
    below = np.hypot(mean - low, accuracy.high - accuracy.value)
    above = np.hypot(high - mean, accuracy.value - accuracy.low)
    return Estimate(float(gap), float(max(gap - below, -1)), float(min(gap + above, 1)))


def _error(cells, confidence, correct, chance, resamples, seed) -> Estimate:
    rng, n = np.random.default_rng(seed), len(cells)
    draws = (rng.integers(0, n, n) for _ in range(resamples))
    # A program compiled for each number of rows would take longer than the resamples do.
    found = [_square(cells[drawn], confidence[drawn], correct[drawn]) for drawn in draws]
    square = _square(cells, confidence, correct)
    # To a resample the data are the truth, and their noise is part of that truth.
    sums = np.bincount(cells, confidence - correct)
    truth = float((sums**2 / np.maximum(np.bincount(cells), 1)).sum()) / n
    return root_estimate(square, np.array(found), truth, chance)


def root_estimate(square: float, resampled: np.ndarray, truth: float, chance: float) -> Estimate:
    """An error from its debiased square, with the basic bootstrap interval of the square.

    Args:
        square: E², may be negative.
        resampled: E² of resamples.
        truth: E² of the data as they are, not debiased: what the resamples scatter about.
        chance: what E² stays below in 95 of 100 samples where there is no error; the interval
            begins at 0 where E² does too.
    """
    lowest, highest = np.quantile(resampled, [0.025, 0.975])
    low = 0.0 if square <= chance else min(square - (highest - truth), square)
    high = max(square - (lowest - truth), square)
    return Estimate(root(square), root(low), root(high))


def _square(cells: np.ndarray, confidence: np.ndarray, correct: np.ndarray) -> float:
    """E² in double precision; may be negative."""
    count = np.bincount(cells)
    held = np.maximum(count, 1)
    gap = np.bincount(cells, confidence - correct) / held
    accuracy = np.bincount(cells, correct) / held
    noise = accuracy * (1 - accuracy) / np.maximum(count - 1, 1)
    return float(np.where(count > 1, count * (gap**2 - noise), 0).sum() / len(cells))


def _chance_square(cells: np.ndarray, confidence: np.ndarray, seed: int) -> float:
    """The 95 % quantile of E² where every row is right with the probability it claims."""
    rng = np.random.default_rng(seed)
    drawn = (
        _square(cells, confidence, rng.random(len(cells)) < confidence) for _ in range(_NULL_DRAWS)
    )
    return float(np.quantile(list(drawn), 0.95))


def _table(cells: np.ndarray, confidence: np.ndarray, correct: np.ndarray) -> ReliabilityTable:
    count = np.bincount(cells)
    held = np.where(count > 0, count, np.nan)
    means = (np.bincount(cells, values) / held for values in (confidence, correct))
    return ReliabilityTable(*(jnp.asarray(x, jnp.float32) for x in (count, count, *means)))


def _diagram(scores: ClassScores, bins: int) -> ReliabilityDiagram:
    reliability = Reliability(bins)
    confidence = jnp.asarray(scores.confidence, jnp.float32)
    state = reliability.update(reliability.init(), confidence, jnp.asarray(scores.correct))
    table = reliability.compute(state)
    count = np.asarray(table.weight, np.int64)
    hits = np.rint(np.nan_to_num(np.asarray(table.accuracy, np.float64)) * count)
    accuracy, low, high = shares(hits.astype(np.int64), count)
    return ReliabilityDiagram(count, np.asarray(table.confidence, np.float64), accuracy, low, high)


def root(square: float) -> float:
    """The root of a square that noise may have made negative."""
    return float(np.sqrt(max(square, 0.0)))


def check_at_least(least: int, **options: int) -> None:
    """Raises ValueError naming the first option that is too small."""
    for name, value in options.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
