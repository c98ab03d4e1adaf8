"""Conformal prediction: sets of classes that hold the true one as often as promised.

The promise needs nothing of the model, only that calibration rows and later rows are exchangeable.
A good model is told by small sets. Calibrate on validation, count on test (see `set_coverage`).
"""

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Bool, Shaped

from xentjax.audit.class_scores import ClassScores, log_softmax, read_class_scores, read_logits
from xentjax.audit.given import Given, array_of


@dataclasses.dataclass(frozen=True)
class ConformalPredictor:
    """From logits to sets of classes.

    Attributes:
        thresholds: float64 [C]; a class belongs to the set where its score is at most its
            threshold. inf where there were too few rows: then it belongs to every set.
        alpha: how often the true class may be missed.
        penalty: λ of RAPS; 0 for APS.
        free: k of RAPS, how many classes come without a penalty.
        randomized: whether scores are randomized, so that sets too need a key.
        rows: int64 [C], how many calibration rows each threshold was taken from.
    """

    thresholds: np.ndarray
    alpha: float
    penalty: float
    free: int
    randomized: bool
    rows: np.ndarray

    @property
    def unbounded(self) -> tuple[int, ...]:
        """The classes that belong to every set, for want of calibration rows."""
        return tuple(np.flatnonzero(np.isinf(self.thresholds)).tolist())

    def sets(
        self,
        logits: Given,
        *,
        key: Shaped[Array, "..."] | None = None,
    ) -> Bool[np.ndarray, "N C"]:
        """Which classes belong to the set of each row: booleans [N, C].

        Args:
            logits: [N, C], finite.
            key: a JAX random key, other than that of calibration, where scores are randomized.

        Raises:
            ValueError: a key is missing or not wanted, or logits do not fit.
        """
        values = read_logits(logits)
        if values.shape[1] != len(self.thresholds):
            raise ValueError(
                f"logits must have {len(self.thresholds)} classes, got shape {values.shape}"
            )
        if self.randomized != (key is not None):
            raise ValueError(
                "key must be given where the predictor was fitted with one, and only there: "
                f"randomized is {self.randomized}"
            )
        scores = _scores(values, self.penalty, self.free, key)
        return scores <= self.thresholds[None, :]


def fit_aps(
    logits: Given,
    labels: Given,
    *,
    alpha: float = 0.1,
    key: Shaped[Array, "..."] | None = None,
) -> ConformalPredictor:
    r"""Adaptive prediction sets: the likeliest classes, until they hold enough probability.

    The score of class c is the probability of all classes that come before it, and with a key a
    random part of its own:

        s(x, c) = Σ_{j before c} p_j + u p_c,    u = 0, or uniform in [0, 1] with a key

    so that without a key a set ends with the class that brings it to the threshold, and is never
    empty. The threshold is the ⌈(n + 1)(1 − α)⌉-th smallest score of the n true classes, inf where
    that is more than n. Sets hold the true class with probability at least 1 − α; with a key also
    at most 1 − α + 1/(n + 1), at the price that a set depends on a draw and may be empty.

    Prefer it for few classes. With many, the long tail of small probabilities makes sets large;
    prefer `fit_raps`. The promise is one on average; prefer `fit_classwise_aps` where each class
    must have it.

    Args:
        logits: [n, C] of calibration rows, unseen in training, finite.
        labels: integers [n].
        alpha: α in (0, 1).
        key: a JAX random key, for randomized scores.

    Returns:
        A `ConformalPredictor`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite, a label or α is out of range.

    Example:
        >>> logits = np.log([[0.7, 0.2, 0.1]] * 4)
        >>> found = fit_aps(logits, np.array([0, 0, 1, 2]), alpha=0.4)
        >>> print(found.thresholds.round(3))  # scores 0 0 .7 .9; ⌈5 · 0.6⌉ = 3rd smallest
        [0.7 0.7 0.7]
        >>> found.sets(np.log([[0.5, 0.3, 0.2]]))  # 0, .5 and .8
        array([[ True,  True, False]])

    Reference:
        Y. Romano, M. Sesia, E. Candès, Classification with Valid and Adaptive Coverage, 2020.
    """
    return fit_raps(logits, labels, alpha=alpha, penalty=0.0, free=0, key=key)


def fit_raps(
    logits: Given,
    labels: Given,
    *,
    alpha: float = 0.1,
    penalty: float = 0.01,
    free: int = 5,
    key: Shaped[Array, "..."] | None = None,
) -> ConformalPredictor:
    r"""Regularized adaptive prediction sets: APS with a price on every class beyond the first k.

        s(x, c) = Σ_{j before c} p_j + u p_c + λ max(0, rank of c − k)

    The promise is that of `fit_aps`. Prefer it with many classes, whose tails it keeps out.

    Args:
        logits: [n, C] of calibration rows, unseen in training, finite.
        labels: integers [n].
        alpha: α in (0, 1).
        penalty: λ ≥ 0.
        free: k ≥ 0.
        key: a JAX random key, for randomized scores.

    Returns:
        A `ConformalPredictor`.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite, a label or an option out of range.

    Example:
        >>> logits = np.log([[0.7, 0.2, 0.1]] * 4)
        >>> found = fit_raps(logits, np.array([0, 0, 1, 2]), alpha=0.4, penalty=0.5, free=1)
        >>> print(found.thresholds.round(3))  # 0 0 .7 + .5 and .9 + 2 · .5
        [1.2 1.2 1.2]

    Reference:
        A. N. Angelopoulos, S. Bates, J. Malik, M. I. Jordan, Uncertainty Sets for Image Classifiers
        using Conformal Prediction, 2021.
    """
    if not 0 <= penalty < math.inf:
        raise ValueError(f"penalty must be at least 0, got {penalty}")
    if free < 0:
        raise ValueError(f"free must be at least 0, got {free}")
    read = read_class_scores(logits, labels)
    scores = _true_scores(read, penalty, free, key)
    own = [scores] * read.logits.shape[1]
    return _predictor(own, alpha, penalty=penalty, free=free, randomized=key is not None)


def fit_classwise_aps(
    logits: Given,
    labels: Given,
    *,
    alpha: float = 0.1,
    key: Shaped[Array, "..."] | None = None,
) -> ConformalPredictor:
    r"""Adaptive prediction sets that keep their promise in every class, not only on average.

    As `fit_aps`, with a threshold for each class from the calibration rows of that class. A class
    with fewer than ⌈1/α⌉ − 1 rows has the threshold inf and belongs to every set.

    Prefer it where missing a rare class is as bad as missing a frequent one. It pays in larger
    sets, as each threshold rests on fewer rows.

    Args:
        logits: [n, C] of calibration rows, unseen in training, finite.
        labels: integers [n].
        alpha: α in (0, 1).
        key: a JAX random key, for randomized scores.

    Returns:
        A `ConformalPredictor`; `unbounded` names the classes with too few rows.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, a logit is not finite, a label or α is out of range.

    Example:
        >>> logits = np.log([[0.7, 0.3]] * 3)
        >>> found = fit_classwise_aps(logits, np.array([0, 0, 1]), alpha=0.4)
        >>> print(found.thresholds.round(3))  # ⌈3 · 0.6⌉ = 2 of 2 rows, ⌈2 · 0.6⌉ = 2 of 1
        [ 0. inf]

    Reference:
        V. Vovk, Conditional Validity of Inductive Conformal Predictors, 2012. Y. Romano, M. Sesia,
        E. Candès, Classification with Valid and Adaptive Coverage, 2020.
    """
    read = read_class_scores(logits, labels)
    scores = _true_scores(read, 0.0, 0, key)
    own = [scores[read.labels == c] for c in range(read.logits.shape[1])]
    return _predictor(own, alpha, penalty=0.0, free=0, randomized=key is not None)


def conformal_quantile(scores: Given, alpha: float) -> float:
    """The ⌈(n + 1)(1 − α)⌉-th smallest of n scores; inf where that is more than n.

    Args:
        scores: [n], may be empty.
        alpha: α in (0, 1); counted as the decimal number it is written as.

    Raises:
        ValueError: scores are not [n] or hold a NaN, or α is out of range.

    Example:
        >>> conformal_quantile(np.arange(1.0, 10.0), 0.1), conformal_quantile(np.arange(8.0), 0.1)
        (9.0, inf)
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie in (0, 1), got {alpha}")
    found = array_of(scores, "scores").astype(np.float64)
    if found.ndim != 1 or np.isnan(found).any():
        raise ValueError(f"scores must be [n] without NaN, got shape {found.shape}")
    n = len(found)
    rank = math.ceil((n + 1) * (1 - Fraction(str(alpha))))
    return float(np.sort(found)[rank - 1]) if rank <= n else math.inf


def _predictor(own: Sequence[np.ndarray], alpha: float, **scoring: Any) -> ConformalPredictor:
    """A threshold for each class from calibration scores of its own."""
    thresholds = np.array([conformal_quantile(scores, alpha) for scores in own])
    rows = np.array([len(scores) for scores in own])
    return ConformalPredictor(thresholds=thresholds, alpha=alpha, rows=rows, **scoring)


def _true_scores(read: ClassScores, penalty: float, free: int, key: Array | None) -> np.ndarray:
    """The scores of the true classes [n]."""
    scores = _scores(read.logits, penalty, free, key)
    return scores[np.arange(len(read.labels)), read.labels]


def _scores(logits: np.ndarray, penalty: float, free: int, key: Array | None) -> np.ndarray:
    """The scores of all classes [N, C]; equal logits come in the order of their classes."""
    order = np.argsort(-logits, axis=1, kind="stable")
    p = np.take_along_axis(np.exp(log_softmax(logits)), order, axis=1)
    ranks = np.arange(1, logits.shape[1] + 1)
    price = penalty * np.maximum(ranks - free, 0)
    before = np.cumsum(np.pad(p, ((0, 0), (1, 0))), axis=1)[:, :-1]
    sorted_scores = before + price[None, :]
    if key is not None:
        sorted_scores += _draws(key, len(logits))[:, None] * p
    scores = np.empty_like(sorted_scores)
    np.put_along_axis(scores, order, sorted_scores, axis=1)
    return scores


def _draws(key: Array, n: int) -> np.ndarray:
    return np.asarray(jax.random.uniform(key, (n,)), np.float64)
