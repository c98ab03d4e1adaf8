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


def class_axes(x: Array, axis: int | Sequence[int], name: str = "logits") -> tuple[int, ...]:
    """The class axes counted from the front; ValueError when they are not axes of the array."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    if not axes or any(not -x.ndim <= a < x.ndim for a in axes):
        raise ValueError(f"axis {axis} is out of range for {name} of shape {x.shape}")
    axes = tuple(a % x.ndim for a in axes)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis {axis} names an axis of {name} twice")
    if math.prod(x.shape[a] for a in axes) == 0:
        raise ValueError(f"{name} need at least one class: got shape {x.shape}, axis {axis}")
    return axes


def class_axis_last(x: Array, axes: tuple[int, ...]) -> tuple[Array, int]:
    """The array with one class axis, and that axis: several are moved last and flattened."""
    if len(axes) == 1:
        return x, axes[0]
    batch = x.ndim - len(axes)
    moved = jnp.moveaxis(x, axes, range(batch, x.ndim))
    return moved.reshape(*moved.shape[:batch], math.prod(moved.shape[batch:])), batch


def batch_shape(x: Array, axes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without the class axes: one entry per example."""
    return tuple(n for i, n in enumerate(x.shape) if i not in axes)


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


def require_non_negative(value: ArrayLike | None, name: str) -> None:
    """Raises ValueError when a known value is negative or NaN."""
    if value is None or not is_concrete(value):
        return
    if not bool(np.all(np.asarray(value) >= 0)):
        raise ValueError(f"{name} must be non-negative, got {value}")


def require_distribution(
    x: Array, keep: Array | None, axes: tuple[int, ...], name: str, *, sum_to_one: bool = False
) -> None:
    """Raises ValueError when known target masses of an example that counts cannot be right."""
    if not is_concrete(x, keep):
        return
    values = np.asarray(x, np.float64)
    counts = True if keep is None else np.expand_dims(np.asarray(keep), axes)
    position = first_false((np.isfinite(values) & (values >= 0)) | ~np.asarray(counts))
    if position is not None:
        raise ValueError(
            f"{name} must be finite and non-negative, got {values[position]} at position {position}"
        )
    if not sum_to_one:
        return
    total = values.sum(axes, keepdims=True)  # 2 % leaves room for the rounding of 16-bit floats
    position = first_false((np.abs(total - 1) < 0.02) | ~np.asarray(counts))
    if position is not None:
        raise ValueError(
            f"{name} must sum to 1 over the classes, got {total[position]} for the example at "
            f"{position}; divide by the sum first"
        )


def is_number(value: ArrayLike, number: int) -> bool:
    """Whether an option is this Python number: known while tracing, so its work is left out."""
    return isinstance(value, int | float) and value == number


def as_array(value: ArrayLike | None) -> Array | None:
    """An optional argument as an array, None as None."""
    return None if value is None else jnp.asarray(value)


def require_indices(
    labels: Array,
    logits: Array,
    axes: tuple[int, ...],
    keep: Array | None,
    ignore_index: int | None,
) -> None:
    """Raises ValueError unless there is one index per example and known ones lie in [0, C)."""
    shape = batch_shape(logits, axes)
    if labels.shape != shape:
        raise ValueError(
            f"integer labels are class indices, one per example: got shape {labels.shape}, wanted "
            f"{shape} for logits of shape {logits.shape} with classes on axis {axes}"
        )
    if not is_concrete(labels, keep):
        return
    classes = math.prod(logits.shape[a] for a in axes)
    values = np.asarray(labels)
    good = (values >= 0) & (values < classes)
    if ignore_index is not None:
        good |= values == ignore_index
    if keep is not None:
        good |= ~np.asarray(keep)
    position = first_false(good)
    if position is not None:
        value = int(values[position])
        raise ValueError(
            f"labels must lie in [0, {classes}), got {value} at position {position}; "
            f"pass ignore_index={value} or a where mask if this example is to be left out"
        )


def narrow_indices(
    labels: Array, keep: Array | None, ignore_index: int | None
) -> tuple[Array, Array | None]:
    """Integer labels as int32, still out of range where they were, and the mask without ignored."""
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
    return wide.astype(jnp.int32), keep


def _equals(labels: Array, ignore_index: int) -> Array:
    if jnp.issubdtype(labels.dtype, jnp.unsignedinteger) and ignore_index < 0:
        return jnp.zeros_like(labels, dtype=bool)  # no unsigned label is negative
    return labels == ignore_index


def first_false(good: ArrayLike) -> tuple[int, ...] | None:
    """The position of the first False entry, or None; None too while tracing."""
    if not is_concrete(good) or bool(np.all(np.asarray(good))):
        return None
    return tuple(int(i) for i in np.argwhere(~np.asarray(good))[0])


def nan_unless(good: Array, dtype: jnp.dtype) -> Array:
    """1 where good, NaN elsewhere, a constant to differentiation."""
    return lax.stop_gradient(jnp.where(good, 1, jnp.nan).astype(dtype))


def warn_if_probabilities(logits: Array, axes: tuple[int, ...]) -> None:
    """Warns when every row of known logits already is a probability distribution."""
    classes = math.prod(logits.shape[a] for a in axes)
    if not is_concrete(logits) or classes < 2 or logits.size < 2 * classes:
        return
    values = np.asarray(logits, np.float64)
    if values.min() >= 0 and np.allclose(values.sum(axes), 1, rtol=0, atol=1e-3):
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
