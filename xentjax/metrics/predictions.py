"""Predicted probabilities and what happened, checked once for the metrics that compare them."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import at_least_float32, example_mask, is_concrete
from xentjax.metrics.examples import amounts, read_binary, read_indices, read_weights

# As much as the sum of a row may miss 1: room for the rounding of 16-bit floats.
_SUM_TOLERANCE = 0.02


class Predictions(NamedTuple):
    """Probabilities of classes and labels, or probabilities of one event and outcomes."""

    probabilities: Array  # [*batch, C] or, of an event, [*batch]; 0 where masked
    outcomes: Array  # [*batch]: int32 labels or, of an event, booleans
    good: Array  # scalar: whether all of it can be trusted
    counted: Array  # [*batch]: weights, or booleans

    @property
    def of_event(self) -> bool:
        """Whether each probability is of one event that happens or not."""
        return self.probabilities.ndim == self.outcomes.ndim

    def confidences_and_hits(self) -> tuple[Array, Array]:
        """The top label's probability and whether it is right; an event's as they are."""
        if self.of_event:
            return self.probabilities, self.outcomes
        top = jnp.argmax(self.probabilities, axis=-1)
        return jnp.max(self.probabilities, axis=-1), top == self.outcomes


def read_predictions(
    probabilities: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
) -> Predictions:
    """Rows [*batch, C] with class indices [*batch], or events [*batch] with booleans [*batch]."""
    given, wanted = jnp.shape(labels), jnp.shape(probabilities)
    if given not in (wanted, wanted[:-1]):
        raise ValueError(
            "labels must be one class index for each row of probabilities, or one outcome for "
            f"each probability of an event: got shape {given}, wanted {wanted[:-1]} or {wanted}"
        )
    keep = example_mask(where, given)
    weights = read_weights(weights, keep, given)
    if given == wanted:
        known, good = _event_probabilities(probabilities, keep)
        outcomes, good_outcomes = read_binary(labels, "labels", keep)
    else:
        known, good = read_distributions(probabilities, keep)
        outcomes, good_outcomes = read_indices(labels, "labels", wanted[-1], keep)
    good = jnp.all(good) & jnp.all(good_outcomes)
    return Predictions(known, outcomes, good, amounts(keep, weights, given))


def read_distributions(
    probabilities: Num[ArrayLike, "..."], keep: Array | None
) -> tuple[Array, Array]:
    """Probabilities [*batch, C], 0 in masked rows, and which rows are distributions or masked."""
    values = at_least_float32(probabilities, "probabilities")
    axes = inputs.class_axes(values, -1, "probabilities")
    inputs.require_distribution(values, keep, axes, "probabilities", sum_to_one=True)
    good = jnp.all((values >= 0) & (values < jnp.inf), axis=-1)
    good &= jnp.abs(jnp.sum(values, axis=-1) - 1) < _SUM_TOLERANCE
    if keep is None:
        return values, good
    return jnp.where(keep[..., None], values, 0), good | ~keep


def _event_probabilities(
    probabilities: Num[ArrayLike, "..."], keep: Array | None
) -> tuple[Array, Array]:
    values = at_least_float32(probabilities, "probabilities")
    values = values if keep is None else jnp.where(keep, values, 0)
    good = (values >= 0) & (values <= 1)
    position = inputs.first_false(good) if is_concrete(values) else None
    if position is not None:
        raise ValueError(
            f"probabilities must lie in [0, 1], got {np.asarray(values)[position]} at position "
            f"{position}; take jax.nn.sigmoid of logits first"
        )
    return values, good
