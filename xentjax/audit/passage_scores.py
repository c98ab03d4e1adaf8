"""Passages: what a language model loses on contiguous pieces of a text.

Tokens that stand together share their topic and their errors, so the unit to resample is a passage
of some thousand tokens and never the token.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Int

from xentjax.audit.overfitting import Outcomes
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.train.evaluate import covering_windows, padded_batches

# Fewer passages than this make an interval that is not to be believed; longer ones are cut for it.
_PASSAGES_WANTED = 30


def passage_outcomes(
    model: Any,
    tokens: Int[np.ndarray, " N"],
    *,
    block: int,
    length: int = 1024,
    most: int = 64,
    batch_size: int = 16,
) -> Outcomes:
    """Mean loss and share of hits of passages of a text, every token of them predicted once.

    A passage is some whole windows of `block` tokens in a row, about `length` tokens together,
    fewer where the text is too short for 30 of them. Of a long text evenly spaced passages are
    scored. The first tokens of a window are predicted from little context, alike in every split.

    Args:
        model: tokens [B, T] → logits [B, T, V], in evaluation mode.
        tokens: the text, at least two tokens.
        block: T, the longest context.
        length: tokens in a passage.
        most: how many passages are scored at most.
        batch_size: windows that are scored together.

    Returns:
        `Outcomes` with one entry a passage, losses in nats per token.

    Raises:
        ValueError: there are fewer than two tokens, or a size is below 1.

    Example:
        >>> uniform = lambda tokens: jnp.zeros((*tokens.shape, 4))
        >>> scored = passage_outcomes(uniform, np.zeros(121, np.int32), block=2)
        >>> scored.losses.shape, round(scored.losses[0], 4)  # 60 windows, 30 passages; log 4
        ((30,), np.float64(1.3863))
    """
    if len(tokens) < 2 or min(block, length, most, batch_size) < 1:
        raise ValueError(
            f"tokens must be at least two and sizes at least 1, got {len(tokens)} tokens, block "
            f"{block}, length {length}, most {most}, batch_size {batch_size}"
        )
    block = min(block, len(tokens) - 1)
    windows = (len(tokens) - 1) // block
    together = max(1, min(length // block, windows // _PASSAGES_WANTED))
    whole = covering_windows(tokens[: windows * block + 1], length=block, stride=block)
    starts = np.arange(windows // together) * together
    if len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 1, most).round().astype(int)]
    rows = (starts[:, None] + np.arange(together)[None, :]).reshape(-1)
    score = _scorer(model)
    batches = padded_batches(
        {name: whole[name][rows] for name in ("tokens", "labels")},
        batch_size=min(batch_size, len(rows)),
    )
    scored = [score(batch["tokens"], batch["labels"]) for batch in batches]
    losses, hits = (
        np.concatenate([np.asarray(each, np.float64) for each in part])[: len(rows)]
        for part in zip(*scored, strict=True)
    )
    return Outcomes(*(x.reshape(-1, together).mean(axis=1) for x in (losses, hits)))


def _scorer(model: Any) -> Callable[[Any, Any], tuple[Any, Any]]:
    if isinstance(model, nnx.Module):
        return partial(_score_module, *nnx.split(model))
    return jax.jit(partial(_score, model))


@partial(jax.jit, static_argnums=0)
def _score_module(graph: Any, state: Any, tokens: Any, labels: Any) -> tuple[Any, Any]:
    return _score(nnx.merge(graph, state), tokens, labels)


def _score(model: Any, tokens: Any, labels: Any) -> tuple[Any, Any]:
    """Mean loss and share of hits of each window."""
    logits = model(tokens)
    hits = jnp.argmax(logits, axis=-1) == labels
    return softmax_cross_entropy(logits, labels).mean(axis=-1), hits.mean(axis=-1)
