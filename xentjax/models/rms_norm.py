"""Root-mean-square normalization: rows brought to size one, without a mean or a bias."""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

_EPSILON = 1e-6


class RMSNorm(nnx.Module):
    """y = x / √(mean(x²) + ε) · scale over the last axis, its statistics in float32.

    Attributes:
        scale: `[D]`, float32, ones at first.

    Example:
        >>> [round(value, 3) for value in RMSNorm(2)(jnp.array([[3.0, 4.0]]))[0].tolist()]
        [0.849, 1.131]

    Reference:
        B. Zhang and R. Sennrich, "Root Mean Square Layer Normalization", 2019.
    """

    def __init__(self, width: int) -> None:
        """Takes D, the width of a row."""
        self.scale = nnx.Param(jnp.ones(width))

    def __call__(self, rows: Float[Array, "rows width"]) -> Float[Array, "rows width"]:
        """Returns the normalized rows, in their dtype."""
        x = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
        inverse = lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + _EPSILON)
        return (x * inverse * self.scale[...][None]).astype(rows.dtype)
