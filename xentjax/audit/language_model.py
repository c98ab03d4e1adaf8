"""The subject of an audit of a language model: its texts, its tokens, the model itself."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """A trained language model and all that its audit may ask.

    Attributes:
        name: of the run.
        model: the GPT in evaluation mode: tokens [B, T] → logits [B, T, V]; `generate` takes it.
        tokenizer: encodes and decodes.
        tokens: "train", "validation" and "test" → int32 [N], in the order of the text.
        block: the longest context.
        canaries: secrets planted in the training text, to see whether they come out.
    """

    name: str
    model: Any
    tokenizer: Any
    tokens: Mapping[str, np.ndarray]
    block: int
    canaries: tuple[str, ...] = ()
