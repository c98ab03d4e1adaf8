"""The images of a segmentation loss, checked once: logits, and a label or masses for each pixel."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import require_fractions
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    fit_to_shape,
    is_concrete,
    real_array,
    reduce_with_mass,
)


class Images(NamedTuple):
    """A batch of images, the classes last; the pixel axes stand before them."""

    logits: Array  # [*batch, *spatial, C], float32 or float64
    labels: Array  # int32 [*batch, *spatial], or masses of the logits' shape and dtype
    counted: Array | None  # [*batch, *spatial], boolean: pixels of kept images that are not masked
    keep: Array | None  # [*batch], boolean
    weights: Array | None  # broadcastable to [*batch]

    def safe_logits(self) -> Array:
        """The logits, 0 in masked pixels."""
        return self._zero_where_masked(self.logits)

    def masses(self) -> Array:
        """How much of each pixel belongs to each class, in the shape of the logits."""
        if self._are_masses():
            return self._zero_where_masked(self.labels)
        # A single channel stands for class 1, the region; its rest has no channel.
        first = 1 if self.logits.shape[-1] == 1 else 0
        shape = self.logits.shape
        channel = first + lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1)
        return (self.labels[..., None] == channel).astype(self.logits.dtype)

    def good(self) -> Array:
        """Which pixels have a right label [*batch, *spatial]; masked ones count as right."""
        if self._are_masses():
            # Of extremes, not of every mass: a mask inside the reduction would be an array.
            good = (jnp.min(self.labels, axis=-1) >= 0) & (jnp.max(self.labels, axis=-1) <= 1)
        else:
            good = (self.labels >= 0) & (self.labels < _label_count(self.logits))
        return good if self.counted is None else good | ~self.counted

    def only_counted(self, x: Array) -> Array:
        """An array of the logits' shape with 0 in masked pixels."""
        return self._zero_where_masked(x)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Masks, weighs and reduces losses [*batch]."""
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)

    def _are_masses(self) -> bool:
        return self.labels.ndim == self.logits.ndim

    def _zero_where_masked(self, x: Array) -> Array:
        return x if self.counted is None else jnp.where(self.counted[..., None], x, 0)


def read_images(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    spatial_dims: int,
    axis: int,
    where: Shaped[ArrayLike, "..."] | None,
    pixel_where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    ignore_index: int | None,
    reduction: str,
) -> Images:
    """Checks logits, labels and masks against each other and moves the classes last."""
    check_reduction(reduction)
    given, logits, labels = labels, at_least_float32(logits, "logits"), inputs.label_array(labels)
    ignore_index = inputs.ignored_label(ignore_index)
    (class_axis,) = inputs.class_axes(logits, axis)
    pixels = inputs.batch_shape(logits, (class_axis,))
    batch = pixels[: _batch_dims(pixels, spatial_dims)]
    keep = example_mask(where, batch)
    counted = _counted(pixel_where, keep, pixels)
    last = jnp.moveaxis(logits, class_axis, -1)
    if jnp.issubdtype(labels.dtype, jnp.integer):
        beside = f"logits of shape {logits.shape}; pass masses of that shape as floats"
        inputs.require_indices(given, pixels, _label_count(last), counted, ignore_index, beside)
        labels, counted = inputs.narrow_indices(labels, counted, ignore_index)
    else:
        if ignore_index is not None:
            raise ValueError(
                f"ignore_index={ignore_index} goes with integer labels, got {labels.dtype}; "
                "leave pixels out with pixel_where="
            )
        inputs.require_same_shape(labels, logits, "labels")
        labels = jnp.moveaxis(labels, class_axis, -1).astype(logits.dtype)
        spread = None if counted is None else jnp.broadcast_to(counted[..., None], labels.shape)
        require_fractions(labels, spread)
        _require_shares(labels, counted)
    weights = None if weights is None else real_array(weights, "weights")
    return Images(last, labels, counted, keep, weights)


def _require_shares(masses: Array, counted: Array | None) -> None:
    """Raises ValueError when the known masses of a pixel sum to more than 1 over its classes.

    As they do when the class axis is another than the one said: images of torch hold it first.
    """
    if masses.shape[-1] == 1 or not is_concrete(masses, counted):
        return
    totals = np.asarray(masses, np.float32).sum(-1)
    # 2 % leaves room for the rounding of 16-bit floats.
    good = totals <= 1.02
    position = inputs.first_false(good if counted is None else good | ~np.asarray(counted))
    if position is not None:
        raise ValueError(
            f"labels of one pixel must sum to at most 1 over its classes, got {totals[position]} "
            f"at position {position}; is the class axis another (axis=)? Of regions that may "
            "overlap move the channels into the batch and pass logits[..., None]"
        )


def _label_count(logits: Array) -> int:
    """How many labels there are: a single channel has two, the region and the rest."""
    return max(logits.shape[-1], 2)


def _batch_dims(pixels, spatial_dims):
    spatial_dims = inputs.as_index(spatial_dims, "spatial_dims")
    if spatial_dims is None or not 1 <= spatial_dims <= len(pixels):
        raise ValueError(
            f"spatial_dims must lie in [1, {len(pixels)}] for images of shape {pixels} without "
            f"their classes, got {spatial_dims}"
        )
    return len(pixels) - spatial_dims


def _counted(pixel_where, keep, pixels):
    """`pixel_where` and the mask of images as one boolean a pixel, or None."""
    counted = None
    if keep is not None:
        missing = tuple(range(keep.ndim, len(pixels)))
        counted = jnp.broadcast_to(jnp.expand_dims(keep, missing), pixels)
    if pixel_where is None:
        return counted
    pixel_where = jnp.asarray(pixel_where)
    if pixel_where.dtype != jnp.bool_:
        raise TypeError(
            f"pixel_where must be boolean, got {pixel_where.dtype}; write mask.astype(bool)"
        )
    pixel_where = fit_to_shape(pixel_where, pixels, "pixel_where", "[*batch, *spatial]")
    return pixel_where if counted is None else counted & pixel_where
