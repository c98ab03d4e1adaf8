"""Squared error and Huber loss: the regression losses cross-entropy is compared with."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    real_array,
    reduce_with_mass,
)

# Compiled as one, so that an eager call is one program.
_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def squared_error(
    predictions: Num[ArrayLike, "..."],
    targets: Num[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""(prediction − target)², element by element; with "mean" the MSE.

    No factor ½. For classification prefer a cross-entropy: behind a softmax or sigmoid the
    squared error's gradient vanishes on confident mistakes, the cross-entropy's does not.

    Args:
      predictions: real, any shape and float dtype.
      targets: real, the shape of `predictions`.
      where: boolean, broadcastable to `predictions`; False leaves an element out.
      weights: real, broadcastable to `predictions`.
      reduction: "none", "sum" or "mean".

    Returns:
      Squared units of the targets, at least float32.

    Raises:
      TypeError: predictions are not floating point, or `where` is not boolean.
      ValueError: shapes differ or do not fit, or the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_error(jnp.array([1.0, 4.0]), jnp.array([3.0, 4.5]), reduction="mean"))
      2.125

    See Also:
      `huber_loss` when a few targets are far off.
    """
    predictions, targets, keep = _checked(predictions, targets, where, reduction)
    weights = inputs.as_array(weights)
    return _squared_error(predictions, targets, keep, weights, reduction=reduction)


@_compiled
def _squared_error(predictions, targets, keep, weights, *, reduction):
    losses = _errors(predictions, targets, keep) ** 2
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def huber_loss(
    predictions: Num[ArrayLike, "..."],
    targets: Num[ArrayLike, "..."],
    *,
    delta: Num[ArrayLike, ""] = 1.0,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Quadratic near zero, linear beyond δ, so that outliers pull with bounded force.

    With error e: ½ e² where |e| ≤ δ, δ (|e| − ½ δ) elsewhere.

    Args:
      predictions: real, any shape and float dtype.
      targets: real, the shape of `predictions`.
      delta: δ > 0, where the quadratic ends; may be traced.
      where: boolean, broadcastable to `predictions`; False leaves an element out.
      weights: real, broadcastable to `predictions`.
      reduction: "none", "sum" or "mean".

    Returns:
      The loss, at least float32.

    Raises:
      TypeError: predictions are not floating point, or `where` is not boolean.
      ValueError: shapes differ or do not fit, δ is not positive, the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> print(huber_loss(jnp.array([0.5, 3.0]), jnp.array([0.0, 0.0])))  # ½·¼, 3 − ½
      [0.125 2.5  ]

    Reference:
      P. J. Huber, Robust Estimation of a Location Parameter, 1964.
    """
    delta = inputs.positive(delta, "delta")
    predictions, targets, keep = _checked(predictions, targets, where, reduction)
    weights = inputs.as_array(weights)
    return _huber_loss(predictions, targets, delta, keep, weights, reduction=reduction)


@_compiled
def _huber_loss(predictions, targets, delta, keep, weights, *, reduction):
    errors = _errors(predictions, targets, keep)
    size, delta = jnp.abs(errors), delta.astype(errors.dtype)
    # The unused branch sees a harmless value, so that e² cannot overflow into the gradient.
    near = size <= delta
    quadratic = 0.5 * jnp.where(near, errors, 0) ** 2
    losses = jnp.where(near, quadratic, delta * (size - 0.5 * delta))
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def _checked(predictions, targets, where, reduction):
    check_reduction(reduction)
    predictions, targets = jnp.asarray(predictions), jnp.asarray(targets)
    at_least_float32(predictions, "predictions")
    real_array(targets, "targets")
    inputs.require_same_shape(targets, predictions, "targets", "predictions")
    return predictions, targets, example_mask(where, predictions.shape)


def _errors(predictions, targets, keep):
    predictions = at_least_float32(predictions, "predictions")
    errors = predictions - targets.astype(predictions.dtype)
    return errors if keep is None else jnp.where(keep, errors, 0)
