"""What metrics accept, checked once: indices in range, scores without NaN, masks and weights.

An eager call with concrete arrays is told what is wrong and where. Under jit nothing can raise, so
a metric that meets a bad value there becomes NaN and stays NaN: each reader returns the values
beside `good`, a boolean that says whether they may be trusted.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import example_mask, fit_to_shape, is_concrete, real_array


def read_indices(
    values: Shaped[ArrayLike, "..."], name: str, bound: int | None, keep: Array | None
) -> tuple[Array, Array]:
    """Integers in [0, bound) as int32, and where they are good or masked; for None, the most."""
    array = inputs.label_array(values)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        advice = f"{name}.astype(int)" if array.dtype == jnp.bool_ else "jnp.argmax(logits, -1)"
        raise TypeError(f"{name} must be integer class indices, got {array.dtype}; write {advice}")
    # The values as the caller gave them: without 64-bit mode JAX would wrap 2³² + 1 to 1.
    # What no int32 holds is clamped to 2³¹ − 1, which therefore is out of range itself: else all
    # large ids would be one.
    most = 2**31 - 1 if bound is None else bound
    span = "[0, 2**31 - 1)" if bound is None else f"[0, {bound})"
    _require(values, keep, name, f"lie in {span}", lambda v: (v >= 0) & (v < most))
    indices, _ = inputs.narrow_indices(array, None, None)
    inside = (indices >= 0) & (indices < most)
    return indices, inside if keep is None else inside | ~keep


def read_binary(
    values: Shaped[ArrayLike, "..."], name: str, keep: Array | None
) -> tuple[Array, Array]:
    """Booleans, or integers 0 and 1, as booleans, and where they are good or masked."""
    array = jnp.asarray(values)
    if array.dtype == jnp.bool_:
        return array, jnp.ones_like(array)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(
            f"{name} must be boolean or integers 0 and 1, got {array.dtype}; choose a threshold: "
            "logits > 0 is a probability above one half"
        )
    indices, good = read_indices(values, name, 2, keep)
    return indices == 1, good


def read_scores(
    values: Num[ArrayLike, "..."], name: str, keep: Array | None
) -> tuple[Array, Array]:
    """Real scores in at least float32, masked ones 0, and where they are good: no NaN."""
    scores = real_array(values, name)
    scores = scores.astype(jnp.promote_types(scores.dtype, jnp.float32))
    if keep is not None:
        scores = jnp.where(keep, scores, 0)
    _require(scores, None, name, "not be NaN", lambda v: ~np.isnan(v))
    return scores, ~jnp.isnan(scores)


def read_weights(
    weights: Num[ArrayLike, "..."] | None, keep: Array | None, shape: tuple[int, ...]
) -> Array | None:
    """Weights of a shape, 0 where masked; what is negative or not finite raises or is NaN."""
    if weights is None:
        return None
    weights = real_array(weights, "weights").astype(jnp.result_type(float))
    weights = fit_to_shape(weights, shape, "weights", "the examples")
    demand = "be non-negative and finite"
    _require(weights, keep, "weights", demand, lambda v: (v >= 0) & (v < np.inf))
    weights = jnp.where((weights >= 0) & (weights < jnp.inf), weights, jnp.nan)
    return weights if keep is None else jnp.where(keep, weights, 0)


def number_array(values: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."]) -> Array:
    """The values as JAX holds them; 64-bit integers that would wrap as floats, which only round."""
    if isinstance(values, np.ndarray | np.integer) and values.dtype.kind in "iu":
        held = np.asarray(values).astype(jax.dtypes.canonicalize_dtype(values.dtype))
        if not np.array_equal(held, values):
            values = np.asarray(values, np.float64)
    return jnp.asarray(values)


def amounts(keep: Array | None, weights: Array | None, shape: tuple[int, ...]) -> Array:
    """How much each example counts: a boolean, or its weight."""
    if weights is not None:
        return weights
    return jnp.ones(shape, bool) if keep is None else keep


def row_mask(
    where: Shaped[ArrayLike, "..."] | None, shape: tuple[int, ...], elements: str
) -> Array | None:
    """`where` of rows [*batch] or of elements [*batch, T], told apart by rank, as [*batch, T]."""
    if where is None:
        return None
    return example_mask(_with_rank(jnp.asarray(where), shape, "where", elements), shape)


def row_weights(
    weights: Num[ArrayLike, "..."] | None,
    keep: Array | None,
    shape: tuple[int, ...],
    elements: str,
) -> Array | None:
    """`weights` of rows or of elements, as `row_mask` tells them apart."""
    if weights is None:
        return None
    return read_weights(_with_rank(jnp.asarray(weights), shape, "weights", elements), keep, shape)


def require_shape(
    x: Shaped[ArrayLike, "..."], shape: tuple[int, ...], name: str, beside: str
) -> None:
    """Raises ValueError unless the shape is as wanted; nothing is broadcast in silence."""
    if jnp.shape(x) != shape:
        raise ValueError(
            f"{name} must have shape {shape} beside {beside}, got {jnp.shape(x)}; "
            "nothing is broadcast here"
        )


def _with_rank(x: Array, shape: tuple[int, ...], name: str, elements: str) -> Array:
    # A mask of rows [N] would also broadcast along the elements when both are as many.
    if x.ndim == len(shape) - 1:
        return lax.expand_dims(x, [x.ndim])
    if x.ndim not in (0, len(shape)):
        raise ValueError(
            f"{name} must have one entry per row, or one per {elements} with all axes: got shape "
            f"{x.shape}, wanted one that fits {shape[:-1]} or {shape}"
        )
    return x


def _require(values: ArrayLike, keep: Array | None, name: str, demand: str, is_good) -> None:
    """Raises ValueError for the first known value that counts and is not good."""
    if not is_concrete(values, keep):
        return
    known = np.asarray(values)
    good = is_good(known) if keep is None else is_good(known) | ~np.asarray(keep)
    position = inputs.first_false(good)
    if position is not None:
        raise ValueError(
            f"{name} must {demand}, got {known[position]} at position {position}; "
            "leave it out with where= if it is not to count"
        )
