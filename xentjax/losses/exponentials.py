"""Exponentials whose slopes keep their digits as well as their values."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from xentjax.losses.complement import sigmoid_complement


def one_minus_exp(x: Array) -> Array:
    """1 − e^(−x) for x ≥ 0, exact in value and slope at every x.

    JAX's slope of expm1 is expm1 + 1, which is 0 where e^(−x) is below the rounding of 1: a loss
    whose gradient is all there would stop learning at x = 17.
    """
    near = x < 1
    return jnp.where(near, -jnp.expm1(-jnp.where(near, x, 0)), 1 - jnp.exp(-x))


@jax.custom_jvp
def softplus(x: Array) -> Array:
    """log(1 + eˣ), exact at every x; its slope σ(x) keeps its digits where it is small.

    The select comes last: XLA on CPU takes plain arithmetic into the sum that follows, where it
    runs several times as long as in a loop of its own.
    """
    positive = x > 0
    tail = jnp.log1p(minus_abs_exp(x))
    return jnp.where(positive, x + tail, tail)


@softplus.defjvp
def _softplus_jvp(primals, tangents):
    return softplus(*primals), sigmoid_complement(*primals)[0] * tangents[0]


def minus_abs_exp(x: Array) -> Array:
    """e^(−|x|); not of abs(x), whose slope at 0 is 0 in place of one of its sides."""
    return jnp.exp(jnp.where(x > 0, -x, x))
