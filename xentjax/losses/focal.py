"""Focal losses: cross-entropy that turns away from examples already learned."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.log_partition import label_terms

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def focal_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    gamma: Num[ArrayLike, ""] = 2.0,
    axis: int = -1,
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
      axis: the class axis.
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
        losses = power(-jnp.expm1(-nll), exponent.astype(nll.dtype)) * nll
    return examples.reduce(losses, reduction)


def power(x: Array, exponent: Array) -> Array:
    """x^γ for x ≥ 0 and γ ≥ 0, with slope 0 at x = 0 instead of a NaN.

    For γ < 1 the true slope there is infinite; where this is used, a factor that goes to 0 as
    fast makes the product's slope 0.
    """
    some = x > 0
    at_zero = jnp.where(exponent == 0, 1, 0).astype(x.dtype)
    return jnp.where(some, jnp.where(some, x, 1) ** exponent, at_zero)
