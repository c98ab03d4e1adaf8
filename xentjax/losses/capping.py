"""Soft capping: logits kept within ±cap, smoothly."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.losses import inputs
from xentjax.losses.reduction import at_least_float32


def soft_cap(logits: Num[ArrayLike, "..."], cap: Num[ArrayLike, ""]) -> Float[Array, "..."]:
    r"""cap · tanh(x / cap), element by element: nearly x when small, never beyond ±cap.

    A step before a loss, for `softmax_cross_entropy(soft_cap(logits, 30.0), labels)`. Prefer it
    where logits grow without bound in a long training; `z_loss` bounds their sum of exponentials
    softly instead and leaves the prediction as it is. Far beyond the cap an element gets no
    gradient any more (in float32 from |x| ≈ 9 cap on).

    A logit of −inf stays −inf, with zero gradient: it is a masked class, and at −cap it would be
    a live one again. +inf becomes cap.

    Args:
      logits: real scores, any shape and float dtype.
      cap: one positive number; may be traced. Gemma 2 takes 30 for its last logits.

    Returns:
      The shape and dtype of `logits`; 16-bit ones are computed in float32 and rounded once.

    Raises:
      TypeError: logits are not floating point.
      ValueError: cap is not one positive, finite number. A traced one gives NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> for logit in soft_cap(jnp.array([0.3, 30.0, -jnp.inf]), 30.0):
      ...     print(f"{logit:.4f}")  # 30 · tanh 0.01 and 30 · tanh 1
      0.3000
      22.8478
      -inf

    Reference:
      Gemma Team, Gemma 2: Improving Open Language Models at a Practical Size, 2024.

    See Also:
      `fused.linear_cross_entropy`, whose option `soft_cap` is this function.
    """
    logits = jnp.asarray(logits)
    at_least_float32(logits, "logits")
    return _soft_cap(logits, inputs.positive(cap, "cap"))


@jax.jit
def _soft_cap(logits, cap):
    x = at_least_float32(logits, "logits")
    cap = cap.astype(x.dtype)
    masked = x == -jnp.inf
    capped = cap * jnp.tanh(jnp.where(masked, 0, x) / cap)
    return jnp.where(masked, -jnp.inf, capped).astype(logits.dtype)
