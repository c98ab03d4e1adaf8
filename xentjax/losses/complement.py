"""Probabilities beside their complements, each with its own digits.

1 − p is 0 in float32 once p > 1 − 3e-8. Here it is a quotient of sums that leave the class
itself out, so a loss made of misses (1 − p) stays exact where the model is sure, in value and
gradient.
"""

import jax.numpy as jnp
from jaxtyping import Array

from xentjax.losses.log_partition import split_top


def softmax_complement(logits: Array) -> tuple[Array, Array]:
    """softmax(x) and 1 − softmax(x) over the last axis; a class at −inf has 0 and 1."""
    _, exps, rest, total, _ = split_top(logits, -1)
    p = exps / total
    sole_leader = (exps == 1) & (rest < 1)
    return p, jnp.where(sole_leader, rest / total, 1 - p)


def sigmoid_complement(logits: Array) -> tuple[Array, Array]:
    """σ(x) and σ(−x) from one exponential e of −|x|: 1 / (1 + e) and e / (1 + e)."""
    positive = logits > 0
    e = jnp.exp(jnp.where(positive, -logits, logits))
    larger = 1 / (1 + e)
    smaller = e * larger
    return jnp.where(positive, larger, smaller), jnp.where(positive, smaller, larger)
