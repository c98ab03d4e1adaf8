"""The corpus of a language model: a text cut in order into training, validation and test.

What the options ask of the text is checked here, in the words of the command line, so that nothing
is refused after the training that could have been refused before it.
"""

import dataclasses
from typing import TypeAlias

import numpy as np

from xentjax.data import ByteTokenizer, CharTokenizer, contiguous_split, load_manual, load_text
from xentjax.data.sources import Text
from xentjax.jobs.config import LanguageConfig

Tokenizer: TypeAlias = ByteTokenizer | CharTokenizer


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A text cut in three: each part's tokens and its bytes.

    Attributes:
        name: the text's name.
        sha256: the hash of its bytes.
        tokenizer: for bytes or for the characters of the whole text.
        tokens: "train", "validation" and "test" → the tokens of that part.
        data: the same parts as bytes, the unit in which compression is compared.
    """

    name: str
    sha256: str
    tokenizer: Tokenizer
    tokens: dict[str, np.ndarray]
    data: dict[str, bytes]


def read_corpus(config: LanguageConfig) -> Corpus:
    """Read and cut the text, 90 / 5 / 5 %.

    Args:
        config: the options; `text`, `tokens`, `block` and `batch_size` matter here.

    Raises:
        ValueError: if characters are wanted of a text that is not UTF-8, or the text is too short.
    """
    text = load_text(config.text) if config.text else load_manual()
    whole = text.data if config.tokens == "byte" else _decode(text)
    split = contiguous_split(len(whole), fractions=(0.9, 0.05, 0.05))
    parts = {name: whole[rows[0] : rows[-1] + 1] for name, rows in split._asdict().items()}
    # The vocabulary is that of the whole text: a character first met in the test would have no
    # number at all, and which characters exist tells nothing of their order.
    tokenizer = ByteTokenizer() if isinstance(whole, bytes) else CharTokenizer.train(whole)
    tokens = {name: _encode(tokenizer, part) for name, part in parts.items()}
    _check_lengths(config, {name: len(part) for name, part in tokens.items()})
    return Corpus(
        name=text.name,
        sha256=text.sha256,
        tokenizer=tokenizer,
        tokens=tokens,
        data={n: part if isinstance(part, bytes) else part.encode() for n, part in parts.items()},
    )


def encode_prompt(config: LanguageConfig, tokenizer: Tokenizer) -> np.ndarray:
    """The tokens of the prompt, empty where no sample is wanted.

    Args:
        config: the options; `prompt`, `sample_length` and `top_k` matter here.
        tokenizer: of the corpus.

    Raises:
        ValueError: if the prompt has a character the text has not, or top_k exceeds the vocabulary.
    """
    if not config.sample_length:
        return np.zeros(0, np.int32)
    vocabulary = tokenizer.vocab_size
    if config.top_k is not None and config.top_k > vocabulary:
        raise ValueError(
            f"top_k must be at most {vocabulary}, the size of the vocabulary, got {config.top_k}"
        )
    if isinstance(tokenizer, CharTokenizer):
        for position, character in enumerate(config.prompt):
            if character not in tokenizer.characters:
                raise ValueError(
                    f"prompt has the character {character!r} at position {position}, which the "
                    "text has not; choose another --prompt, or --tokens byte, which knows all"
                )
    return tokenizer.encode(config.prompt)


def _encode(tokenizer: Tokenizer, part: str | bytes) -> np.ndarray:
    if isinstance(tokenizer, CharTokenizer):
        assert isinstance(part, str)
        return tokenizer.encode(part)
    return tokenizer.encode(part)


def _decode(text: Text) -> str:
    try:
        return text.data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"text is not UTF-8: byte {text.data[error.start]:#04x} at offset {error.start} of "
            f"{text.name}; use --tokens byte, which takes any bytes"
        ) from error


def _check_lengths(config: LanguageConfig, lengths: dict[str, int]) -> None:
    for name, length in lengths.items():
        # Training windows need the label of their last token; the held-out parts are scored with
        # one token of the part before them.
        needed = config.block + (name == "train")
        if length < needed:
            raise ValueError(
                f"text is too short: its {'training' if name == 'train' else name} part has "
                f"{length} tokens, and --block {config.block} needs {needed}; give a longer text "
                "or a smaller --block"
            )
    windows = lengths["train"] - config.block
    if config.batch_size > windows:
        raise ValueError(
            f"--batch-size must be at most {windows}, the number of training windows, "
            f"got {config.batch_size}"
        )
