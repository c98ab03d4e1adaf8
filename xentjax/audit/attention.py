"""Attention as an explanation: where a GPT's positions look, and what that adds up to.

Rollout multiplies the layers' attention as if values were merely passed on. It shows what could
have flowed, not what the model used: perceptrons and the values themselves are left out.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from xentjax.audit.given import Given, finite_of, tokens_of
from xentjax.models.gpt import GPT
from xentjax.models.rotary import turns


@dataclasses.dataclass(frozen=True)
class Attention:
    """What every layer of a GPT did with one text.

    Attributes:
        weights: [L, H, T, T], row t the shares that position t takes; rows sum to 1.
        hidden: [L + 1, T, D], the residual stream: the embeddings, then after each block.
    """

    weights: np.ndarray
    hidden: np.ndarray


def trace_attention(model: GPT, tokens: Given) -> Attention:
    """Runs a GPT block by block and keeps what it attends to.

    The weights are computed anew from each block's own queries and keys, for the fused attention
    that the model runs never shows them.

    Args:
        model: the GPT; dropout is off.
        tokens: [T] integers in [0, V), T at most its block_size.

    Returns:
        An `Attention`.

    Raises:
        TypeError: if tokens are not integers.
        ValueError: if tokens are not so.
    """
    tokens, config = tokens_of(tokens, "tokens"), model.config
    if len(tokens) > config.block_size:
        raise ValueError(
            f"tokens must be at most {config.block_size}, the block of the model, got {len(tokens)}"
        )
    if tokens.max() >= config.vocab_size:
        raise ValueError(f"tokens must lie in [0, {config.vocab_size}), got {tokens.max()}")
    weights, hidden = _trace(*nnx.split(model), jnp.asarray(tokens, jnp.int32))
    return Attention(np.asarray(weights), np.asarray(hidden))


def attention_rollout(weights: Given) -> np.ndarray:
    r"""How much of each position's final state could have come from each token, layer by layer.

        A_l = ½ · mean over heads of W_l + ½ · I,   R = A_L · … · A_1

    The half on the diagonal is the residual connection, which passes every state on beside what
    the attention adds. Prefer it to one layer's weights, which mix states that are mixed already.

    Args:
        weights: [L, H, T, T], whose rows sum to 1.

    Returns:
        R [T, T] float64; row t sums to 1 and is 0 beyond t for a causal model.

    Raises:
        ValueError: if weights are not square attention, or a row does not sum to 1.

    Example:
        >>> look_back = np.array([[[[1.0, 0.0], [1.0, 0.0]]]])  # both look at token 0
        >>> attention_rollout(look_back).tolist()  # ½ · [1 0; 1 0] + ½ · I
        [[1.0, 0.0], [0.5, 0.5]]

    Reference:
        S. Abnar and W. Zuidema, Quantifying Attention Flow in Transformers, 2020.
    """
    weights = finite_of(weights, "weights", "L H T T")
    if weights.shape[2] != weights.shape[3]:
        raise ValueError(f"weights must be of shape [L, H, T, T], got {weights.shape}")
    # Softmax in float32 over T entries.
    if not np.allclose(weights.sum(axis=-1), 1, atol=1e-4):
        raise ValueError(
            "weights must have rows that sum to 1, got sums from "
            f"{weights.sum(axis=-1).min():.4g} to {weights.sum(axis=-1).max():.4g}"
        )
    time = weights.shape[-1]
    rolled = np.eye(time)
    for layer in weights.mean(axis=1):
        rolled = (0.5 * layer + 0.5 * np.eye(time)) @ rolled
    return rolled


@partial(jax.jit, static_argnums=0)
def _trace(graphdef, state, tokens):
    model = nnx.merge(graphdef, state)
    config = model.config
    rows = model.embedding[...][tokens].astype(config.dtype)
    table = turns(jnp.arange(len(tokens)), features=config.width // config.heads)
    weights, hidden = [], [rows]
    for block in model.blocks:
        weights.append(block.attention.weights(block.attention_norm(rows), table)[0])
        rows, _ = block.prefill(rows, table)
        hidden.append(rows)
    return jnp.stack(weights), jnp.stack(hidden).astype(jnp.float32)
