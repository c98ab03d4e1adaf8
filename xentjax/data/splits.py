"""Train, validation and test indices: disjoint, and together the whole.

`stratified_split` for rows in no particular order (every class keeps its proportion),
`contiguous_split` for sequences, where neighbours resemble each other and a random split would
put nearly the same example on both sides. Both warn when a split is too small to tell.
"""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

_Z_95 = 1.959964  # the 97.5 % quantile of the normal distribution
_REFERENCE_ACCURACY = 0.95
_WIDEST_HALF_WIDTH = 0.05


class SmallSplitWarning(UserWarning):
    """A validation or test split is so small that its accuracy says little."""


class Split(NamedTuple):
    """Sorted int64 indices of the three parts; disjoint, and together all of them."""

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]


def stratified_split(
    labels: np.ndarray,
    *,
    fractions: Sequence[float] = (0.7, 0.15, 0.15),
    seed: int,
) -> Split:
    """Splits rows at random so that every class keeps its proportion in every part.

    Of a class with n rows, part k gets ⌊f_k·n⌋ or ⌈f_k·n⌉ (largest remainders first), and at
    least one.

    Args:
        labels: `[N]` integers.
        fractions: of train, validation and test; positive, summing to 1.
        seed: non-negative; the split is a function of labels, fractions and seed.

    Returns:
        The indices of the three parts, each sorted.

    Raises:
        ValueError: if labels are not one-dimensional integers, a class has fewer than three
            rows, or the fractions are not three positive numbers that sum to 1.

    Warns:
        SmallSplitWarning: if an accuracy of 95 % on validation or test would be known no
            better than ± 5 points.

    Example:
        >>> labels = np.repeat([0, 1], [1400, 600])
        >>> [len(part) for part in stratified_split(labels, seed=0)]
        [1400, 300, 300]
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise ValueError(
            f"labels must be a non-empty one-dimensional array of integers, got {labels.dtype} "
            f"of shape {labels.shape}"
        )
    _check_fractions(fractions)
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 3:
        rarest = int(np.argmin(counts))
        raise ValueError(
            f"labels: class {classes[rarest]} has {counts[rarest]} example(s) and needs at "
            "least 3, one for each part; leave the class out or merge it with another"
        )
    rng = np.random.default_rng(seed)
    parts: list[list[np.ndarray]] = [[], [], []]
    for label, count in zip(classes, counts, strict=True):
        rows = rng.permutation(np.flatnonzero(labels == label))
        cuts = np.cumsum(_apportion(int(count), fractions))[:-1]
        for part, chosen in zip(parts, np.split(rows, cuts), strict=True):
            part.append(chosen)
    return _warn_if_small(Split(*(np.sort(np.concatenate(part)) for part in parts)))


def contiguous_split(n: int, *, fractions: Sequence[float] = (0.8, 0.1, 0.1)) -> Split:
    """Splits a sequence into a beginning, a middle and an end.

    Args:
        n: the length of the sequence.
        fractions: of train, validation and test; positive, summing to 1.

    Returns:
        Train is `[0, a)`, validation `[a, b)` and test `[b, n)`.

    Raises:
        ValueError: if n is too small for three parts or the fractions are not three positive
            numbers that sum to 1.

    Warns:
        SmallSplitWarning: if an accuracy of 95 % on validation or test would be known no
            better than ± 5 points, were its positions independent.

    Example:
        >>> train, validation, test = contiguous_split(1000)
        >>> int(validation[0]), int(test[0]), int(test[-1])
        (800, 900, 999)
    """
    _check_fractions(fractions)
    if n < 3:
        raise ValueError(f"n must be at least 3, one for each part, got {n}")
    train, validation, _ = _apportion(n, fractions)
    index = np.arange(n)
    return _warn_if_small(Split(*np.split(index, [train, train + validation])))


def accuracy_interval(n: int, *, accuracy: float = _REFERENCE_ACCURACY) -> tuple[float, float]:
    """The 95 % Wilson interval of an accuracy measured on n examples.

    (p + z²/(2n) ± z·√(p(1 − p)/n + z²/(4n²))) / (1 + z²/n) with z = 1.96. Unlike the standard
    error it says something where every example was right.

    Args:
        n: the number of independent examples, at least 1.
        accuracy: p, the accuracy measured, in [0, 1].

    Returns:
        The lower and the upper end.

    Example:
        >>> low, high = accuracy_interval(100, accuracy=1.0)  # 1 / (1 + z²/100)
        >>> round(low, 3), high
        (0.963, 1.0)

    Reference:
        E. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
        1927.
    """
    scale = 1 + _Z_95**2 / n
    centre = (accuracy + _Z_95**2 / (2 * n)) / scale
    spread = math.sqrt(accuracy * (1 - accuracy) / n + _Z_95**2 / (4 * n**2))
    half = _Z_95 / scale * spread
    return max(0.0, centre - half), min(1.0, centre + half)


def _apportion(n: int, fractions: Sequence[float]) -> list[int]:
    """Whole numbers in the given proportions: sum n, at least one each, for n ≥ 3."""
    exact = [fraction * n for fraction in fractions]
    # 0.7·10 is 7.000000000000001 and 0.1·30 is 3.0000000000000004: whole up to rounding.
    counts = [math.floor(share + 1e-9) for share in exact]
    by_remainder = sorted(range(3), key=lambda part: counts[part] - exact[part])
    for part in by_remainder[: n - sum(counts)]:
        counts[part] += 1
    while min(counts) == 0:
        counts[counts.index(max(counts))] -= 1
        counts[counts.index(0)] += 1
    return counts


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or not all(fraction > 0 for fraction in fractions):
        raise ValueError(
            f"fractions must be three positive numbers (train, validation, test), got {fractions}"
        )
    if abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(f"fractions must sum to 1, got {fractions}, which sum to {sum(fractions)}")


def _warn_if_small(split: Split) -> Split:
    for name, part in (("validation", split.validation), ("test", split.test)):
        low, high = accuracy_interval(len(part))
        half_width = (high - low) / 2
        if half_width > _WIDEST_HALF_WIDTH:
            warnings.warn(
                f"{name} split has {len(part)} examples: an accuracy of "
                f"{_REFERENCE_ACCURACY:.0%} is known only to ± {100 * half_width:.1f} points "
                "(95 % confidence); use more data or a larger fraction",
                SmallSplitWarning,
                stacklevel=3,
            )
    return split
