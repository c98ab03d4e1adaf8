"""Rows, the weight that scores them against classes, and a label for each: checked once.

For losses that must see the weight, because they normalize it or read only a part of it.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    real_array,
    reduce_with_mass,
)


class Projected(NamedTuple):
    """Rows [*batch, D], the weight [D, C] of their scores, and class indices."""

    rows: Array  # [*batch, D], float32, or float64 when rows or weight are
    weight: Array  # [D, C], in the dtype it was given: a caller may read a part of it
    labels: Array  # [*batch], int32; under jit perhaps out of range
    keep: Array | None  # [*batch], boolean
    weights: Array | None  # broadcastable to [*batch]

    def safe_rows(self) -> Array:
        """The rows, 0 where masked: whatever they hold, it reaches no gradient."""
        return self.rows if self.keep is None else jnp.where(self.keep[..., None], self.rows, 0)

    def nan_if_bad(self) -> Array:
        """1 for each example whose label is a class (or that is masked), NaN for the others."""
        good = (self.labels >= 0) & (self.labels < self.weight.shape[1])
        good = good if self.keep is None else good | ~self.keep
        return inputs.nan_unless(good, self.rows.dtype)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Masks, weighs and reduces losses [*batch]."""
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)


def read_projected(
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    ignore_index: int | None,
    reduction: str,
    **rows: Num[ArrayLike, "..."],
) -> Projected:
    """Checks rows, named as the user knows them, against the weight and integer labels."""
    check_reduction(reduction)
    ((name, given_rows),) = rows.items()
    x, weight = at_least_float32(given_rows, name), jnp.asarray(weight)
    # Of the weight only the dtype: it may be large, and little of it be read.
    of_weight = at_least_float32(jnp.zeros(0, weight.dtype), "weight").dtype
    if weight.ndim != 2 or 0 in weight.shape or x.ndim < 1 or x.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"{name} must be [*batch, D] and weight [D, C] of the same D, with at least one class: "
            f"got shapes {x.shape} and {weight.shape}; a weight [C, D] goes in as weight.T"
        )
    given, labels = labels, inputs.label_array(labels)
    ignore_index = inputs.ignored_label(ignore_index)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integer class indices, got {labels.dtype}; write "
            "jnp.argmax(labels, -1) for one-hot rows"
        )
    batch, classes = x.shape[:-1], weight.shape[1]
    keep = example_mask(where, batch)
    beside = f"{name} of shape {x.shape}"
    inputs.require_indices(given, batch, classes, keep, ignore_index, beside)
    labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
    weights = None if weights is None else real_array(weights, "weights")
    return Projected(x.astype(jnp.promote_types(x.dtype, of_weight)), weight, labels, keep, weights)
