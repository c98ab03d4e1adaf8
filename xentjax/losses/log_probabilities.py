"""What several policies say of the same answers, checked once for the losses that compare them.

One number an answer (the sum or the mean over its tokens) or one a token: nothing here has a
class axis, so each entry is an example.
"""

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


class LogProbs(NamedTuple):
    """Log-probabilities of one shape, an entry an example."""

    arrays: tuple[Array, ...]  # each [*batch], all of one compute dtype
    keep: Array | None
    weights: Array | None

    def safe(self) -> tuple[Array, ...]:
        """The arrays, 0 where masked: whatever they hold there, it reaches no gradient."""
        return tuple(self.hide(x) for x in self.arrays)

    def hide(self, x: Array) -> Array:
        """An array of the same shape, 0 where masked."""
        return x if self.keep is None else jnp.where(self.keep, x, 0)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """Masks, weighs and reduces the losses."""
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)


def read_log_probs(
    *,
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    reduction: str,
    **arrays: Num[ArrayLike, "..."],
) -> LogProbs:
    """Checks floating arrays of one shape, named as the user knows them; the first leads."""
    check_reduction(reduction)
    floats = {name: at_least_float32(x, name) for name, x in arrays.items()}
    first_name, first = next(iter(floats.items()))
    for name, other in floats.items():
        inputs.require_same_shape(other, first, name, first_name)
    keep = example_mask(where, first.shape)
    weights = None if weights is None else real_array(weights, "weights")
    return LogProbs(tuple(x.astype(first.dtype) for x in floats.values()), keep, weights)


def require_probabilities(log_probs: Array, keep: Array | None, name: str) -> None:
    """Raises ValueError when a known log-probability of an example that counts is above 0."""
    if not is_concrete(log_probs, keep):
        return
    good = np.asarray(log_probs) <= 0
    position = inputs.first_false(good if keep is None else good | ~np.asarray(keep))
    if position is not None:
        raise ValueError(
            f"{name} must be log-probabilities, at most 0, got {np.asarray(log_probs)[position]} "
            f"at position {position}; pass log p in nats, not p and not the loss −log p"
        )
