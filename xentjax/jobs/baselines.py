"""Baselines: what a language model's loss is to be compared with, on the very same held-out bytes.

A unigram model knows how often each token occurs and nothing of their order. A compressor is a
language model of another kind: its output length is its code length for the text.
"""

import bz2
import dataclasses
import gzip
import lzma
from collections.abc import Callable

import numpy as np
from jaxtyping import Integer

_COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    # mtime=0 keeps the time of day out of the header, so that equal input gives equal output.
    "gzip -9": lambda data: gzip.compress(data, 9, mtime=0),
    "bzip2 -9": lambda data: bz2.compress(data, 9),
    "xz -9e": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
}


@dataclasses.dataclass(frozen=True)
class Compression:
    """How well one compressor does on held-out bytes, in bits per byte.

    Attributes:
        alone: compressing the held-out bytes by themselves.
        primed: what they add to the compressed training text, size(train + held-out) −
            size(train), so that the compressor has seen what the model has seen.
    """

    alone: float
    primed: float


def compress_held_out(train: bytes, held_out: bytes) -> dict[str, Compression]:
    """Bits per byte of gzip, bzip2 and xz on the held-out bytes, alone and after the training text.

    gzip looks back 32 KiB and bzip2 sorts blocks of 900 kB, so only xz can make full use of a long
    training text.

    Args:
        train: the training text.
        held_out: the bytes to score, at least one.

    Example:
        >>> figures = compress_held_out(b"ab" * 500, b"ab" * 500)
        >>> figures["xz -9e"].primed < figures["xz -9e"].alone < 1
        True
    """
    if not held_out:
        raise ValueError("held_out must hold at least one byte, got none")

    def score(compress: Callable[[bytes], bytes]) -> Compression:
        added = len(compress(train + held_out)) - len(compress(train))
        per_byte = 8 / len(held_out)
        return Compression(len(compress(held_out)) * per_byte, added * per_byte)

    return {name: score(compress) for name, compress in _COMPRESSORS.items()}


def unigram_nats(
    train: Integer[np.ndarray, " train"],
    held_out: Integer[np.ndarray, " held_out"],
    *,
    classes: int,
) -> float:
    """Mean cross-entropy of the held-out tokens under the training tokens' frequencies.

    −mean log p(token), p(c) = (n_c + 1) / (n + classes): with one added to every count a token
    that training never showed costs much, but not infinity. On the training tokens themselves this
    is their unigram entropy, up to the ones added.

    Args:
        train: [n] tokens to count.
        held_out: [m] tokens to score.
        classes: how many different tokens there are.

    Returns:
        Nats per token.

    Example:
        >>> tokens = np.array([0, 1] * 1000)
        >>> round(unigram_nats(tokens, tokens, classes=2), 4)  # a fair coin: log 2
        0.6931
    """
    if not len(train) or not len(held_out):
        raise ValueError(f"got {len(train)} train and {len(held_out)} held_out tokens, wanted some")
    counts = np.bincount(train, minlength=classes) + 1.0
    return float(-np.mean(np.log(counts / counts.sum())[held_out]))
