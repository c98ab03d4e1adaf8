"""Probabilities beside their complements, each with its own digits.

1 − p is 0 in float32 once p > 1 − 3e-8. Here it is a quotient of sums that leave the class
itself out, so a loss made of misses (1 − p) stays exact where the model is sure, in value and
gradient.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from xentjax.losses.row_partition import split_top


@jax.custom_jvp
def softmax_complement(logits: Array) -> tuple[Array, Array]:
    """softmax(x) and 1 − softmax(x) over the last axis; a class at −inf has 0 and 1.

    +inf counts as the largest finite number.
    """
    _, exps, rest, total, _ = split_top(logits, -1)
    p = exps * (1 / total)
    # Up to a half, 1 − p loses nothing; only a sole leader has more.
    return p, jnp.where(p > 0.5, rest / total, 1 - p)


@softmax_complement.defjvp
def _softmax_complement_jvp(primals, tangents):
    p, complement = softmax_complement(*primals)
    (dlogits,) = tangents
    leads = p > 0.5
    mean = jnp.sum(p * dlogits, axis=-1, keepdims=True)
    others = p * jnp.where(leads, 0, dlogits - mean)
    # The slopes sum to 0: a leader's is what the others lose, with their digits. Transposed this
    # takes the leader's cotangent from all first, and nothing large is left to cancel.
    lost = jnp.sum(others, axis=-1, keepdims=True)
    # Asked of the row too, which is idle: it keeps XLA on CPU from taking what follows into its
    # reduction, where arithmetic runs several times as long as in a loop of its own.
    lost = jnp.where(jnp.any(leads, axis=-1, keepdims=True), lost, 0)
    dp = others - jnp.where(leads, lost, 0)
    return (p, complement), (dp, -dp)


@jax.custom_jvp
def sigmoid_complement(logits: Array) -> tuple[Array, Array]:
    """σ(x) and σ(−x) from one exponential e of −|x|: 1 / (1 + e) and e / (1 + e)."""
    positive = logits > 0
    e = jnp.exp(jnp.where(positive, -logits, logits))
    larger = 1 / (1 + e)
    smaller = e * larger
    return jnp.where(positive, larger, smaller), jnp.where(positive, smaller, larger)


@sigmoid_complement.defjvp
def _sigmoid_complement_jvp(primals, tangents):
    p, complement = sigmoid_complement(*primals)
    dp = p * complement * tangents[0]
    return (p, complement), (dp, -dp)
