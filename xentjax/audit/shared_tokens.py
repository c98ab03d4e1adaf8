"""Shared tokens: those of a held-out text that stand in a passage the training text has too."""

import numpy as np
from jaxtyping import Bool, Integer

from xentjax.audit.text_overlap import shared_windows

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
    hits = shared_windows(test, train, length=length).hits
    return np.convolve(hits.astype(np.int64), np.ones(length, np.int64)) > 0
