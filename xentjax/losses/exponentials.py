"""Exponentials whose slopes keep their digits as well as their values."""

import jax.numpy as jnp
from jaxtyping import Array


def one_minus_exp(x: Array) -> Array:
    """1 − e^(−x) for x ≥ 0, exact in value and slope at every x.

    JAX's slope of expm1 is expm1 + 1, which is 0 where e^(−x) is below the rounding of 1: a loss
    whose gradient is all there would stop learning at x = 17.
    """
    near = x < 1
    return jnp.where(near, -jnp.expm1(-jnp.where(near, x, 0)), 1 - jnp.exp(-x))
