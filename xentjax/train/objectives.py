"""Objectives: how a model's output and a batch become (total loss, weight, counts).

Each function makes an `apply_loss` for `make_step` and `make_evaluate`. They are ten lines each on
purpose: write your own beside them for another loss, a penalty or another batch layout.
"""

from typing import Any

import jax.numpy as jnp

from xentjax.losses.reduction import total_and_weight
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.train.step import ApplyLoss, Batch


def classification_loss(*, label_smoothing: float = 0.0) -> ApplyLoss:
    """Softmax cross-entropy over `features` [N, F] and integer `labels` [N].

    Args:
        label_smoothing: for training only; evaluate with 0, which scores what is true.

    Returns:
        `(model, batch, key) → (total, weight, {"correct", "count"})`; a boolean `where` [N] in the
        batch masks examples.
    """

    def apply_loss(model: Any, batch: Batch, key: Any) -> tuple[Any, Any, dict[str, Any]]:
        del key
        return _score(model(batch["features"]), batch, label_smoothing)

    return apply_loss


def next_token_loss(*, label_smoothing: float = 0.0) -> ApplyLoss:
    """Softmax cross-entropy of every next token, over `tokens` [B, T] and `labels` [B, T].

    Args:
        label_smoothing: for training only.

    Returns:
        `(model, batch, key) → (total, weight, {"correct", "count"})`; a boolean `where` [B, T] in
        the batch masks tokens.
    """

    def apply_loss(model: Any, batch: Batch, key: Any) -> tuple[Any, Any, dict[str, Any]]:
        del key
        return _score(model(batch["tokens"]), batch, label_smoothing)

    return apply_loss


def _score(logits: Any, batch: Batch, label_smoothing: float) -> tuple[Any, Any, dict[str, Any]]:
    labels, where = batch["labels"], batch.get("where")
    losses = softmax_cross_entropy(logits, labels, label_smoothing=label_smoothing)
    total, weight = total_and_weight(losses, where=where)
    kept = jnp.ones(labels.shape, bool) if where is None else where
    correct = jnp.sum((jnp.argmax(logits, axis=-1) == labels) & kept)
    return total, weight, {"correct": correct, "count": jnp.sum(kept)}
