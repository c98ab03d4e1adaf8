"""Confidence penalty: cross-entropy less a share of the prediction's entropy."""

from collections.abc import Sequence
from functools import partial

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.class_targets import cross_entropy, finite_above, read_class_targets
from xentjax.losses.examples import Labelled, Rows
from xentjax.losses.row_partition import softmax_entropy


def confidence_penalty(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    beta: Num[ArrayLike, ""] = 0.1,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy minus β times the entropy of the prediction: hesitation is rewarded.

    For a label y (or a distribution t) and p = softmax(x):

        l = −Σ_c t_c log p_c − β H(p),   H(p) = −Σ_c p_c log p_c

    It may be negative: no less than −β log C. Prefer it to label smoothing where the wrong
    classes are not alike: smoothing pulls all of them up evenly, this only asks that the
    prediction be less sharp, whichever way. Do not compare its values with a cross-entropy;
    β = 0 is one.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch], or floating distributions of the shape of `logits`
        (non-negative; a sum other than 1 scales the cross-entropy).
      beta: β ≥ 0, one number; may be traced. The paper finds 0.1 to 4, by task.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: integer labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are boolean, `where` not boolean.
      ValueError: shapes do not fit, β is negative or (eager calls) a label is outside [0, C)
        or negative mass. Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> even = jnp.zeros(4)
      >>> print(f"{confidence_penalty(even, jnp.array(0)):.4f}")  # (1 − 0.1) log 4
      1.2477
      >>> sure = jnp.array([5.0, 0.0])  # −log p = 0.00672, H = 0.04018
      >>> print(f"{confidence_penalty(sure, jnp.array(0), beta=0.5):.4f}")  # below zero
      -0.0134

    Reference:
      G. Pereyra et al., Regularizing Neural Networks by Penalizing Confident Output
      Distributions, 2017.

    See Also:
      `entropy` alone; `softmax_cross_entropy` with `label_smoothing`.
    """
    examples = read_class_targets(
        logits,
        labels,
        axis=axis,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    share = inputs.unless_number(0, beta, inputs.non_negative, "beta")
    return _confidence_penalty(examples, share, reduction=reduction)


@partial(jax.jit, static_argnames="reduction", inline=True)
def _confidence_penalty(examples: Labelled | Rows, share, *, reduction):
    losses = cross_entropy(examples)
    if share is not None:
        losses -= share.astype(losses.dtype) * softmax_entropy(finite_above(examples), -1)
    return examples.reduce(losses, reduction)
