"""What a held-out text shares with the training text, word for word.

Windows are compared by names and not by hashes: windows of 2m tokens are equal where both halves
have equal names, so sorting pairs of names doubles the length, and after log₂ n sorts equal names
mean equal windows, without collisions to be verified (Karp, Miller and Rosenberg 1972).
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from xentjax.audit.given import Given, integers_of
from xentjax.metrics import bootstrap_interval, wilson_interval

# Fewer say nothing of how blocks differ.
_FEWEST_BLOCKS = 6


class SharedWindows(NamedTuple):
    """Of the windows of one length in a held-out text, those that train has word for word."""

    length: int
    hits: Bool[np.ndarray, " windows"]
    share: float
    low: float  # of the 95 % interval by bootstrap over blocks of the text
    high: float


class SharedSpan(NamedTuple):
    """The longest run of tokens that both texts have."""

    length: int
    test_start: int
    train_start: int


class SharedLines(NamedTuple):
    """Of the lines of a held-out text that are long enough to count, those that train has."""

    lines: int
    shared: int
    commonest: tuple[str, ...]  # of the shared ones


def shared_windows(
    test: Given,
    train: Given,
    *,
    length: int,
    block: int = 512,
    seed: int = 0,
) -> SharedWindows:
    """The share of the test's windows of some length that occur in train word for word.

    Exact. Neighbouring windows overlap, so the interval resamples blocks of text and not windows.
    All natural text repeats itself; compare with `shared_windows` of a part of train against the
    rest of it, which is the share to expect of text from the same source.

    Args:
        test: tokens, at least `length`.
        train: tokens.
        length: tokens of a window, at least 1.
        block: windows of a block of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `SharedWindows`; with fewer than six blocks the interval is [0, 1].

    Raises:
        TypeError: if tokens are not integers.
        ValueError: if the test is shorter than a window, or an option is below 1.

    Example:
        >>> test, train = np.array([1, 2, 3, 9]), np.array([7, 1, 2, 3])
        >>> found = shared_windows(test, train, length=2)
        >>> found.hits.tolist(), round(found.share, 3)  # 1 2, 2 3 and not 3 9
        ([True, True, False], 0.667)

    Reference:
        K. Lee et al., Deduplicating Training Data Makes Language Models Better, 2022.
    """
    if length < 1 or block < 1:
        raise ValueError(f"length and block must be at least 1, got {length} and {block}")
    test, train = _read(test, train)
    if len(test) < length:
        raise ValueError(f"test must have at least length = {length} tokens, got {len(test)}")
    names = window_names(np.concatenate([train, test]), length)
    own, others = _windows_of_each(names, len(train), length)
    hits = np.isin(own, others)
    low, high = _block_interval(hits, block, seed)
    return SharedWindows(length, hits, float(hits.mean()), low, high)


def longest_shared_span(test: Given, train: Given) -> SharedSpan:
    """The longest run of test tokens that train has word for word, exact.

    Args:
        test: tokens.
        train: tokens.

    Returns:
        `SharedSpan`, the first in the test of the longest; length 0 where no token is shared.

    Raises:
        TypeError: if tokens are not integers.
        ValueError: if a text is not one-dimensional.

    Example:
        >>> longest_shared_span(np.array([5, 1, 2, 3, 4]), np.array([1, 2, 3, 9, 5]))
        SharedSpan(length=3, test_start=1, train_start=0)
    """
    test, train = _read(test, train)
    whole = np.concatenate([train, test])
    known, names = 0, _renumbered(whole)
    if not _first_shared(names, len(train), 1):
        return SharedSpan(0, 0, 0)
    known = 1
    while 2 * known <= min(len(train), len(test)):
        doubled = _pair_names(names, names, known)
        if not _first_shared(doubled, len(train), 2 * known):
            break
        known, names = 2 * known, doubled
    # A window of known + more tokens is two overlapping windows of known tokens.
    low, high = known, min(2 * known, len(train), len(test))
    while low < high:
        middle = (low + high + 1) // 2
        found = _first_shared(_pair_names(names, names, middle - known), len(train), middle)
        low, high = (middle, high) if found else (low, middle - 1)
    places = _first_shared(_pair_names(names, names, low - known), len(train), low)
    assert places is not None
    return SharedSpan(low, *places)


def repeated_share(tokens: Given, *, length: int) -> float:
    """The share of windows of some length that occurred in the same text before.

    Args:
        tokens: a text, at least `length` tokens.
        length: tokens of a window, at least 1.

    Raises:
        ValueError: if the text is shorter than a window, or length is below 1.

    Example:
        >>> repeated_share(np.array([1, 2, 1, 2, 3]), length=2)  # 12 21 12 23: one of four
        0.25
    """
    tokens = integers_of(tokens, "tokens", "N")
    if not 1 <= length <= len(tokens):
        raise ValueError(f"length must lie in [1, {len(tokens)}], the tokens there are: {length}")
    names = window_names(tokens, length)
    return 1 - (int(names.max()) + 1) / len(names)


def shared_lines(test: str, train: str, *, shortest: int = 20) -> SharedLines:
    r"""Lines of the test that train has too, leaving short ones out.

    Args:
        test: a text.
        train: a text.
        shortest: characters without the space around, at least 1; shorter lines ("return", a
            brace) are everywhere and say nothing.

    Returns:
        `SharedLines`.

    Raises:
        ValueError: if shortest is below 1.

    Example:
        >>> found = shared_lines("some text\nanother\n", "first\nsome text", shortest=3)
        >>> found.lines, found.shared
        (2, 1)
    """
    if shortest < 1:
        raise ValueError(f"shortest must be at least 1, got {shortest}")
    known = set(_long_lines(train, shortest))
    lines = _long_lines(test, shortest)
    shared = [line for line in lines if line in known]
    return SharedLines(
        len(lines), len(shared), tuple(line for line, _ in Counter(shared).most_common(5))
    )


def _long_lines(text: str, shortest: int) -> Sequence[str]:
    return [line.strip() for line in text.splitlines() if len(line.strip()) >= shortest]


def _read(test: Given, train: Given) -> tuple[np.ndarray, np.ndarray]:
    """Both in int64: of int64 and uint64 together numpy would make floats, which merge ids."""
    return (
        integers_of(test, "test", "N", may_be_empty=True),
        integers_of(train, "train", "M", may_be_empty=True),
    )


def _renumbered(values: np.ndarray) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _pair_names(first: np.ndarray, second: np.ndarray, distance: int) -> np.ndarray:
    """Names of the pairs (first at i, second at i + distance)."""
    n = len(second) - distance
    # Names are below the number of tokens, so the product stays far below 2⁶³.
    return _renumbered(first[:n] * (len(second) + 1) + second[distance:])


def window_names(tokens: np.ndarray, length: int) -> np.ndarray:
    """A number for each window of some length, equal where the windows are."""
    known, names = 1, _renumbered(tokens)
    while 2 * known <= length:
        known, names = 2 * known, _pair_names(names, names, known)
    return _pair_names(names, names, length - known) if length > known else names


def _windows_of_each(names: np.ndarray, train: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The names of the test's windows and of train's, without those across the seam."""
    return names[train:], names[: max(0, train - length + 1)]


def _first_shared(names: np.ndarray, train: int, length: int) -> tuple[int, int] | None:
    """Where the first shared window begins in the test and in train."""
    own, others = _windows_of_each(names, train, length)
    hits = np.isin(own, others)
    if not hits.any():
        return None
    place = int(hits.argmax())
    return place, int((others == own[place]).argmax())


def _block_interval(hits: np.ndarray, block: int, seed: int) -> tuple[float, float]:
    """The interval of the share, whole blocks resampled; the last may be short."""
    starts = np.arange(0, len(hits), block)
    if len(starts) < _FEWEST_BLOCKS:
        return 0.0, 1.0
    found = np.add.reduceat(hits.astype(np.float32), starts)
    sizes = np.diff(np.append(starts, len(hits))).astype(np.float32)
    if hits.all() or not hits.any():
        # Resamples of equal blocks are equal; what is known is how many blocks there were.
        interval = wilson_interval(len(starts) * int(hits[0]), len(starts))
    else:
        interval = bootstrap_interval(jax.random.key(seed), _share, found, sizes)
    return float(interval.low), float(interval.high)


def _share(found, sizes):
    return jnp.sum(found) / jnp.sum(sizes)
