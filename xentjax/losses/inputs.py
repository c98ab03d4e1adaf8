"""What a loss accepts, said once: class axes, shapes, labels that can be trusted.

An eager call with concrete arrays is told what is wrong, where, and what to do. Under jit values
cannot raise, so a bad label becomes NaN, in the value and in the gradient: never a silent step
towards the wrong class.
"""

import math
import warnings
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from xentjax.losses.reduction import is_concrete


def class_axis_last(x: Array, axis: int | Sequence[int], name: str = "logits") -> tuple[Array, int]:
    """The array with one class axis, and that axis: a tuple of axes is moved last and flattened."""
    if isinstance(axis, int):
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"axis {axis} is out of range for {name} of shape {x.shape}")
        return x, axis % x.ndim
    axes = tuple(axis)
    if not axes or any(not -x.ndim <= a < x.ndim for a in axes):
        raise ValueError(f"axis {axes} does not name axes of {name} of shape {x.shape}")
    axes = tuple(a % x.ndim for a in axes)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axes} names an axis of {name} twice")
    moved = jnp.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
    batch = moved.shape[: x.ndim - len(axes)]
    return moved.reshape(*batch, math.prod(moved.shape[len(batch) :])), len(batch)


def batch_shape(x: Array, axis: int) -> tuple[int, ...]:
    """The shape without the class axis: one entry per example."""
    return x.shape[:axis] + x.shape[axis + 1 :]


def require_classes(logits: Array, axis: int) -> None:
    """Raises ValueError when the class axis is empty."""
    if logits.shape[axis] == 0:
        raise ValueError(f"logits need at least one class: got shape {logits.shape}, axis {axis}")


def require_same_shape(x: Array, like: Array, name: str, like_name: str = "logits") -> None:
    """Raises ValueError unless both shapes agree; nothing is broadcast behind the user's back."""
    if x.shape != like.shape:
        raise ValueError(
            f"{name} must have the shape of {like_name}: got {x.shape}, wanted {like.shape}"
        )


def require_fraction(value: ArrayLike, name: str) -> None:
    """Raises ValueError when a known value lies outside [0, 1] or is NaN."""
    if is_concrete(value) and not bool(np.all((np.asarray(value) >= 0) & (np.asarray(value) <= 1))):
        raise ValueError(f"{name} must lie in [0, 1], got {value}")


def require_non_negative(value: ArrayLike, name: str) -> None:
    """Raises ValueError when a known value is negative or NaN."""
    if is_concrete(value) and not bool(np.all(np.asarray(value) >= 0)):
        raise ValueError(f"{name} must be non-negative, got {value}")


def require_distribution(x: Array, name: str) -> None:
    """Raises ValueError when known target masses are negative, infinite or NaN."""
    position = first_false((x >= 0) & (x < jnp.inf))
    if position is not None:
        raise ValueError(
            f"{name} must be finite and non-negative, got {x[position]} at position {position}"
        )


def is_off(value: ArrayLike) -> bool:
    """Whether an option is the Python number 0: known while tracing, so its term is left out."""
    return isinstance(value, int | float) and value == 0


def index_labels(
    labels: Array,
    classes: int,
    keep: Array | None,
    ignore_index: int | None,
) -> tuple[Array, Array | None]:
    """Integer labels as int32 in [0, C), −1 where they are not, and the mask without ignored ones.

    Rows that are left out get label 0, so only a fault that counts is marked.
    """
    wide = labels
    if labels.dtype.itemsize < 4:
        wide = labels.astype(jnp.int32)  # 300 classes do not fit a comparison in uint8
    elif labels.dtype != jnp.int32:
        # Clamped, not wrapped: 2³² + 1 must not become class 1.
        low = 0 if jnp.issubdtype(labels.dtype, jnp.unsignedinteger) else -(2**31)
        wide = jnp.clip(labels, low, 2**31 - 1)
    if ignore_index is not None:
        matches = _equals(wide, ignore_index)
        keep = ~matches if keep is None else keep & ~matches
    wide = wide.astype(jnp.int32)
    in_range = (wide >= 0) & (wide < classes)
    good = in_range if keep is None else in_range | ~keep
    _raise_if_bad(labels, good, classes)
    return jnp.where(in_range, wide, jnp.where(good, 0, -1)), keep


def _equals(labels: Array, ignore_index: int) -> Array:
    if jnp.issubdtype(labels.dtype, jnp.unsignedinteger) and ignore_index < 0:
        return jnp.zeros_like(labels, dtype=bool)  # no unsigned label is negative
    return labels == ignore_index


def _raise_if_bad(labels: Array, good: Array, classes: int) -> None:
    position = first_false(good)
    if position is not None:
        value = int(labels[position])
        raise ValueError(
            f"labels must lie in [0, {classes}), got {value} at position {position}; "
            f"pass ignore_index={value} or a where mask if this example is to be left out"
        )


def first_false(good: Array) -> tuple[int, ...] | None:
    """The position of the first False entry, or None; None too while tracing."""
    if not is_concrete(good) or bool(np.all(np.asarray(good))):
        return None
    return tuple(int(i) for i in np.argwhere(~np.asarray(good))[0])


def nan_unless(good: Array, dtype: jnp.dtype) -> Array:
    """1 where good, NaN elsewhere, a constant to differentiation."""
    return lax.stop_gradient(jnp.where(good, 1, jnp.nan).astype(dtype))


def warn_if_probabilities(logits: Array, axis: int) -> None:
    """Warns when every row of known logits already is a probability distribution."""
    if not is_concrete(logits) or logits.shape[axis] < 2 or logits.size < 2 * logits.shape[axis]:
        return
    values = np.asarray(logits, np.float64)
    if values.min() >= 0 and np.allclose(values.sum(axis), 1, rtol=0, atol=1e-3):
        warnings.warn(
            "every row of logits is non-negative and sums to 1: these look like probabilities. "
            "Losses here take logits (unnormalised scores); pass the layer before the softmax, "
            "or jnp.log(probabilities)",
            UserWarning,
            stacklevel=3,
        )


def require_positive(value: ArrayLike, name: str) -> None:
    """Raises ValueError when a known value is zero, negative or NaN."""
    if is_concrete(value) and not bool(np.all(np.asarray(value) > 0)):
        raise ValueError(f"{name} must be positive, got {value}")


def require_sum_to_one(x: Array, axis: int, name: str) -> None:
    """Raises ValueError when a known row does not sum to 1 within the rounding of 16-bit floats."""
    total = jnp.sum(x, axis=axis)
    position = first_false(jnp.abs(total - 1) < 0.02)
    if position is not None:
        raise ValueError(
            f"{name} must sum to 1 over the classes, got {total[position]} at position {position}; "
            "divide by the sum first"
        )


def is_one(value: ArrayLike) -> bool:
    """Whether an option is the Python number 1, so that its work is left out."""
    return isinstance(value, int | float) and value == 1
