"""The GPT of `xentjax.models.gpt` out of flax's own layers, as its users write it: for the bench.

The same arithmetic and the same names of parameters, with `nnx.Linear`, `nnx.RMSNorm`,
`jax.nn.gelu` and activations of shape `[B, T, D]`.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from xentjax.models.gpt import GPTConfig


class FlaxGPT(nnx.Module):
    """An nnx module with the shape of a tied `GPTConfig` with a gelu perceptron, no dropout."""

    def __init__(self, config: GPTConfig, *, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(config.vocab_size, config.width, rngs=rngs)
        self.blocks = nnx.List([_Block(config, rngs=rngs) for _ in range(config.layers)])
        self.norm = nnx.RMSNorm(config.width, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """Logits `[B, T, V]` of the token after each position of `[B, T]` tokens."""
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.embed.attend(self.norm(x))


class _Block(nnx.Module):
    def __init__(self, config: GPTConfig, *, rngs: nnx.Rngs) -> None:
        width = config.width
        self.heads = config.heads
        self.attention_norm = nnx.RMSNorm(width, rngs=rngs)
        self.qkv = nnx.Linear(width, 3 * width, use_bias=False, rngs=rngs)
        self.out = nnx.Linear(width, width, use_bias=False, rngs=rngs)
        self.mlp_norm = nnx.RMSNorm(width, rngs=rngs)
        self.mlp_in = nnx.Linear(width, config.mlp_width, use_bias=False, rngs=rngs)
        self.mlp_out = nnx.Linear(config.mlp_width, width, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self._attend(self.attention_norm(x))
        return x + self.mlp_out(jax.nn.gelu(self.mlp_in(self.mlp_norm(x))))

    def _attend(self, x: jax.Array) -> jax.Array:
        batch, time, width = x.shape
        heads = (batch, time, self.heads, width // self.heads)
        query, key, value = (part.reshape(heads) for part in jnp.split(self.qkv(x), 3, axis=-1))
        query, key = _rotate(query), _rotate(key)
        mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.reshape(batch, time, width))


def _rotate(x: jax.Array) -> jax.Array:
    time, half = x.shape[1], x.shape[3] // 2
    frequency = 10_000.0 ** (-jnp.arange(half) / half)
    angle = jnp.arange(time)[:, None] * frequency[None]
    cos, sin = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]
    a, b = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def load_weights(model: FlaxGPT, weights: dict[str, jax.Array]) -> FlaxGPT:
    """Copies in arrays by the names that `xentjax.models.GPT` gives them.

    Args:
        model: changed in place.
        weights: name → array, such as `blocks.0.attention.qkv.kernel`.

    Returns:
        The same model.
    """
    model.embed.embedding[...] = jnp.copy(weights["embedding"])
    for name, value in weights.items():
        if name == "embedding":
            continue
        *path, leaf = name.replace(".attention.", ".").split(".")
        owner: Any = model
        for part in path:
            owner = owner[int(part)] if part.isdecimal() else getattr(owner, part)
        getattr(owner, leaf)[...] = jnp.copy(value)
    return model
