"""What a loss accepts, said once: class axes, shapes, labels that can be trusted.

An eager call with concrete arrays is told what is wrong, where, and what to do. Under jit values
cannot raise, so a bad label becomes NaN, in the value and in the gradient: never a silent step
towards the wrong class.
"""

import math
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from xentjax.losses.reduction import is_concrete, real_array


def class_axes(x: Array, axis: Any, name: str = "logits") -> tuple[int, ...]:
    """The class axes counted from the front; ValueError when they are not axes of the array."""
    try:
        given = axis if isinstance(axis, Sequence) else (axis,)
        axes = tuple(operator.index(a) for a in given)
    except TypeError:
        raise TypeError(f"axis must be an integer or a tuple of integers, got {axis!r}") from None
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


def class_count(x: Array, axes: tuple[int, ...]) -> int:
    """How many classes the class axes hold together."""
    return math.prod(x.shape[a] for a in axes)


def require_same_shape(x: Array, like: Array, name: str, like_name: str = "logits") -> None:
    """Raises ValueError unless both shapes agree; nothing is broadcast behind the user's back."""
    if x.shape != like.shape:
        raise ValueError(
            f"{name} must have the shape of {like_name}: got {x.shape}, wanted {like.shape}"
        )


def fraction(value: ArrayLike, name: str) -> Array:
    """An option in [0, 1]; see `scalar`."""
    return scalar(value, name, "lie in [0, 1]", lambda v: (v >= 0) & (v <= 1))


def non_negative(value: ArrayLike, name: str) -> Array:
    """A finite option that is at least 0; see `scalar`."""
    return scalar(value, name, "be non-negative and finite", lambda v: (v >= 0) & (v < np.inf))


def positive(value: ArrayLike, name: str) -> Array:
    """A finite option above 0; see `scalar`."""
    return scalar(value, name, "be positive and finite", lambda v: (v > 0) & (v < np.inf))


def scalar(value: ArrayLike, name: str, demand: str, is_right: Callable[[Any], Any]) -> Array:
    """An option as one weakly typed number, so that it never widens a loss.

    A known value that is not right raises ValueError; a traced one becomes NaN.
    """
    number = real_array(value, name)
    if number.dtype == jnp.bool_:
        raise TypeError(f"{name} must be a number, got {value}")
    if number.shape != ():
        raise ValueError(f"{name} must be one number, got shape {number.shape}")
    # In numpy: inside a caller's jit even a known number would be traced.
    if is_concrete(value) and not bool(is_right(np.asarray(value))):
        raise ValueError(f"{name} must {demand}, got {value}")
    return jnp.where(is_right(number), number, jnp.nan)


def require_non_negative(value: ArrayLike | None, name: str) -> None:
    """Raises ValueError when a known array holds a negative number, an infinite one or NaN."""
    if value is None:
        return
    real_array(value, name)
    if is_concrete(value):
        values = np.asarray(value)
        if not bool(np.all((values >= 0) & (values < np.inf))):
            raise ValueError(f"{name} must be non-negative and finite, got {value}")


def require_distribution(
    x: Array, keep: Array | None, axes: tuple[int, ...], name: str, *, sum_to_one: bool = False
) -> None:
    """Raises ValueError when known target masses of an example that counts cannot be right."""
    if not is_concrete(x, keep):
        return
    values = np.asarray(x)
    counts = np.ones((), bool) if keep is None else np.expand_dims(np.asarray(keep), axes)
    position = first_false(((values >= 0) & (values < np.inf)) | ~counts)
    if position is not None:
        raise ValueError(
            f"{name} must be finite and non-negative, got {values[position]} at position {position}"
        )
    if not sum_to_one:
        return
    # 2 % leaves room for the rounding of 16-bit floats.
    total = values.astype(np.float32).sum(axes, keepdims=True)
    position = first_false((np.abs(total - 1) < 0.02) | ~counts)
    if position is not None:
        raise ValueError(
            f"{name} must sum to 1 over the classes, got {total[position]} for the example at "
            f"{position}; divide by the sum first"
        )


def is_number(value: ArrayLike, number: int) -> bool:
    """Whether an option is this Python number: known while tracing, so its work is left out."""
    return isinstance(value, int | float) and bool(value == number)


def unless_number(
    idle: int, value: ArrayLike, check: Callable[[ArrayLike, str], Array], name: str
) -> Array | None:
    """The checked option, or None when it is the Python number at which it does nothing."""
    return None if is_number(value, idle) else check(value, name)


def as_array(value: ArrayLike | None) -> Array | None:
    """An optional argument as an array, None as None."""
    return None if value is None else jnp.asarray(value)


def require_indices(
    labels: ArrayLike,
    shape: tuple[int, ...],
    classes: int,
    keep: Array | None,
    ignore_index: int | None,
    beside: str,
) -> None:
    """Raises ValueError unless there is one index per example and known ones lie in [0, C).

    The labels as the caller gave them: converting 64-bit numpy labels would wrap 2³² + 1 to 1.
    `beside` says in the message what gave the shape.
    """
    if jnp.shape(labels) != shape:
        raise ValueError(
            f"integer labels are class indices, one per example: got shape {jnp.shape(labels)}, "
            f"wanted {shape} for {beside}"
        )
    if not is_concrete(labels, keep):
        return
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
            f"labels must lie in [0, {classes}), got {value} at position {position}; mask this "
            "example (where=, or ignore_index= where there is one) to leave it out"
        )


def narrow_indices(
    labels: Array, keep: Array | None, ignore_index: int | None
) -> tuple[Array, Array | None]:
    """Integer labels as int32, still out of range where they were, and the mask without ignored."""
    if ignore_index is not None:
        # Compared before narrowing, and only if the dtype can hold it: no uint8 equals −100.
        info = jnp.iinfo(labels.dtype)
        if info.min <= ignore_index <= info.max:
            other = labels != jnp.asarray(ignore_index, labels.dtype)
            keep = other if keep is None else keep & other
    if labels.dtype.itemsize >= 4 and labels.dtype != jnp.int32:
        # Clamped, not wrapped: 2³² + 1 must not become class 1.
        low = 0 if jnp.issubdtype(labels.dtype, jnp.unsignedinteger) else -(2**31)
        labels = jnp.clip(labels, low, 2**31 - 1)
    return labels.astype(jnp.int32), keep


def ignored_label(value: Any) -> int | None:
    """`ignore_index` as a Python int that labels can be compared with."""
    found = as_index(value, "ignore_index")
    if found is not None and not -(2**31) <= found < 2**31:
        raise ValueError(f"ignore_index must lie in [-2**31, 2**31), got {found}")
    return found


def label_array(labels: ArrayLike) -> Array:
    """Labels as an array; 64-bit numpy ones clamped, which without x64 would wrap 2³² + 1 to 1."""
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu" and labels.dtype.itemsize == 8:
        labels = np.clip(labels, 0 if labels.dtype.kind == "u" else -(2**31), 2**31 - 1)
    return real_array(labels, "labels")


def identifiers(values: ArrayLike, name: str) -> Array:
    """Integers that are only compared with each other; ValueError where JAX would merge two.

    Without 64-bit mode it wraps 2³² to 0, and strangers would count as one.
    """
    array = jnp.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {array.dtype}")
    if isinstance(values, np.ndarray) and not np.array_equal(values, values.astype(array.dtype)):
        raise ValueError(
            f"{name} must fit {array.dtype}, got {values.min()} to {values.max()} as "
            f"{values.dtype}; number them anew: np.unique({name}, return_inverse=True)[1]"
        )
    return array


def as_index(value: Any, name: str) -> int | None:
    """An optional integer option as a Python int."""
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value}")
    if value is None:
        return None
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None


def first_false(good: ArrayLike) -> tuple[int, ...] | None:
    """The position of the first False entry, or None; None too while tracing."""
    if not is_concrete(good) or bool(np.all(np.asarray(good))):
        return None
    return tuple(int(i) for i in np.argwhere(~np.asarray(good))[0])


def nan_unless(good: Array, dtype: jnp.dtype) -> Array:
    """1 where good, NaN elsewhere, a constant to differentiation."""
    return lax.stop_gradient(jnp.where(good, 1, jnp.nan).astype(dtype))


def nan_if_refused(dtype: jnp.dtype, *options: Array | None) -> Array:
    """1, or NaN where a traced option was out of range and so is NaN: a factor of the loss.

    Needed where the option's own NaN can hide: in a comparison, a select, or a power of 1.
    """
    found = jnp.array(True)
    for option in options:
        found &= True if option is None else ~jnp.isnan(option)
    return nan_unless(found, dtype)


def warn_if_probabilities(logits: Array, axes: tuple[int, ...], stacklevel: int = 3) -> None:
    """Warns when known logits already are probability distributions, row by row."""
    classes = class_count(logits, axes)
    if not is_concrete(logits) or classes < 2 or logits.size < 2 * classes:
        return
    # Some rows tell, and cost no copy of all. Of arrays that a mesh holds in parts, one part: a
    # slice of the whole may not be shared evenly; and parts of rows do not sum to 1.
    part = logits.addressable_shards[0].data
    few = tuple(slice(None) if i in axes else slice(16) for i in range(logits.ndim))
    values = np.asarray(part[few], np.float64)
    if values.min() >= 0 and np.allclose(values.sum(axes), 1, rtol=0, atol=1e-3):
        warnings.warn(
            "the rows of logits are non-negative and sum to 1: these look like probabilities. "
            "Losses here take logits (unnormalised scores); pass the layer before the softmax, "
            "or jnp.log(probabilities)",
            UserWarning,
            stacklevel=stacklevel,
        )
