"""Learning to rank: the softmax over the items of a list, against their relevance."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Rows, read_rows
from xentjax.losses.reduction import at_least_float32, example_mask, fit_to_shape, real_array
from xentjax.losses.row_partition import target_nll

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def listwise_softmax_loss(
    scores: Num[ArrayLike, "..."],
    relevance: Num[ArrayLike, "..."],
    *,
    item_where: Shaped[ArrayLike, "..."] | None = None,
    axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy between the relevance of a list's items and the softmax of their scores.

        l = −Σ_i r_i log softmax(s)_i

    Prefer it to losses on pairs of items for ranking: one pass over a list of any length, and
    its top is what counts. Relevance is taken as given, so that a list weighs as much as its
    relevance sums to; for lists that weigh the same pass r / Σ r, and for ListNet's top-one
    probabilities `jax.nn.softmax(grades, where=item_where)`. One relevant item of relevance 1
    is the cross-entropy.

    A list without relevance costs 0 and counts in a mean (leave it out with
    `where=relevance.sum(-1) > 0`); a list without items counts nothing.

    Args:
      scores: real [*batch, I], any float dtype: I items a list. A score of −inf is an item that
        cannot be shown.
      relevance: real ≥ 0, the shape of `scores`: grades, clicks or probabilities.
      item_where: boolean, broadcastable to `scores`; False is padding, whatever it holds.
      axis: the axis of the items.
      where: boolean, broadcastable to [*batch]; False leaves a list out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean" (over lists).

    Returns:
      Nats, float32 (float64 for float64 scores): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: scores are not floating point, or a mask is not boolean.
      ValueError: shapes do not fit or (eager calls) a relevance is negative or not finite. Under
        jit a negative one gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> scores = jnp.log(jnp.array([6.0, 3.0, 1.0]))  # softmax gives 0.6, 0.3 and 0.1
      >>> loss = listwise_softmax_loss(scores, jnp.array([2.0, 0.0, 0.0]))
      >>> print(f"{loss:.4f}")  # −2 log 0.6
      1.0217

    Reference:
      Z. Cao et al., Learning to Rank: From Pairwise Approach to Listwise Approach, 2007.

    See Also:
      `softmax_cross_entropy`, where the items are the same classes in every example.
    """
    scores, grades = at_least_float32(scores, "scores"), real_array(relevance, "relevance")
    inputs.require_same_shape(grades, scores, "relevance", "scores")
    grades = grades.astype(scores.dtype)
    axes = inputs.class_axes(scores, axis, "scores")
    keep = example_mask(where, inputs.batch_shape(scores, axes))
    if item_where is not None:
        items = _item_mask(item_where, scores)
        scores, grades = jnp.where(items, scores, -jnp.inf), jnp.where(items, grades, 0)
        has_items = jnp.any(items, axis=axes)
        keep = has_items if keep is None else keep & has_items
    inputs.require_distribution(grades, keep, axes, "relevance")
    lists = read_rows(
        axis=axes, where=keep, weights=weights, reduction=reduction, scores=scores, relevance=grades
    )
    return _listwise_softmax_loss(lists, reduction=reduction)


@_compiled
def _listwise_softmax_loss(lists: Rows, *, reduction):
    scores, relevance = lists.safe()
    good = jnp.min(relevance, axis=-1) >= 0
    losses = target_nll(scores, relevance, -1) * inputs.nan_unless(good, scores.dtype)
    return lists.reduce(losses, reduction)


def _item_mask(item_where: ArrayLike, scores: Array) -> Array:
    items = jnp.asarray(item_where)
    if items.dtype != jnp.bool_:
        raise TypeError(
            f"item_where must be boolean, got {items.dtype}; write item_where=mask.astype(bool)"
        )
    return fit_to_shape(items, scores.shape, "item_where", "scores")
