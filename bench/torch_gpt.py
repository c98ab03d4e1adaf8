"""The GPT of `xentjax.models.gpt` in torch eager, as its users write it: for the bench and tests.

The same arithmetic from the same weights: rotary positions by halves, RMS norm, fused attention
through `scaled_dot_product_attention`, no biases. Activations keep `[B, T, D]`, torch's custom.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports] (an extra; imported by those who asked for it)
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from xentjax.models.gpt import GPTConfig

_PERCEPTRONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": lambda x: functional.gelu(x, approximate="tanh"),
    "relu2": lambda x: functional.relu(x).square(),
    "swiglu": lambda x: functional.silu(x.chunk(2, dim=-1)[0]) * x.chunk(2, dim=-1)[1],
}


class TorchGPT(nn.Module):
    """A torch module with the shape of a `GPTConfig`; dropout and rematerialization left out."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.blocks = nn.ModuleList([_Block(config) for _ in range(config.layers)])
        self.norm = nn.RMSNorm(config.width, eps=1e-6)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        cos, sin = _angles(config)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits `[B, T, V]` of the token after each position of `[B, T]` tokens."""
        x = self.embedding(tokens)
        cos, sin = (self.get_buffer(name)[: tokens.shape[1]] for name in ("cos", "sin"))
        for block in self.blocks:
            x = block(x, cos, sin)
        return self.head(self.norm(x))


class _Block(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.mlp_width
        self.heads = config.heads
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width, eps=1e-6)
        gates = 2 if config.mlp == "swiglu" else 1
        self.mlp_in = nn.Linear(width, gates * hidden, bias=False)
        self.mlp_out = nn.Linear(hidden, width, bias=False)
        self.activate = _PERCEPTRONS[config.mlp]

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self._attend(self.attention_norm(x), cos, sin)
        return x + self.mlp_out(self.activate(self.mlp_in(self.mlp_norm(x))))

    def _attend(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, time, width = x.shape
        heads = (batch, time, self.heads, width // self.heads)
        query, key, value = (part.view(heads).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.attention_out(mixed.transpose(1, 2).reshape(batch, time, width))


def _angles(config: GPTConfig) -> tuple[Tensor, Tensor]:
    half = config.width // config.heads // 2
    frequency = 10_000.0 ** (-torch.arange(half) / half)
    angle = torch.arange(config.block_size)[:, None] * frequency[None]
    return angle.cos(), angle.sin()


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def load_weights(model: TorchGPT, weights: Mapping[str, Any]) -> TorchGPT:
    """Copies arrays in, by torch's parameter names; `[D_in, D_out]` matrices are transposed.

    Args:
        model: changed in place.
        weights: name → array for every parameter, such as `blocks.0.qkv.weight`.

    Returns:
        The same model.
    """
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            value = np.asarray(weights[name])
            is_kernel = value.ndim == 2 and not name.startswith("embedding")
            parameter.copy_(torch.tensor(value.T if is_kernel else value))
    return model


def torch_name(name: str) -> str:
    """The name here of a parameter of `xentjax.models.GPT`.

    Example:
        >>> torch_name("blocks.0.attention.qkv.kernel"), torch_name("norm.scale")
        ('blocks.0.qkv.weight', 'norm.weight')
    """
    name = name.replace("attention.qkv", "qkv").replace("attention.out", "attention_out")
    name = name.replace(".kernel", ".weight").replace(".scale", ".weight")
    return "embedding.weight" if name == "embedding" else name
