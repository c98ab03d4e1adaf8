"""Passages: pieces of one length, spread evenly over a text, so that they are little alike."""

import numpy as np
from jaxtyping import Int


def spread_passages(
    tokens: Int[np.ndarray, " time"], *, length: int, count: int
) -> Int[np.ndarray, "passages length"]:
    """Cuts at most `count` passages that do not overlap, the first and the last at the ends.

    Args:
        tokens: [N] integers.
        length: tokens of a passage, at least 1.
        count: the most passages wanted.

    Returns:
        [P, length] int32, P = min(count, N // length), which may be 0.

    Example:
        >>> spread_passages(np.arange(10), length=2, count=3).tolist()
        [[0, 1], [4, 5], [8, 9]]
    """
    if length < 1 or count < 1:
        raise ValueError(f"length and count must be at least 1, got {length} and {count}")
    found = min(count, len(tokens) // length)
    starts = np.linspace(0, max(0, len(tokens) - length), found).astype(int)
    return np.asarray(tokens, np.int32)[starts[:, None] + np.arange(length)[None, :]]
