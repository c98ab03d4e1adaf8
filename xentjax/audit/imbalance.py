"""Class counts: how uneven they are, which classes are too rare to judge, whether splits agree."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from xentjax.audit.estimate import share
from xentjax.audit.given import Given, integers_of, labels_of
from xentjax.metrics import wilson_interval


class ClassBalance(NamedTuple):
    """How evenly the rows of one split are spread over the classes."""

    counts: Int[np.ndarray, " classes"]
    ratio: float  # largest count / smallest count; infinite where a class has no row
    ratio_low: float
    ratio_high: float
    effective_classes: float  # exp(entropy of the shares), in [1, C]
    effective_low: float
    effective_high: float


class ShareTest(NamedTuple):
    """Whether splits share their class shares."""

    statistic: float  # Pearson's chi-square
    p_value: float  # by permutation
    resamples: int


def class_counts(labels: Given, classes: int) -> Int[np.ndarray, " classes"]:
    """How many rows each class has.

    Args:
        labels: int [N], in [0, classes).
        classes: C, at least 1.

    Returns:
        int64 [C].

    Raises:
        TypeError: labels are not integers.
        ValueError: if labels are empty or out of range, or classes is below 1.

    Example:
        >>> class_counts(np.array([0, 2, 2]), 3).tolist()
        [1, 0, 2]
    """
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    found = labels_of(labels, classes=classes)
    return np.bincount(found, minlength=classes).astype(np.int64)


def class_balance(
    labels: Given, classes: int, *, seed: int = 0, resamples: int = 1000
) -> ClassBalance:
    r"""The imbalance ratio and the effective number of classes, with intervals.

        ratio = max_c n_c / min_c n_c,    effective = exp(−Σ_c (n_c/N) log (n_c/N))

    The ratio looks at the two extremes only and is wild for rare classes; the effective number
    looks at all: of 10 classes, 9.9 is even and 2 means that two of them hold nearly everything.
    The interval of the ratio is Wilson's, of the larger class's share among the rows of the two;
    that of the effective number is the spread of resampled rows about the number itself, since
    resampling alone makes classes look less even.

    Args:
        labels: int [N], at least one.
        classes: C.
        seed: of the resampling of rows.
        resamples: how often.

    Returns:
        `ClassBalance`, its intervals at 95 %.

    Raises:
        TypeError: labels are not integers.
        ValueError: if labels are empty or out of range, or resamples is below 2.

    Example:
        >>> found = class_balance(np.repeat([0, 1], [90, 10]), 2)
        >>> found.ratio, round(found.effective_classes, 4)  # 0.9^-0.9 · 0.1^-0.1
        (9.0, 1.3841)

    Reference:
        M. O. Hill, Diversity and Evenness: A Unifying Notation and Its Consequences, 1973.
    """
    counts = class_counts(labels, classes)
    if resamples < 2:
        raise ValueError(f"resamples must be at least 2, got {resamples}")
    rows = int(counts.sum())
    drawn = np.random.default_rng(seed).multinomial(rows, counts / rows, resamples)
    estimate, resampled = min(float(_effective(counts)), float(classes)), _effective(drawn)
    low, high = np.quantile(resampled - resampled.mean(), [0.025, 0.975])
    return ClassBalance(
        counts,
        *_ratio(int(counts.max()), int(counts.min())),
        effective_classes=estimate,
        effective_low=max(1.0, estimate + float(low)),
        effective_high=min(float(classes), estimate + float(high)),
    )


def recall_half_widths(
    counts: Int[np.ndarray, " classes"], *, recall: float = 0.9
) -> Float[np.ndarray, " classes"]:
    """How well a class's recall can be known from so many test rows.

    Half the width of the 95 % Wilson interval at the given recall. A class whose half-width is
    0.15 or more is too rare to judge: a recall of 90 % cannot be told from one of 75 %.

    Args:
        counts: test rows of each class.
        recall: the recall supposed, in [0, 1].

    Returns:
        float [C], at most 0.5, which is that of a class without rows.

    Raises:
        ValueError: if recall is outside [0, 1].

    Example:
        >>> recall_half_widths(np.array([0, 10, 1000])).round(3).tolist()
        [0.5, 0.193, 0.019]
    """
    if not 0 <= recall <= 1:
        raise ValueError(f"recall must lie in [0, 1], got {recall}")
    interval = wilson_interval(recall * counts.astype(np.float64), counts.astype(np.float64))
    return np.asarray(interval.high - interval.low, np.float64) / 2


def share_test(counts: Given, *, seed: int = 0, resamples: int = 999) -> ShareTest:
    r"""Whether splits could be random parts of one set of rows, as far as the labels tell.

    Pearson's statistic Σ (n_sc − e_sc)² / e_sc with e_sc = n_s n_c / N; its null is drawn by
    dealing the same rows out anew, so it is right for rare classes too, where the chi-square
    distribution is not. A stratified split gives p near 1.

    Args:
        counts: rows of each split and class.
        seed: of the permutations.
        resamples: how many; the p-value is at least 1 / (resamples + 1).

    Returns:
        `ShareTest`; p-value 1 where fewer than two splits or classes have rows.

    Raises:
        TypeError: counts are not integers.
        ValueError: if a count is negative, there is none, or resamples is below 1.

    Example:
        >>> share_test(np.array([[50, 50], [10, 10]])).statistic
        0.0
        >>> found = share_test(np.array([[50, 50], [20, 0]]))
        >>> round(found.statistic, 2)  # (8.33²/58.33 + 8.33²/41.67)·(1 + 100/20) = 17.14
        17.14

    Reference:
        K. Pearson, On the Criterion that a Given System of Deviations …, 1900.
    """
    table = integers_of(counts, "counts", "splits classes")
    if table.min() < 0:
        raise ValueError(f"counts must not be negative, got {table.min()}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    table = table[table.sum(1) > 0][:, table.sum(0) > 0]
    if min(table.shape) < 2:
        return ShareTest(0.0, 1.0, resamples)
    statistic = float(_chi_square(table))
    null = _chi_square(_dealt_anew(table, np.random.default_rng(seed), resamples))
    # Tables as far off as the one seen differ from it by roundings.
    reached = int((null >= statistic * (1 - 1e-9)).sum())
    return ShareTest(statistic, (1 + reached) / (1 + resamples), resamples)


def _dealt_anew(table: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
    """Tables [resamples, S, C] of the same margins, as random splits of the rows give them."""
    dealt = np.zeros((resamples, *table.shape), np.int64)
    for number in range(resamples):
        left = table.sum(axis=0)
        for split, size in enumerate(table.sum(axis=1)):
            dealt[number, split] = rng.multivariate_hypergeometric(left, size)
            left = left - dealt[number, split]
    return dealt


def _chi_square(tables):
    rows, columns = tables.sum(-1, keepdims=True), tables.sum(-2, keepdims=True)
    expected = rows * columns / tables.sum((-1, -2), keepdims=True)
    return ((tables - expected) ** 2 / expected).sum((-1, -2))


def _ratio(largest: int, smallest: int) -> tuple[float, float, float]:
    """The ratio and its interval, never below 1: the larger is the larger."""
    # Of the smaller one, whose share keeps its digits where that of the larger rounds to 1.
    rare = share(smallest, largest + smallest)
    low, high = ((1 - end) / end if end > 0 else math.inf for end in (rare.high, rare.low))
    return largest / smallest if smallest else math.inf, max(1.0, low), high


def _effective(counts):
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return np.exp(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=-1))
