"""What a softmax loss is told of each example: a class index, or a distribution over classes.

Losses that take both, as `softmax_cross_entropy` does, begin with `read_class_targets` and build
on `cross_entropy` of what it returns.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Labelled, Rows, read_labelled, read_rows
from xentjax.losses.log_partition import label_terms
from xentjax.losses.row_partition import target_nll


def read_class_targets(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    axis: int | Sequence[int],
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    ignore_index: int | None,
    reduction: str,
) -> Labelled | Rows:
    """Integer labels as `Labelled`; floating ones of the logits' shape as `Rows` of both."""
    if jnp.issubdtype(inputs.label_array(labels).dtype, jnp.floating):
        if ignore_index is not None:
            raise ValueError(
                f"ignore_index={ignore_index} goes with integer labels, got floating ones; leave "
                "rows out with where="
            )
        rows = read_rows(
            axis=axis,
            where=where,
            weights=weights,
            reduction=reduction,
            logits=logits,
            labels=labels,
        )
        scores, targets = rows.arrays
        inputs.require_distribution(targets, rows.keep, (targets.ndim - 1,), "floating labels")
        _warn_if_probabilities(scores)
        return rows
    examples = read_labelled(
        logits,
        labels,
        axis=axis,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
        warn_of_probabilities=False,
    )
    _warn_if_probabilities(examples.logits)
    return examples


def cross_entropy(examples: Labelled | Rows) -> Array:
    """−Σ t log p of each example, exact at every margin; NaN where the label is bad."""
    if isinstance(examples, Labelled):
        return label_terms(examples.logits, examples.labels, examples.keep, -1).nll
    logits, targets = examples.safe()
    good = jnp.min(targets, axis=-1) >= 0
    losses = target_nll(logits, targets, -1)
    return losses * inputs.nan_unless(good, losses.dtype)


def finite_above(examples: Labelled | Rows) -> Array:
    """The logits [*batch, C], 0 in masked rows; +inf counts as the largest finite number."""
    logits = examples.safe_logits() if isinstance(examples, Labelled) else examples.safe()[0]
    return jnp.where(logits == jnp.inf, jnp.finfo(logits.dtype).max, logits)


def _warn_if_probabilities(logits: Array) -> None:
    # The stack from the warning up: inputs, here, the reader, the loss, its caller.
    inputs.warn_if_probabilities(logits, (logits.ndim - 1,), stacklevel=5)
