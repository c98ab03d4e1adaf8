"""Text to integers and back: bytes or characters, both exact round trips.

`ByteTokenizer` needs no training and takes any file; `CharTokenizer` has a smaller vocabulary
when the text does. Longer units (BPE) belong to a tokenizer library; what a model needs from
one is `vocab_size`, `encode` and `decode`.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int32, UInt8


@dataclasses.dataclass(frozen=True)
class ByteTokenizer:
    """Every byte is a token: vocabulary 256, nothing is unknown.

    Example:
        >>> ByteTokenizer().encode("né").tolist()
        [110, 195, 169]
        >>> ByteTokenizer().decode(np.array([110, 195, 169]))
        'né'
    """

    @property
    def vocab_size(self) -> int:
        """256."""
        return 256

    def encode(self, text: str | bytes) -> UInt8[np.ndarray, " time"]:
        """Returns the UTF-8 bytes of a string, or the bytes given, as uint8 `[T]`."""
        data = text.encode("utf-8") if isinstance(text, str) else text
        return np.frombuffer(data, dtype=np.uint8)

    def decode(self, tokens: np.ndarray) -> str:
        """Returns the text; bytes that are not UTF-8, as a model may emit, become U+FFFD."""
        tokens = _check_tokens(tokens, self.vocab_size)
        return tokens.astype(np.uint8).tobytes().decode("utf-8", errors="replace")

    def to_dict(self) -> dict[str, Any]:
        """Returns what `from_dict` restores, ready for JSON."""
        return {"kind": "byte"}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "ByteTokenizer":
        """Restores the tokenizer from `to_dict`."""
        _check_kind(saved, "byte")
        return cls()


@dataclasses.dataclass(frozen=True)
class CharTokenizer:
    """Every distinct character of the training text is a token, numbered in sorted order.

    Attributes:
        characters: the vocabulary; token i is `characters[i]`. Sorted, without repeats.

    Example:
        >>> tokenizer = CharTokenizer.train("banana")
        >>> tokenizer.characters, tokenizer.encode("nab").tolist()
        ('abn', [2, 0, 1])
        >>> tokenizer.decode(np.array([1, 0, 2]))
        'ban'
    """

    characters: str

    def __post_init__(self) -> None:
        if not self.characters or list(self.characters) != sorted(set(self.characters)):
            raise ValueError(
                "characters must be sorted, distinct and at least one, got "
                f"{self.characters[:40]!r}; CharTokenizer.train(text) collects them"
            )

    @classmethod
    def train(cls, text: str) -> "CharTokenizer":
        """Collects the vocabulary of a text."""
        return cls("".join(sorted(set(text))))

    @property
    def vocab_size(self) -> int:
        """The number of distinct characters."""
        return len(self.characters)

    def encode(self, text: str) -> Int32[np.ndarray, " time"]:
        """Returns the tokens of a text, int32 `[T]`.

        Args:
            text: characters of the vocabulary.

        Raises:
            ValueError: naming the first character that is not in the vocabulary.
        """
        points, vocabulary = _code_points(text), _code_points(self.characters)
        tokens = np.searchsorted(vocabulary, points)
        known = vocabulary[np.minimum(tokens, len(vocabulary) - 1)] == points
        if not known.all():
            position = int(np.argmin(known))
            raise ValueError(
                f"text has the character {text[position]!r} at position {position}, which is "
                f"not among the {self.vocab_size} of the vocabulary; train on a text that has "
                "it, or use ByteTokenizer, which knows every text"
            )
        return tokens.astype(np.int32)

    def decode(self, tokens: np.ndarray) -> str:
        """Returns the text of tokens in `[0, vocab_size)`."""
        tokens = _check_tokens(tokens, self.vocab_size)
        return "".join(self.characters[token] for token in tokens.tolist())

    def to_dict(self) -> dict[str, Any]:
        """Returns what `from_dict` restores, ready for JSON."""
        return {"kind": "char", "characters": self.characters}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> "CharTokenizer":
        """Restores the tokenizer from `to_dict`."""
        _check_kind(saved, "char")
        return cls(saved["characters"])


def _code_points(text: str) -> np.ndarray:
    # surrogatepass: a lone surrogate is a character of a str like any other.
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def _check_tokens(tokens: Any, vocab_size: int) -> np.ndarray:
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
        raise ValueError(
            f"tokens must be one-dimensional integers, got {tokens.dtype} of shape {tokens.shape}"
        )
    outside = (tokens < 0) | (tokens >= vocab_size)
    if outside.any():
        position = int(np.argmax(outside))
        raise ValueError(
            f"tokens must lie in [0, {vocab_size}), got {tokens[position]} at position {position}"
        )
    return tokens


def _check_kind(saved: Mapping[str, Any], wanted: str) -> None:
    if saved.get("kind") != wanted:
        raise ValueError(f"saved must have kind {wanted!r}, got {saved.get('kind')!r}")
