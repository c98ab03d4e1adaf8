"""The examples of a loss, checked once: what most of the family's losses begin with.

Three kinds of input cover the family: rows of logits with one class index each (`read_labelled`),
elements with a label in [0, 1] each (`read_elements`), and rows of one shape (`read_rows`). Each
returns arrays in the compute dtype with the class axis last, ready for a jitted core, and leaves
nothing to check but the loss's own options.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    is_concrete,
    real_array,
    reduce_with_mass,
)


class Labelled(NamedTuple):
    """Rows of logits and a class index for each."""

    logits: Array  # [*batch, C], float32 or float64
    labels: Array  # [*batch], int32; under jit perhaps out of range
    keep: Array | None  # [*batch], boolean
    weights: Array | None  # broadcastable to [*batch]

    def safe_logits(self) -> Array:
        """The logits, 0 in masked rows: whatever they hold, it reaches no gradient."""
        return _zero_where_masked(self.logits, self.keep, 1)

    def nan_if_bad(self) -> Array:
        """1 for each example whose label is a class, NaN for the others; masked ones count as 1.

        Multiply the losses by it, unless they come from `label_terms`, which has it inside.
        """
        good = (self.labels >= 0) & (self.labels < self.logits.shape[-1])
        good = good if self.keep is None else good | ~self.keep
        return inputs.nan_unless(good, self.logits.dtype)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Masks, weighs and reduces losses [*batch]."""
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)


class Elements(NamedTuple):
    """Logits and a label in [0, 1] for each, every element on its own."""

    logits: Array  # [...], float32 or float64
    labels: Array  # the same shape and dtype
    keep: Array | None
    weights: Array | None

    def safe(self) -> tuple[Array, Array]:
        """Logits and labels, 0 where masked."""
        logits = _zero_where_masked(self.logits, self.keep, 0)
        return logits, _zero_where_masked(self.labels, self.keep, 0)

    def nan_if_bad(self) -> Array:
        """1 where the label lies in [0, 1] (or is masked), NaN elsewhere: a factor of the loss."""
        _, labels = self.safe()
        return inputs.nan_unless((labels >= 0) & (labels <= 1), self.logits.dtype)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Masks, weighs and reduces the losses."""
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)


class Rows(NamedTuple):
    """Real arrays of one shape, one row an example."""

    arrays: tuple[Array, ...]  # each [*batch, C], all of one compute dtype
    keep: Array | None
    weights: Array | None

    def safe(self) -> tuple[Array, ...]:
        """The arrays, 0 in masked rows."""
        return tuple(_zero_where_masked(x, self.keep, 1) for x in self.arrays)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Masks, weighs and reduces losses [*batch]."""
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)


def read_labelled(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    axis: int | Sequence[int],
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    reduction: str,
    ignore_index: int | None = None,
    warn_of_probabilities: bool = True,
) -> Labelled:
    """Checks integer labels against logits; TypeError and ValueError as `softmax_cross_entropy`."""
    check_reduction(reduction)
    given, logits, labels = labels, jnp.asarray(logits), inputs.label_array(labels)
    ignore_index = inputs.ignored_label(ignore_index)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integer class indices, got {labels.dtype}; write "
            "jnp.argmax(labels, -1) for one-hot rows, or take a loss of distributions"
        )
    logits = at_least_float32(logits, "logits")
    axes = inputs.class_axes(logits, axis)
    if warn_of_probabilities:
        inputs.warn_if_probabilities(logits, axes, stacklevel=4)
    batch = inputs.batch_shape(logits, axes)
    keep = example_mask(where, batch)
    beside = f"logits of shape {logits.shape} with classes on axis {axes}"
    classes = inputs.class_count(logits, axes)
    inputs.require_indices(given, batch, classes, keep, ignore_index, beside)
    labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
    return Labelled(classes_last(logits, axes), labels, keep, _weights(weights))


def read_elements(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    reduction: str,
) -> Elements:
    """Checks labels in [0, 1] against logits of their shape, as `sigmoid_cross_entropy` does."""
    check_reduction(reduction)
    logits, labels = at_least_float32(logits, "logits"), inputs.label_array(labels)
    inputs.require_same_shape(labels, logits, "labels")
    keep = example_mask(where, logits.shape)
    require_fractions(labels, keep)
    return Elements(logits, labels.astype(logits.dtype), keep, _weights(weights))


def read_rows(
    *,
    axis: int | Sequence[int],
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    reduction: str,
    **arrays: Num[ArrayLike, "..."],
) -> Rows:
    """Checks floating arrays of one shape, named as the user knows them; the first leads."""
    check_reduction(reduction)
    floats = {name: at_least_float32(x, name) for name, x in arrays.items()}
    first_name, first = next(iter(floats.items()))
    for name, other in floats.items():
        inputs.require_same_shape(other, first, name, first_name)
    axes = inputs.class_axes(first, axis, first_name)
    keep = example_mask(where, inputs.batch_shape(first, axes))
    alike = tuple(classes_last(x.astype(first.dtype), axes) for x in floats.values())
    return Rows(alike, keep, _weights(weights))


def require_fractions(labels: Array, keep: Array | None) -> None:
    """Raises ValueError when a known label of an element that counts lies outside [0, 1]."""
    if not is_concrete(labels, keep):
        return
    values = np.asarray(labels, np.float64)
    good = (values >= 0) & (values <= 1)
    position = inputs.first_false(good if keep is None else good | ~np.asarray(keep))
    if position is not None:
        raise ValueError(
            f"labels must lie in [0, 1], got {values[position]} at position {position}; "
            "class indices belong to softmax_cross_entropy, one-hot rows belong here"
        )


def classes_last(x: Array, axes: tuple[int, ...]) -> Array:
    """The array with its class axes last, as one."""
    x, axis = inputs.class_axis_last(x, axes)
    return jnp.moveaxis(x, axis, -1)


def _weights(weights: ArrayLike | None) -> Array | None:
    return None if weights is None else real_array(weights, "weights")


def _zero_where_masked(x: Array, keep: Array | None, class_axes: int) -> Array:
    if keep is None:
        return x
    return jnp.where(jnp.expand_dims(keep, -1) if class_axes else keep, x, 0)
