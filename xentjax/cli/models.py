"""The options of `xentjax summary`: a model's own config, and how large a batch it is shown."""

import dataclasses
import functools

from xentjax.models import CNNConfig, GPTConfig, MLPConfig, RNNConfig


@dataclasses.dataclass(frozen=True)
class SummarizeMLP:
    """Summarize an MLP: layers, shapes, parameters, FLOPs and bytes of one forward pass."""

    model: MLPConfig = dataclasses.field(
        default_factory=functools.partial(MLPConfig, in_features=64)
    )
    batch: int = 1
    """Rows in the forward pass."""


@dataclasses.dataclass(frozen=True)
class SummarizeCNN:
    """Summarize a CNN: layers, shapes, parameters, FLOPs and bytes of one forward pass."""

    model: CNNConfig = dataclasses.field(default_factory=CNNConfig)
    batch: int = 1
    """Images in the forward pass."""
    side: int = 8
    """Height and width of an image."""


@dataclasses.dataclass(frozen=True)
class SummarizeRNN:
    """Summarize an RNN: layers, shapes, parameters, FLOPs and bytes of one forward pass."""

    model: RNNConfig = dataclasses.field(
        default_factory=functools.partial(RNNConfig, vocab_size=256)
    )
    batch: int = 1
    """Sequences in the forward pass."""
    length: int = 64
    """Tokens in a sequence."""


@dataclasses.dataclass(frozen=True)
class SummarizeGPT:
    """Summarize a GPT: layers, shapes, parameters, FLOPs and bytes of one forward pass."""

    model: GPTConfig = dataclasses.field(
        default_factory=functools.partial(GPTConfig, vocab_size=256)
    )
    batch: int = 1
    """Sequences in the forward pass, each as long as the block."""
