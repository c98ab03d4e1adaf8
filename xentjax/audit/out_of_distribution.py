"""Out of distribution: whether a classifier's confidence tells its own kind of rows from others.

Scores of logits, higher for rows like those of training; how well they tell rows apart; and plain
rows that are surely none of the data, for a first test.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Float, Num, Shaped

from xentjax.audit.class_scores import log_softmax, read_logits
from xentjax.audit.estimate import Z_95, Estimate, share
from xentjax.audit.given import Given, finite_of
from xentjax.metrics.ranking import roc_auc


@dataclasses.dataclass(frozen=True)
class Detection:
    """How well a score tells rows of the data from others.

    Attributes:
        auroc: how often a row of the data scores above another; ½ is guessing.
        threshold: the score that 95 % of the calibration rows reach.
        kept: the share of the data's rows at or above it.
        false_alarm: the share of other rows at or above it, taken for data: the FPR at 95 % TPR.
    """

    auroc: Estimate
    threshold: float
    kept: Estimate
    false_alarm: Estimate


def max_softmax_score(logits: Given) -> Float[np.ndarray, " N"]:
    """The log-probability of the likeliest class, which orders rows as its probability does.

    max_c log softmax(x)_c, exact where the probability rounds to 1. The baseline.

    Args:
        logits: [N, C], finite.

    Returns:
        Nats, float64 [N], at most 0.

    Example:
        >>> print(max_softmax_score(np.log([[3.0, 1.0]])).round(4))  # log ¾
        [-0.2877]

    Reference:
        D. Hendrycks, K. Gimpel, A Baseline for Detecting Misclassified and Out-of-Distribution
        Examples in Neural Networks, 2017.
    """
    return log_softmax(read_logits(logits)).max(axis=1)


def energy_score(logits: Given, *, temperature: float = 1.0) -> Float[np.ndarray, " N"]:
    r"""The negative energy T · logsumexp(x / T).

    Prefer it to `max_softmax_score` where logits of known rows are large in all: the softmax
    forgets their level. Near T = 0 it is `max_logit_score`.

    Args:
        logits: [N, C], finite.
        temperature: T > 0.

    Returns:
        Nats times T, float64 [N].

    Raises:
        ValueError: logits do not fit or T is not above 0.

    Example:
        >>> print(energy_score(np.log([[3.0, 1.0]])).round(4))  # log 4
        [1.3863]

    Reference:
        W. Liu, X. Wang, J. Owens, Y. Li, Energy-based Out-of-distribution Detection, 2020.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    values = read_logits(logits)
    # x_max − T log p_max, in which nothing overflows.
    return values.max(axis=1) - temperature * log_softmax(values / temperature).max(axis=1)


def max_logit_score(logits: Given) -> Float[np.ndarray, " N"]:
    """The largest logit; prefer it with very many classes, among which likely ones are alike.

    Args:
        logits: [N, C], finite.

    Returns:
        float64 [N].

    Example:
        >>> max_logit_score(np.array([[2.0, 1.0]]))
        array([2.])

    Reference:
        D. Hendrycks et al., Scaling Out-of-Distribution Detection for Real-World Settings, 2022.
    """
    return read_logits(logits).max(axis=1)


def margin_score(logits: Given) -> Float[np.ndarray, " N"]:
    """The largest logit minus the second: the log-odds of the two likeliest classes.

    Args:
        logits: [N, C], finite.

    Returns:
        Nats, float64 [N], at least 0.

    Example:
        >>> margin_score(np.array([[2.0, 1.0, 0.0]]))
        array([1.])
    """
    values = np.sort(read_logits(logits), axis=1)
    return values[:, -1] - values[:, -2]


def detect(
    inside: Given,
    outside: Given,
    *,
    calibration: Given | None = None,
) -> Detection:
    r"""How well scores tell rows of the data from others.

    The interval of the AUROC θ holds all θ with |θ̂ − θ| ≤ z s(θ), where s² is the variance of
    Hanley and McNeil for m and n rows, with both group sizes taken as (m + n)/2 in it (Newcombe's
    method 5). It is not empty where rows are told apart perfectly.

    Args:
        inside: scores of rows of the data, [m], higher where they are more like the data.
        outside: scores of other rows, [n].
        calibration: scores of further rows of the data, from which the threshold is taken; by
            default `inside`, as in publications.

    Returns:
        A `Detection`.

    Raises:
        ValueError: an array is empty, not [N] or not finite.

    Example:
        >>> found = detect(np.array([3.0, 2.0, 1.0]), np.array([2.5, 0.0]))
        >>> print(f"{found.auroc.value:.3f}")  # 4 of 6 pairs in order
        0.667
        >>> found.threshold, found.false_alarm.value
        (1.0, 0.5)

    Reference:
        R. G. Newcombe, Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney
        Statistic, Part 2, 2006.
    """
    calibration = inside if calibration is None else calibration
    given = {"inside": inside, "outside": outside, "calibration": calibration}
    inside, outside, calibration = (finite_of(x, name, "N") for name, x in given.items())
    # The ⌈0.95 n⌉-th largest, so that at least 95 % reach it.
    threshold = float(-np.sort(-calibration)[-(-19 * len(calibration) // 20) - 1])
    kept, alarms = (int((scores >= threshold).sum()) for scores in (inside, outside))
    return Detection(
        auroc=_auroc(inside, outside),
        threshold=threshold,
        kept=share(kept, len(inside)),
        false_alarm=share(alarms, len(outside)),
    )


def shuffled_features(
    features: Shaped[np.ndarray, "N ..."], *, seed: int = 0
) -> Shaped[np.ndarray, "N ..."]:
    """Each row with its features in an order of its own: the same values, without their meaning.

    Args:
        features: [N, …]; all axes but the first are features.
        seed: of the orders.

    Example:
        >>> shuffled_features(np.arange(6).reshape(2, 3)).sum(axis=1)
        array([ 3, 12])
    """
    rng = np.random.default_rng(seed)
    return rng.permuted(features.reshape(len(features), -1), axis=1).reshape(features.shape)


def uniform_features(
    features: Num[np.ndarray, "N ..."], *, seed: int = 0
) -> Num[np.ndarray, "N ..."]:
    """Noise: every feature uniform between its smallest and its largest value in the data.

    Args:
        features: [N, …], finite; integers give integers.
        seed: of the noise.

    Example:
        >>> noise = uniform_features(np.array([[0.0, 5.0], [1.0, 5.0]]))
        >>> noise.shape, float(noise[:, 1].min())
        ((2, 2), 5.0)
    """
    rng = np.random.default_rng(seed)
    low, high = features.min(axis=0)[None], features.max(axis=0)[None]
    if np.issubdtype(features.dtype, np.integer):
        return rng.integers(low, high, size=features.shape, endpoint=True).astype(features.dtype)
    return (low + (high - low) * rng.random(features.shape)).astype(features.dtype)


def _auroc(inside: np.ndarray, outside: np.ndarray) -> Estimate:
    # Ranks keep what float32 would round together.
    scores = np.unique(np.concatenate([inside, outside]), return_inverse=True)[1]
    labels = np.arange(len(scores)) < len(inside)
    value = float(roc_auc(scores.astype(np.float32), labels))
    m, n = len(inside), len(outside)

    def reached(area: float) -> bool:
        between = (1 - area) / (2 - area) + area / (1 + area)
        variance = area * (1 - area) * (1 + ((m + n) / 2 - 1) * between) / (m * n)
        return abs(value - area) <= Z_95 * math.sqrt(variance)

    return Estimate(value, _end(value, 0.0, reached), _end(value, 1.0, reached))


def _end(inner: float, outer: float, reached) -> float:
    """Where `reached` ends on the way from a number inside to one outside, by halving."""
    if reached(outer):
        return outer
    # At 0 and 1 themselves the variance is 0, and every interval closed.
    inner = min(max(inner, 1e-12), 1 - 1e-12)
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (middle, outer) if reached(middle) else (inner, middle)
    return inner
