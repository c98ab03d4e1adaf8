"""Canaries in a corpus: secrets planted in the training part alone, before anything is trained."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from xentjax.data.canaries import CanaryFormat, plant_canaries
from xentjax.data.tokenizers import CharTokenizer
from xentjax.jobs.corpus import Corpus, Tokenizer


def plant_in_corpus(
    corpus: Corpus, *, copies: Sequence[int], form: CanaryFormat | None = None, seed: int
) -> tuple[Corpus, tuple[str, ...]]:
    """Plants canaries in the training part; validation and test stay as they are.

    Args:
        corpus: of bytes or characters. A vocabulary of characters grows by those of the canaries,
            which numbers the tokens of all parts anew.
        copies: of each canary, how often it is planted.
        form: of the canaries.
        seed: of the secrets and their places.

    Returns:
        The corpus to train on, which keeps the hash of the text it came from, and the canaries.

    Raises:
        ValueError: as `plant_canaries`.
    """
    # A text of bytes need not be UTF-8: what is not comes back as the bytes it was.
    text = corpus.data["train"].decode("utf-8", "surrogateescape")
    planted = plant_canaries(text, copies=copies, form=form, seed=seed)
    data = {**corpus.data, "train": planted.text.encode("utf-8", "surrogateescape")}
    tokenizer, tokens = _encoded(corpus.tokenizer, data, "".join(planted.canaries))
    corpus = dataclasses.replace(corpus, tokenizer=tokenizer, tokens=tokens, data=data)
    return corpus, planted.canaries


def _encoded(
    tokenizer: Tokenizer, data: dict[str, bytes], further: str
) -> tuple[Tokenizer, dict[str, np.ndarray]]:
    if isinstance(tokenizer, CharTokenizer):
        tokenizer = CharTokenizer.train(tokenizer.characters + further)
        return tokenizer, {name: tokenizer.encode(part.decode()) for name, part in data.items()}
    return tokenizer, {name: tokenizer.encode(part) for name, part in data.items()}
