"""Shared tokens: those of a text in passages that are found elsewhere too, word for word."""

import numpy as np
from jaxtyping import Bool, Integer

from xentjax.audit.text_overlap import shared_windows, window_names

# Some eight words of bytes: chance and common phrases do not fill it.
PASSAGE = 50


def shared_tokens(
    test: Integer[np.ndarray, " N"], train: Integer[np.ndarray, " M"], *, length: int = PASSAGE
) -> Bool[np.ndarray, " N"]:
    """Which tokens belong to a window of some length that train has word for word.

    Use it to score a held-out text on what is new: leave the tokens that are shared out.

    Args:
        test: tokens; where they are fewer than length none is shared.
        train: tokens.
        length: tokens of a window, at least 1.

    Returns:
        [N], true for each token of such a window.

    Raises:
        ValueError: if length is below 1.

    Example:
        >>> test, train = np.array([9, 1, 2, 3, 9]), np.array([7, 1, 2, 3])
        >>> shared_tokens(test, train, length=2).tolist()  # 1 2 and 2 3
        [False, True, True, True, False]
    """
    if len(test) < length:
        return np.zeros(len(test), bool)
    return _covered(shared_windows(test, train, length=length).hits, length)


def repeated_tokens(
    tokens: Integer[np.ndarray, " N"], *, length: int = PASSAGE
) -> Bool[np.ndarray, " N"]:
    """Which tokens belong to a window of some length that the same text has more than once.

    Args:
        tokens: where they are fewer than length none is repeated.
        length: tokens of a window, at least 1.

    Returns:
        [N], true for each token of such a window.

    Example:
        >>> repeated_tokens(np.array([1, 2, 3, 1, 2, 9]), length=2).tolist()  # 1 2, twice
        [True, True, False, True, True, False]
    """
    if len(tokens) < length:
        return np.zeros(len(tokens), bool)
    names = window_names(tokens, length)
    return _covered(np.bincount(names)[names] > 1, length)


def _covered(hits: Bool[np.ndarray, " windows"], length: int) -> Bool[np.ndarray, " N"]:
    return np.convolve(hits.astype(np.int64), np.ones(length, np.int64)) > 0
