"""Sampling a continuation from a GPT, one token at a time, in one compiled program.

The prompt is read in one pass; every token after it costs a pass over that token alone, because
the keys and values of those before are kept. The whole run compiles once for a model, a number
of prompts, a length and a top_k.
"""

import functools
import math
from typing import Any

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
    top_p: float | None = None,
    key: jax.Array,
) -> Int32[Array, "*batch length"]:
    """Samples the tokens that follow a prompt.

    next ~ softmax(logits / temperature), among the top_k likeliest, and of these among the fewest
    that together have probability top_p (nucleus sampling).

    While prompt and new tokens fit into `block_size`, the tokens are those that a pass over the
    whole text before each would give. Beyond it every layer attends to the last `block_size`
    positions, but keeps what those positions had gathered in their own time, from tokens that
    have since left the window. With one layer that is a pass over the last `block_size` tokens;
    with L layers the text reaches up to L·(block_size − 1) tokens back, so it is not. The same
    holds for a prompt longer than `block_size`, of which the last `block_size` tokens are read.

    Dropout is off; the model is left as it was.

    Args:
        model: the GPT.
        prompt_tokens: `[P]` integers in [0, V), P ≥ 1, or `[B, P]` for B prompts of one length.
        length: tokens to sample.
        temperature: below 1 sharpens, above 1 flattens; 0 takes the likeliest token each time.
        top_k: sample among this many likeliest tokens; None for all.
        top_p: sample among the likeliest tokens that have this probability together, in (0, 1];
            None for all. The likeliest always stays.
        key: of `jax.random`; the same key gives the same tokens.

    Returns:
        The new tokens, int32 `[length]` or `[B, length]`, without the prompt.

    Raises:
        ValueError: if the prompt is empty, not integers of one or two dimensions or outside the
            vocabulary; if length is below 1, temperature negative, top_k outside [1, V] or top_p
            outside (0, 1].

    Example:
        >>> from xentjax.models.gpt import GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=8, layers=1, width=16), rngs=nnx.Rngs(0))
        >>> generate(model, [1, 2], length=5, key=jax.random.key(0)).shape
        (5,)

    Reference:
        A. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2020 (top_p).
    """
    config = model.config
    prompt = _check_prompt(prompt_tokens, config.vocab_size)
    _check_options(length, temperature, top_k, top_p, config.vocab_size)
    if not isinstance(key, jax.Array):
        raise TypeError(f"key must be a key of jax.random, got {key!r}; give jax.random.key(0)")
    seen = np.atleast_2d(prompt)[:, -config.block_size :]
    padded = np.zeros((seen.shape[0], config.block_size), np.int32)
    padded[:, : seen.shape[1]] = seen
    graphdef, state = nnx.split(model)
    tokens = _sample(
        graphdef,
        length,
        1 if temperature == 0 else top_k,
        state,
        padded,
        seen.shape[1],
        temperature or 1.0,
        None if temperature == 0 else top_p,
        key,
    )
    return tokens if prompt.ndim == 2 else tokens[0]


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _sample(graphdef, length, top_k, state, prompts, filled, temperature, top_p, key):
    """Scans over `length` tokens; each prompt holds `filled` tokens and padding after them."""
    model = nnx.merge(graphdef, state)
    # Attention is causal: the padding after the last token cannot reach it. Its keys lie in slots
    # that `decode` does not look at before it has overwritten them.
    hidden, caches = model.prefill(prompts)
    logits = model.logits(hidden[:, filled - 1])

    def step(carry: Any, step_key: jax.Array) -> tuple[Any, jax.Array]:
        logits, caches, position = carry
        token = _draw(logits, temperature, top_k, top_p, step_key)
        logits, caches = nnx.merge(graphdef, state).decode(token, caches, position)
        return (logits, caches, position + 1), token

    start = (logits, caches, jnp.asarray(filled, jnp.int32))
    return jax.lax.scan(step, start, jax.random.split(key, length))[1].T


def _draw(
    logits: jax.Array,
    temperature: jax.Array | float,
    top_k: int | None,
    top_p: jax.Array | float | None,
    key: jax.Array,
) -> jax.Array:
    """One token for each row of logits `[..., V]`."""
    tokens = None
    if top_k is not None or top_p is not None:
        logits, tokens = jax.lax.top_k(logits, top_k or logits.shape[-1])
    # Less the maximum first: a small temperature then drives logits to −∞, never to +∞.
    scaled = (logits - logits.max(axis=-1, keepdims=True)) / temperature
    if top_p is not None:
        probabilities = jax.nn.softmax(scaled, axis=-1)
        # Of the likelier ones, so that the likeliest has 0 and always stays.
        before = jnp.cumsum(probabilities, axis=-1) - probabilities
        scaled = jnp.where(before < top_p, scaled, -jnp.inf)
    drawn = jax.random.categorical(key, scaled)
    if tokens is not None:
        drawn = jnp.take_along_axis(tokens, drawn[..., None], axis=-1)[..., 0]
    return drawn.astype(jnp.int32)


def _check_options(
    length: int, temperature: float, top_k: int | None, top_p: float | None, vocab_size: int
) -> None:
    if length < 1:
        raise ValueError(f"length must be at least 1, got {length}")
    if not 0 <= temperature < math.inf:
        raise ValueError(f"temperature must be finite and not negative, got {temperature}")
    if top_k is not None and not 1 <= top_k <= vocab_size:
        raise ValueError(f"top_k must be in [1, {vocab_size}] or None, got {top_k}")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p must be in (0, 1] or None, got {top_p}")


def _check_prompt(prompt_tokens: ArrayLike, vocab_size: int) -> np.ndarray:
    prompt = np.asarray(prompt_tokens)
    if prompt.ndim not in (1, 2) or prompt.size == 0 or prompt.dtype.kind not in "iu":
        raise ValueError(
            "prompt_tokens must be integers of shape (P,) or (B, P), at least one, got "
            f"{prompt.dtype} of shape {prompt.shape}"
        )
    if prompt.min() < 0 or prompt.max() >= vocab_size:
        raise ValueError(
            f"prompt_tokens must lie in [0, {vocab_size}), got {prompt.min()} … {prompt.max()}"
        )
    return prompt
