"""Sampling a continuation from a GPT, one token at a time, in one compiled program.

The window has a fixed length and moves over the text, so that the whole run compiles once for
a model, a length and a top_k. Each token costs a pass over the window: right for a sample to
look at; serving wants a cache of keys and values.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int32
from numpy.typing import ArrayLike

from xentjax.models.gpt import GPT


def generate(
    model: GPT,
    prompt_tokens: ArrayLike,
    *,
    length: int,
    temperature: float = 1.0,
    top_k: int | None = None,
    key: jax.Array,
) -> Int32[Array, " length"]:
    """Samples the tokens that follow a prompt.

    next ~ softmax(logits(the last block_size tokens) / temperature), among the top_k likeliest.
    Dropout is off; the model is left as it was.

    Args:
        model: the GPT.
        prompt_tokens: `[P]` integers in [0, V), P ≥ 1; the last `block_size` are seen.
        length: tokens to sample.
        temperature: below 1 sharpens, above 1 flattens; 0 takes the likeliest token each time.
        top_k: sample among this many likeliest tokens; None for all.
        key: of `jax.random`; the same key gives the same tokens.

    Returns:
        The `length` new tokens, int32, without the prompt.

    Raises:
        ValueError: if the prompt is empty, not one-dimensional integers or outside the
            vocabulary; if length is below 1, temperature negative or top_k outside [1, V].

    Example:
        >>> from xentjax.models.gpt import GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=8, layers=1, width=16), rngs=nnx.Rngs(0))
        >>> generate(model, [1, 2], length=5, key=jax.random.key(0)).shape
        (5,)
    """
    config = model.config
    prompt = _check_prompt(prompt_tokens, config.vocab_size)
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be finite and not negative, got {temperature}")
    if top_k is not None and not 1 <= top_k <= config.vocab_size:
        raise ValueError(f"top_k must be in [1, {config.vocab_size}] or None, got {top_k}")
    seen = prompt[-config.block_size :]
    window = np.zeros(config.block_size, np.int32)
    window[: len(seen)] = seen
    graphdef, state = nnx.split(model)
    return _sample(
        graphdef,
        length,
        1 if temperature == 0 else top_k,
        state,
        window,
        len(seen),
        temperature or 1.0,
        key,
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sample(graphdef, length, top_k, state, window, filled, temperature, key):
    """Scans over `length` steps; `window` holds `filled` tokens and padding after them."""

    def step(carry, step_key):
        window, filled = carry
        model = nnx.merge(graphdef, state)
        model.eval()
        # Attention is causal: the padding after the last token cannot reach it.
        logits = model.hidden(window[None])[0, filled - 1] @ model.head_weight
        token = _draw(logits, temperature, top_k, step_key)
        full = filled == window.shape[0]
        window = jnp.where(full, jnp.roll(window, -1), window)
        window = window.at[jnp.where(full, filled - 1, filled)].set(token)
        return (window, jnp.where(full, filled, filled + 1)), token

    _, tokens = jax.lax.scan(step, (window, jnp.asarray(filled)), jax.random.split(key, length))
    return tokens


def _draw(
    logits: jax.Array, temperature: jax.Array, top_k: int | None, key: jax.Array
) -> jax.Array:
    tokens = jnp.arange(logits.shape[0])
    if top_k is not None:
        logits, tokens = jax.lax.top_k(logits, top_k)
    # Less the maximum first: a small temperature then drives logits to −∞, never to +∞.
    scaled = (logits - logits.max()) / temperature
    return tokens[jax.random.categorical(key, scaled)].astype(jnp.int32)


def _check_prompt(prompt_tokens: ArrayLike, vocab_size: int) -> np.ndarray:
    prompt = np.asarray(prompt_tokens)
    if prompt.ndim != 1 or prompt.size == 0 or prompt.dtype.kind not in "iu":
        raise ValueError(
            "prompt_tokens must be one-dimensional integers, at least one, got "
            f"{prompt.dtype} of shape {prompt.shape}"
        )
    if prompt.min() < 0 or prompt.max() >= vocab_size:
        raise ValueError(
            f"prompt_tokens must lie in [0, {vocab_size}), got {prompt.min()} … {prompt.max()}"
        )
    return prompt
