"""Asymmetric loss: sigmoid cross-entropy for many labels of which few are present."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Elements, read_elements
from xentjax.losses.exponentials import softplus
from xentjax.losses.focal import within_range


def asymmetric_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    gamma_positive: Num[ArrayLike, ""] = 1.0,
    gamma_negative: Num[ArrayLike, ""] = 4.0,
    margin: Num[ArrayLike, ""] = 0.05,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Sigmoid focal loss with an exponent for each side, and easy negatives left out entirely.

    With p = σ(x) and p_m = max(p − m, 0), element by element:

        l = y (1 − p)^γ₊ · −log p + (1 − y) p_m^γ₋ · −log(1 − p_m)

    A negative with p ≤ m costs nothing and pulls nowhere; a negative rated near 1, often a wrong
    label, costs at most −log m. Prefer it in multi-label classification, where an example has
    few of many labels and negatives would fill the gradient. It is no proper scoring rule:
    calibrate its probabilities before you read them.

    The gradient is that of the formula. (Some implementations stop it at the focusing weights,
    by option or by default: they descend another loss.)

    Args:
      logits: real scores, any shape and float dtype. ±inf counts as the largest finite number:
        without gradient.
      labels: in [0, 1], the shape of `logits`; floating, boolean, or integer 0 and 1. A label
        between them weighs the two sides.
      gamma_positive: γ₊ ≥ 0, one number; may be traced.
      gamma_negative: γ₋ ≥ 0, likewise, commonly larger.
      margin: m in [0, 1), the probability below which a negative is left out (also "clip").
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
      >>> logits = jnp.log(jnp.array([4.0, 4.0, 0.04]))  # probabilities 0.8, 0.8, 0.038
      >>> for loss in asymmetric_loss(logits, jnp.array([1, 0, 0])):
      ...     print(f"{loss:.4f}")  # 0.2 · −log 0.8; 0.75⁴ · −log 0.25; below the margin
      0.0446
      0.4386
      0.0000

    Reference:
      T. Ridnik et al., Asymmetric Loss For Multi-Label Classification, 2021.

    See Also:
      `sigmoid_focal_loss` with one exponent and no margin; `sigmoid_cross_entropy` with
      `pos_weight` where only the balance is off.
    """
    elements = read_elements(logits, labels, where=where, weights=weights, reduction=reduction)
    exponents = (
        inputs.unless_number(0, gamma_positive, inputs.non_negative, "gamma_positive"),
        inputs.unless_number(0, gamma_negative, inputs.non_negative, "gamma_negative"),
    )
    shift = inputs.unless_number(0, margin, _below_one, "margin")
    return _asymmetric_loss(elements, exponents, shift, reduction=reduction)


@partial(jax.jit, static_argnames="reduction", inline=True)
def _asymmetric_loss(elements: Elements, exponents, margin, *, reduction):
    logits, labels = elements.safe()
    logits = within_range(logits)
    nll, log_miss = softplus(-logits), -softplus(logits)
    positive = _focused(nll, log_miss, exponents[0])
    if margin is None:
        negative = _focused(-log_miss, -nll, exponents[1])
    else:
        negative = _beyond_margin(logits, margin.astype(logits.dtype), exponents[1])
    losses = labels * positive + (1 - labels) * negative
    # A NaN margin would hide: no probability is above it.
    factor = elements.nan_if_bad() * inputs.nan_if_refused(losses.dtype, margin)
    return elements.reduce(losses * factor, reduction)


def _focused(nll, log_miss, exponent):
    """(1 − p_t)^γ · nll, from the logarithm of 1 − p_t."""
    return nll if exponent is None else nll * jnp.exp(exponent.astype(nll.dtype) * log_miss)


def _beyond_margin(logits, margin, exponent):
    """p_m^γ · −log(1 − p_m) with p_m = p − m, or 0 where p ≤ m."""
    beyond = jax.nn.sigmoid(logits) > margin
    logits = jnp.where(beyond, logits, 0)
    minus_log_p, minus_log_q = softplus(-logits), softplus(logits)
    # p_m = p (1 − m / p): in logarithms, so that γ < 1 has finite derivatives of all orders.
    ratio = jnp.where(beyond, margin * jnp.exp(minus_log_p), 0)
    log_shifted = jnp.log1p(-ratio) - minus_log_p
    shifted = jnp.exp(log_shifted)
    # −log(1 − p_m): by log1p while p_m is small, above as −log(1 − p + m).
    small = shifted < 0.5
    below = -jnp.log1p(-jnp.where(small, shifted, 0))
    nll = jnp.where(small, below, -jnp.logaddexp(-minus_log_q, jnp.log(margin)))
    return jnp.where(beyond, _focused(nll, log_shifted, exponent), 0)


def _below_one(value: ArrayLike, name: str) -> Array:
    return inputs.scalar(value, name, "lie in [0, 1)", lambda v: (v >= 0) & (v < 1))
