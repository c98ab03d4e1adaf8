"""Sigmoid (binary) cross-entropy: classes that do not exclude each other, one by one."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.complement import sigmoid_complement
from xentjax.losses.examples import require_fractions
from xentjax.losses.exponentials import minus_abs_exp, softplus
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    fit_to_shape,
    reduce_with_mass,
)


def sigmoid_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    pos_weight: Num[ArrayLike, "..."] | None = None,
    label_smoothing: Num[ArrayLike, ""] = 0.0,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Binary cross-entropy between labels and sigmoid(logits), element by element.

    With smoothing α and positive weight p, on each element:

        y' = (1 − α) y + α / 2
        l = p · y' · softplus(−x) + (1 − y') · softplus(x)

    Both terms are non-negative, so nothing cancels at any x. Prefer it to the softmax when an
    example may have several labels, or none.

    Args:
      logits: real scores, any shape and float dtype; −inf and +inf are certainties.
      labels: in [0, 1], the shape of `logits`; floating, boolean, or integer 0 and 1.
      where: boolean, broadcastable to `logits`; False leaves an element out.
      weights: real, broadcastable to `logits`.
      pos_weight: real ≥ 0, broadcastable to `logits` ([C], say): weighs the positive term.
      label_smoothing: α in [0, 1], may be traced.
      reduction: "none", "sum" or "mean" (over all elements that are not masked).

    Returns:
      Nats, float32 (float64 for float64 logits): the shape of `logits` for "none".

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: shapes differ, an option is out of range, or (eager calls) a label lies outside
        [0, 1]. Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([4.0]))  # odds 4 : 1, probability 0.8
      >>> print(f"{sigmoid_cross_entropy(logits, jnp.array([True]))[0]:.4f}")  # −log 0.8
      0.2231
      >>> print(f"{sigmoid_cross_entropy(logits, jnp.array([0.0]))[0]:.4f}")  # −log 0.2
      1.6094

    See Also:
      `softmax_cross_entropy` for classes that exclude each other.
    """
    check_reduction(reduction)
    logits, labels = jnp.asarray(logits), inputs.label_array(labels)
    at_least_float32(logits, "logits")
    inputs.require_same_shape(labels, logits, "labels")
    inputs.require_non_negative(pos_weight, "pos_weight")
    keep = example_mask(where, logits.shape)
    require_fractions(labels, keep)
    return _sigmoid_cross_entropy(
        logits,
        labels,
        keep,
        inputs.as_array(weights),
        inputs.as_array(pos_weight),
        inputs.unless_number(0, label_smoothing, inputs.fraction, "label_smoothing"),
        reduction=reduction,
    )


# Compiled as one, so that an eager call is one program.
@partial(jax.jit, static_argnames="reduction", inline=True)
def _sigmoid_cross_entropy(
    logits, labels, keep, weights, pos_weight, label_smoothing, *, reduction
):
    logits = at_least_float32(logits, "logits")
    labels = labels.astype(logits.dtype)
    if keep is not None:
        logits, labels = jnp.where(keep, logits, 0), jnp.where(keep, labels, 0)
    # NaN for a label out of range: it reaches the value and, through the weights, the slopes.
    labels = jnp.where((labels >= 0) & (labels <= 1), labels, jnp.nan)
    if label_smoothing is not None:
        label_smoothing = label_smoothing.astype(logits.dtype)
        labels = (1 - label_smoothing) * labels + label_smoothing / 2
    weight = 1 if pos_weight is None else _pos_weight(pos_weight, logits)
    losses = _weighted_nll(logits, weight * labels, 1 - labels)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


@jax.custom_jvp
def _weighted_nll(x: Array, positive: Array, negative: Array) -> Array:
    """positive · softplus(−x) + negative · softplus(x), with 0 · inf = 0.

    Both share s = log1p(e^−|x|), and one of them has |x| more; nothing cancels. The select comes
    last for the reason given at `softplus`.
    """
    excess, is_excess = jnp.where(x > 0, x, -x), jnp.where(x > 0, negative, positive)
    shared = jnp.log1p(minus_abs_exp(x)) * (positive + negative)
    free = (is_excess == 0) & (excess == jnp.inf)
    return jnp.where(free, shared, shared + is_excess * excess)


@partial(_weighted_nll.defjvp, symbolic_zeros=True)
def _weighted_nll_jvp(primals, tangents):
    x, positive, negative = primals
    dx, dpositive, dnegative = tangents
    derivative = jnp.zeros_like(x)
    if not isinstance(dx, SymbolicZero):
        p, q = sigmoid_complement(x)
        derivative = (negative * p - positive * q) * dx
    for weight, dweight, to in ((positive, dpositive, -x), (negative, dnegative, x)):
        if not isinstance(dweight, SymbolicZero):
            free = (weight == 0) & (to == jnp.inf)
            derivative += jnp.where(free, 0, softplus(to)) * dweight
    return _weighted_nll(*primals), derivative


def _pos_weight(pos_weight, logits):
    return fit_to_shape(pos_weight.astype(logits.dtype), logits.shape, "pos_weight", "logits")
