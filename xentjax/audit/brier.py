"""The Brier score taken apart: calibration, discrimination, and what no forecast can help."""

import dataclasses

import numpy as np

from xentjax.audit.bins import equal_mass_cells
from xentjax.audit.class_scores import read_class_scores
from xentjax.audit.given import Given


@dataclasses.dataclass(frozen=True)
class BrierDecomposition:
    """The Brier score and what it is made of; `score` is the sum of the others, exactly.

    score = reliability − resolution + uncertainty + within_bin_spread − 2 · within_bin_covariance

    Attributes:
        score: Σ_c (p_c − y_c)², averaged over the rows; 0 at best, 2 at worst.
        reliability: how far what was said lies from what came, bin by bin; 0 at best.
        resolution: how far what came differs between bins; the more the better.
        uncertainty: of the labels themselves; the score of always saying their frequencies.
        within_bin_spread: variance of what was said within bins.
        within_bin_covariance: of what was said and what came, within bins.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bin_spread: float
    within_bin_covariance: float


def brier_decomposition(
    logits: Given,
    labels: Given,
    *,
    bins: int = 15,
) -> BrierDecomposition:
    r"""The Brier score as calibration, discrimination and what no forecast can help.

    Each class against the rest, in bins b of equal mass of its own probability p, with outcomes y
    and means p̄_b, ȳ_b within a bin and ȳ over all; summed over the classes:

        reliability            Σ_b n_b/N (p̄_b − ȳ_b)²
        resolution             Σ_b n_b/N (ȳ_b − ȳ)²
        uncertainty            ȳ (1 − ȳ)
        within-bin spread      1/N Σ_i (p_i − p̄_b)²
        within-bin covariance  1/N Σ_i (p_i − p̄_b)(y_i − ȳ_b)

    Murphy's identity holds for one probability a bin; with the last two terms it is exact for any.

    Args:
        logits: [N, C], finite.
        labels: integers [N].
        bins: of equal mass, at least 1.

    Returns:
        A `BrierDecomposition`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite or a label out of range.

    Example:
        >>> logits = np.log([[0.75, 0.25]] * 4)
        >>> found = brier_decomposition(logits, np.array([0, 0, 1, 1]))
        >>> print(f"{found.score:.4f}")  # 2 (½ · ¼² + ½ · ¾²)
        0.6250
        >>> print(f"{found.reliability:.4f} {found.uncertainty:.4f}")  # 2 · ¼² and 2 · ½ · ½
        0.1250 0.5000

    Reference:
        A. H. Murphy, A New Vector Partition of the Probability Score, 1973. D. B. Stephenson,
        C. A. S. Coelho, I. T. Jolliffe, Two Extra Components in the Brier Score Decomposition,
        2008.
    """
    if bins < 1:
        raise ValueError(f"bins must be at least 1, got {bins}")
    scores = read_class_scores(logits, labels)
    probabilities = np.exp(scores.log_probabilities)
    outcomes = scores.labels[:, None] == np.arange(probabilities.shape[1])[None, :]
    parts = [
        _event_parts(said, came.astype(np.float64), bins)
        for said, came in zip(probabilities.T, outcomes.T, strict=True)
    ]
    score = float(np.square(probabilities - outcomes).sum(axis=1).mean())
    return BrierDecomposition(score, *(float(part) for part in np.sum(parts, axis=0)))


def _event_parts(said: np.ndarray, came: np.ndarray, bins: int) -> tuple[np.floating, ...]:
    cells = equal_mass_cells(said, bins)
    count = np.bincount(cells, minlength=bins)
    held = np.maximum(count, 1)
    mean_said = (np.bincount(cells, said, bins) / held)[cells]
    mean_came = (np.bincount(cells, came, bins) / held)[cells]
    frequency = came.mean()
    return (
        np.square(mean_said - mean_came).mean(),
        np.square(mean_came - frequency).mean(),
        frequency * (1 - frequency),
        np.square(said - mean_said).mean(),
        ((said - mean_said) * (came - mean_came)).mean(),
    )
