"""Probabilities from logits by other normalizations than softmax: sparse, or with heavy tails."""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.losses import inputs
from xentjax.losses.deformed_softmax import Rate, below_top, deformed_exp, log_normalizer
from xentjax.losses.fenchel_young import entmax_rate
from xentjax.losses.reduction import at_least_float32


def entmax(
    logits: Num[ArrayLike, "..."], *, alpha: Num[ArrayLike, ""] = 1.5, axis: int = -1
) -> Float[Array, "..."]:
    r"""Sparse probabilities between softmax (α = 1) and sparsemax (α = 2).

    p = [(α − 1) x − τ]₊^(1 / (α − 1)), with τ such that Σ p = 1.

    Args:
      logits: real scores, any float dtype; a class at −inf gets 0.
      alpha: α in [1, 2], one number; may be traced and differentiated.
      axis: the class axis.

    Returns:
      Probabilities of the shape of `logits`, float32 (float64 for float64 logits).

    Raises:
      TypeError: logits are not floating point.
      ValueError: α is outside [1, 2], or the axis does not exist.

    Example:
      >>> import jax.numpy as jnp
      >>> # τ = −½: p = (½ + ½)², (½ − ½)²
      >>> print(entmax(jnp.array([1.0, -1.0])))
      [1. 0.]

    Reference:
      B. Peters, V. Niculae, A. F. T. Martins, Sparse Sequence-to-Sequence Models, 2019.

    See Also:
      `entmax_loss`, the loss that these probabilities belong to.
    """
    logits, axis = _checked(logits, axis)
    if inputs.is_number(alpha, 1):
        return jax.nn.softmax(logits, axis)
    rate, power = entmax_rate(alpha)
    return _probabilities(logits, rate, power=power, axis=axis)


def sparsemax(logits: Num[ArrayLike, "..."], *, axis: int = -1) -> Float[Array, "..."]:
    r"""The point of the probability simplex nearest to the logits: (x − τ)₊ with sum 1.

    Args:
      logits: real scores, any float dtype; a class at −inf gets 0.
      axis: the class axis.

    Returns:
      Probabilities of the shape of `logits`, float32 (float64 for float64 logits).

    Raises:
      TypeError: logits are not floating point.
      ValueError: the axis does not exist.

    Example:
      >>> import jax.numpy as jnp
      >>> print(sparsemax(jnp.array([1.0, 0.5, -1.0])))  # τ = ¼
      [0.75 0.25 0.  ]

    Reference:
      A. F. T. Martins, R. F. Astudillo, From Softmax to Sparsemax: A Sparse Model of Attention and
      Multi-Label Classification, 2016.

    See Also:
      `sparsemax_loss`.
    """
    return entmax(logits, alpha=2.0, axis=axis)


def _checked(logits, axis):
    logits = at_least_float32(logits, "logits")
    (axis,) = inputs.class_axes(logits, axis)
    return logits, axis


@partial(jax.jit, static_argnames=("power", "axis"), inline=True)
def _probabilities(logits, rate, *, power, axis):
    v = below_top(jnp.moveaxis(logits, axis, -1))
    rate = Rate(rate.astype(v.dtype), power)
    shares = deformed_exp(v - log_normalizer(v, rate), rate).shares
    return jnp.moveaxis(shares, -1, axis)
