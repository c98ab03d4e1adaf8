"""Focal losses: cross-entropy that turns away from examples already learned."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Elements, Labelled, read_elements, read_labelled
from xentjax.losses.exponentials import one_minus_exp, softplus
from xentjax.losses.log_partition import label_terms

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def focal_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    gamma: Num[ArrayLike, ""] = 2.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy times (1 − p_y)^γ: learned examples fade out.

    With n = −log softmax(x)_y, exact at every margin:

        l = (1 − e⁻ⁿ)^γ n

    Prefer it where easy examples outnumber the hard ones so far that their small losses add up
    to most of the gradient, as background does in detection. γ = 0 is the cross-entropy.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      gamma: γ ≥ 0, one number; may be traced.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch]; class weights α are `alpha[labels]`.
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, γ is negative or (eager calls) a label is outside [0, C).
        Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([0.9, 0.1]))
      >>> print(f"{focal_loss(logits, jnp.array(0)):.6f}")  # 0.1² · −log 0.9 = 0.01 · 0.105361
      0.001054

    Reference:
      T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017.

    See Also:
      `sigmoid_focal_loss` for labels that do not exclude each other.
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
    exponent = inputs.unless_number(0, gamma, inputs.non_negative, "gamma")
    return _focal_loss(examples, exponent, reduction=reduction)


@_compiled
def _focal_loss(examples: Labelled, exponent, *, reduction):
    nll = label_terms(examples.logits, examples.labels, examples.keep, -1).nll
    losses = nll
    if exponent is not None:
        losses = _focused(nll, exponent.astype(nll.dtype))
    return examples.reduce(losses, reduction)


def _focused(nll, exponent):
    """(1 − e⁻ⁿ)^γ n, where an infinite n keeps its own slope: the power's would be 0 · inf."""
    infinite = nll == jnp.inf
    finite = jnp.where(infinite, 0, nll)
    losses = jnp.where(infinite, nll, _power(one_minus_exp(finite), exponent) * finite)
    return losses * inputs.nan_if_refused(nll.dtype, exponent)


def sigmoid_focal_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    gamma: Num[ArrayLike, ""] = 2.0,
    alpha: Num[ArrayLike, ""] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Sigmoid cross-entropy times (1 − p_t)^γ, element by element.

    With p = σ(x), the probability p_t = y p + (1 − y)(1 − p) that the label is right, and
    α_t = y α + (1 − y)(1 − α), or 1 without α:

        l = α_t (1 − p_t)^γ [y · softplus(−x) + (1 − y) · softplus(x)]

    The power is exp(γ log(1 − p_t)) with its logarithm from softplus: it keeps its digits at
    every margin, and its derivatives of all orders stay finite for γ < 1 too.

    Prefer it to `sigmoid_cross_entropy` where nearly all labels are 0 and learned early, as in
    detection; prefer `asymmetric_loss` where positives and negatives want different exponents.

    Args:
      logits: real scores, any shape and float dtype. ±inf counts as the largest finite number:
        free when right, enormous when wrong, and without gradient.
      labels: in [0, 1], the shape of `logits`; floating, boolean, or integer 0 and 1. Constants
        to differentiation.
      gamma: γ ≥ 0, one number; may be traced. 0 is the sigmoid cross-entropy.
      alpha: α in [0, 1], the weight of positives (negatives weigh 1 − α), or None; may be traced.
      where: boolean, broadcastable to `logits`; False leaves an element out.
      weights: real, broadcastable to `logits`.
      reduction: "none", "sum" or "mean" (over all elements that are not masked).

    Returns:
      Nats, float32 (float64 for float64 logits): the shape of `logits` for "none".

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: shapes differ, an option is out of range, or (eager calls) a label lies outside
        [0, 1]. Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([9.0]))  # odds 9 : 1, probability 0.9
      >>> print(f"{sigmoid_focal_loss(logits, jnp.array([1]))[0]:.6f}")  # 0.1² · −log 0.9
      0.001054
      >>> loss = sigmoid_focal_loss(logits, jnp.array([1]), alpha=0.25)
      >>> print(f"{loss[0]:.6f}")  # a quarter of it
      0.000263

    Reference:
      T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017.

    See Also:
      `focal_loss` for classes that exclude each other.
    """
    elements = read_elements(logits, labels, where=where, weights=weights, reduction=reduction)
    exponent = inputs.unless_number(0, gamma, inputs.non_negative, "gamma")
    balance = None if alpha is None else inputs.fraction(alpha, "alpha")
    return _sigmoid_focal_loss(elements, exponent, balance, reduction=reduction)


@_compiled
def _sigmoid_focal_loss(elements: Elements, exponent, balance, *, reduction):
    logits, labels = elements.safe()
    logits, labels = within_range(logits), lax.stop_gradient(labels)
    losses = labels * softplus(-logits) + (1 - labels) * softplus(logits)
    if exponent is not None:
        losses *= jnp.exp(exponent.astype(logits.dtype) * _log_miss(logits, labels))
    if balance is not None:
        balance = balance.astype(logits.dtype)
        losses *= labels * balance + (1 - labels) * (1 - balance)
    return elements.reduce(losses * elements.nan_if_bad(), reduction)


def within_range(logits: Array) -> Array:
    """±inf as the largest finite number, without gradient: no inf is left to meet a 0."""
    largest = jnp.finfo(logits.dtype).max
    return jnp.where(jnp.isinf(logits), jnp.sign(logits) * largest, logits)


def _log_miss(logits, labels):
    """log(1 − p_t) = log(y (1 − p) + (1 − y) p)."""
    on_positive = jnp.log(labels) - softplus(logits)
    on_negative = jnp.log1p(-labels) - softplus(-logits)
    return jnp.logaddexp(on_positive, on_negative)


def _power(x: Array, exponent: Array) -> Array:
    """x^γ for x ≥ 0 and γ ≥ 0, with slope 0 at x = 0 instead of a NaN.

    For γ < 1 the true slope there is infinite; where this is used, a factor that goes to 0 as
    fast makes the product's slope 0.
    """
    some = x > 0
    at_zero = jnp.where(exponent == 0, 1, 0).astype(x.dtype)
    return jnp.where(some, jnp.where(some, x, 1) ** exponent, at_zero)
