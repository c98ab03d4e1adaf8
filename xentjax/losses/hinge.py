"""The multi-class hinge: a margin that, once kept, costs nothing more."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.log_partition import class_index, pick_label, put_at_label

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def multiclass_hinge_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    margin: Num[ArrayLike, ""] = 1.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""How far the label is from leading the best other class by a margin.

        l = max(0, m + max_{j≠y} x_j − x_y)

    The loss of Crammer and Singer's support vector machine. Prefer it to cross-entropy as a
    comparison, or where examples that are right by the margin should no longer pull at all.
    Prefer cross-entropy where probabilities are wanted: this loss gives none. (Weston and
    Watkins sum the excess over all classes instead; `torch.nn.MultiMarginLoss` is their sum / C.)

    It has kinks. Where classes tie for the maximum they share its slope evenly; where the margin
    is kept exactly the slope is 0.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      margin: m ≥ 0, one number; may be traced. m = 0 is the perceptron's loss.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch]; class weights α are `alpha[labels]`.
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      In units of the logits, float32 (float64 for float64 logits): [*batch] for "none", a
      scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, the margin is negative or (eager calls) a label is outside
        [0, C). Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> print(multiclass_hinge_loss(jnp.array([2.0, 1.5, -1.0]), jnp.array(0)))  # 1 + 1.5 − 2
      0.5

    Reference:
      K. Crammer, Y. Singer, On the Algorithmic Implementation of Multiclass Kernel-based Vector
      Machines, 2001.

    See Also:
      `softmax_cross_entropy`, its smooth sister.
    """
    examples = read_labelled(
        logits,
        labels,
        axis=axis,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    excess = inputs.non_negative(margin, "margin")
    return _multiclass_hinge_loss(examples, excess, reduction=reduction)


@_compiled
def _multiclass_hinge_loss(examples: Labelled, margin, *, reduction):
    logits = examples.safe_logits()
    # The difference first: at logits of 1e8 a margin added to one of them would be lost.
    excess = _lead_of_others(logits, examples.labels) + margin.astype(logits.dtype)
    # No relu where label or margin are bad: it would keep the NaN out of the slopes.
    factor = examples.nan_if_bad() * inputs.nan_if_refused(logits.dtype, margin)
    losses = jnp.where((excess <= 0) & (factor == 1), 0, excess) * factor
    return examples.reduce(losses, reduction)


@jax.custom_jvp
def _lead_of_others(logits: Array, labels: Array) -> Array:
    """max_{c≠y} x_c − x_y of each row; those that share the maximum share its slope."""
    others = jnp.max(put_at_label(logits, labels, logits.ndim - 1, -jnp.inf), axis=-1)
    return others - jnp.squeeze(pick_label(logits, labels, -1), -1)


@_lead_of_others.defjvp
def _lead_of_others_jvp(primals, tangents):
    # JAX's rule for a maximum writes the mask, its count and their quotient, an array each.
    logits, labels = primals
    others = put_at_label(logits, labels, logits.ndim - 1, -jnp.inf)
    leads = (others == jnp.max(others, axis=-1, keepdims=True)).astype(logits.dtype)
    count = jnp.sum(leads, axis=-1, keepdims=True)
    is_label = class_index(logits, -1) == labels[..., None]
    slope = jnp.where(is_label, -count, leads)
    derivative = jnp.sum(slope * tangents[0], axis=-1) / jnp.squeeze(count, -1)
    value = _lead_of_others(logits, labels)
    # A row without a value has no slopes: a step that asks for finite gradients must see it.
    return value, derivative * jnp.where(jnp.isnan(value), jnp.nan, 1)
