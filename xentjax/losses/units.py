"""Units of information: the losses are in nats; papers report bits, perplexity, bits per byte."""

import math

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num


def bits(nats: Num[ArrayLike, "..."]) -> Float[Array, "..."]:
    r"""Nats as bits: nats / ln 2.

    Args:
      nats: losses in nats, any shape.

    Returns:
      Bits, the same shape.

    Example:
      >>> print(bits(0.6931472))  # a fair coin
      1.0
    """
    return jnp.asarray(nats) / math.log(2)


def perplexity(mean_nats: Num[ArrayLike, "..."]) -> Float[Array, "..."]:
    r"""exp of a mean loss: the size of the uniform choice that would be as hard.

    The mean must be over all tokens of all batches; a mean of perplexities is another number.

    Args:
      mean_nats: mean loss per token in nats.

    Returns:
      Perplexity, at least 1 for a non-negative loss; the same shape.

    Example:
      >>> print(round(float(perplexity(1.0986123)), 4))  # ln 3: like choosing among three
      3.0

    Reference:
      F. Jelinek et al., Perplexity: a measure of the difficulty of speech recognition tasks, 1977.
    """
    return jnp.exp(jnp.asarray(mean_nats))


def bits_per_byte(total_nats: Num[ArrayLike, "..."], n_bytes: int) -> Float[Array, "..."]:
    r"""The summed loss of a text, in bits, per byte of that text: total / (ln 2 · bytes).

    Comparable across tokenizers, and with a file compressor: a compressor's bits per byte are
    8 · compressed size / size.

    Args:
      total_nats: the loss summed over all tokens, in nats.
      n_bytes: the length of the text in bytes, at least 1.

    Returns:
      Bits per byte.

    Raises:
      ValueError: `n_bytes` is less than 1.

    Example:
      >>> print(bits_per_byte(4 * 0.6931472, 2))  # four bits over two bytes
      2.0
    """
    if n_bytes < 1:
        raise ValueError(f"n_bytes must be at least 1, got {n_bytes}")
    return bits(total_nats) / n_bytes
