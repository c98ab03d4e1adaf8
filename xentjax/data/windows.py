"""Fixed-length windows over one long sequence of tokens: the examples of a language model.

A window never leaves the array it was given. Cut the array first (`contiguous_split`) and no
training example can see a held-out token.
"""

from typing import SupportsIndex

import numpy as np
from jaxtyping import Int, Int32
from numpy.lib.stride_tricks import sliding_window_view


class TokenWindows:
    """Random access to windows of `length` tokens and, for each token, the one after it.

    Window i starts at i·stride: tokens s … s+T−1, labels s+1 … s+T. A last piece too short for
    a window is left out. `stride=1` (every position) for training; `stride=length` for
    evaluation, where every token is then predicted once.

    Attributes:
        length: T, tokens a window.
        stride: distance between the starts of neighbouring windows.

    Example:
        >>> windows = TokenWindows(np.array([5, 6, 7, 8]), 2)
        >>> len(windows)
        2
        >>> window = windows[1]
        >>> window["tokens"].tolist(), window["labels"].tolist()
        ([6, 7], [7, 8])
    """

    def __init__(self, tokens: np.ndarray, length: int, *, stride: int = 1) -> None:
        """Takes the tokens as they are; nothing is copied until a window is asked for.

        Args:
            tokens: `[n]` integers, at least `length + 1` of them.
            length: T, at least 1.
            stride: at least 1.

        Raises:
            ValueError: if tokens are not one-dimensional integers or too few, or length or
                stride is below 1.
        """
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise ValueError(
                "tokens must be one-dimensional integers, got "
                f"{tokens.dtype} of shape {tokens.shape}"
            )
        if length < 1 or stride < 1:
            raise ValueError(
                f"length and stride must be at least 1, got length={length}, stride={stride}"
            )
        if len(tokens) < length + 1:
            raise ValueError(
                f"tokens must hold at least length + 1 = {length + 1} of them, one window and "
                f"the label of its last token, got {len(tokens)}; shorten length"
            )
        self.length = length
        self.stride = stride
        self._windows = sliding_window_view(tokens, length + 1)[::stride]

    def __len__(self) -> int:
        return len(self._windows)

    def __getitem__(self, index: SupportsIndex) -> dict[str, Int32[np.ndarray, " time"]]:
        window = self._windows[index].astype(np.int32)
        return {"tokens": window[:-1], "labels": window[1:]}

    def take(self, rows: Int[np.ndarray, " batch"]) -> dict[str, Int32[np.ndarray, "batch time"]]:
        """Gathers many windows at once.

        Args:
            rows: `[B]` window numbers.

        Returns:
            `{"tokens": [B, T], "labels": [B, T]}`, int32 copies.
        """
        windows = self._windows[rows]
        return {
            "tokens": windows[:, :-1].astype(np.int32),
            "labels": windows[:, 1:].astype(np.int32),
        }
