"""The matrix products of a linear head: operands in their common dtype, sums in float32.

A 16-bit model multiplies in 16 bits, forward and backward, or it would run at a tenth of its
speed on an accelerator; and it adds up in float32, or its gradients would be lost to rounding.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def sum_dtype(*arrays: Array) -> Any:
    """float32, or float64 where an operand is."""
    return jnp.promote_types(jnp.result_type(*arrays), jnp.float32)


def product(hidden: Array, weight: Array, vocab_axis: int, precision: Any) -> Array:
    """hidden · weight, [R, V]: operands in their common dtype, sums in at least float32."""
    return dot(hidden, weight, (1, 1 - vocab_axis), precision)


def dot(left: Array, right: Array, contract: tuple[int, int], precision: Any) -> Array:
    """The product of two matrices over one axis of each."""
    dtype = jnp.result_type(left, right)
    left, right = left.astype(dtype), right.astype(dtype)
    axes = (((contract[0],), (contract[1],)), ((), ()))
    sums = sum_dtype(left, right)
    return lax.dot_general(left, right, axes, precision=precision, preferred_element_type=sums)


def add_outer(
    total: Array, hidden: Array, slopes: Array, vocab_axis: int, block: int, precision: Any
) -> Array:
    """total + hiddenᵀ · slopes (its transpose where the vocabulary comes first), in place.

    Block by block: a whole product would be a second array of the size of the weight, and on a
    CPU rows of slopes that lie a power of two apart fall on the same lines of the cache.
    """

    def add(total, outer, start):
        size = outer.shape[vocab_axis]
        here = lax.dynamic_slice_in_dim(
            total, start, size, axis=vocab_axis, allow_negative_indices=False
        )
        return _put(total, here + outer, start, vocab_axis)

    return _by_blocks(add, total, hidden, slopes, vocab_axis, block, precision)


def put_outer(
    total: Array, hidden: Array, slopes: Array, vocab_axis: int, block: int, precision: Any
) -> Array:
    """hiddenᵀ · slopes in place of `total`, which is written and never read."""

    def put(total, outer, start):
        return _put(total, outer, start, vocab_axis)

    return _by_blocks(put, total, hidden, slopes, vocab_axis, block, precision)


def _by_blocks(update, total, hidden, slopes, vocab_axis, block, precision):
    classes = slopes.shape[1]

    def step(total, start, size):
        # No place counts from the end: to look for that would be a kernel of its own.
        some = lax.dynamic_slice_in_dim(slopes, start, size, axis=1, allow_negative_indices=False)
        pair = (hidden, some) if vocab_axis == 1 else (some, hidden)
        return update(total, dot(*pair, (0, 0), precision), start)

    if not 0 < block < classes:
        return step(total, 0, classes)
    total = lax.fori_loop(0, classes // block, lambda i, t: step(t, i * block, block), total)
    rest = classes % block
    return step(total, classes - rest, rest) if rest else total


def _put(total, part, start, axis):
    return lax.dynamic_update_slice_in_dim(total, part, start, axis, allow_negative_indices=False)
