"""Sequences against sequences: tokens right, sequences right, edits needed."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import example_mask
from xentjax.metrics import tally
from xentjax.metrics.examples import read_indices, read_weights, require_shape, row_mask
from xentjax.metrics.levenshtein import edit_distance, read_lengths
from xentjax.metrics.mean import Mean, MeanState, add_hits


@dataclass(frozen=True)
class TokenAccuracy:
    """The fraction of tokens that were predicted, each counted alike whatever its sequence.

    Attributes:
      ignore_index: a label that marks tokens that do not count, as −100 does elsewhere.

    Example:
      >>> import jax.numpy as jnp
      >>> tokens = TokenAccuracy(ignore_index=-100)
      >>> labels = jnp.array([[1, 2, 3], [4, 5, -100]])
      >>> state = tokens.update(tokens.init(), jnp.array([[1, 2, 0], [4, 0, 0]]), labels)
      >>> print(tokens.compute(state))  # 3 of 5
      0.6

    See Also:
      `ExactMatch`, `ErrorRate`; `ConfusionMatrix` where classes are few.
    """

    ignore_index: int | None = None

    def __post_init__(self):
        inputs.ignored_label(self.ignore_index)

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        predictions: Shaped[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds a batch.

        Args:
          state: what was seen before.
          predictions: integers ≥ 0 of any shape; of logits, `jnp.argmax(logits, -1)`.
          labels: integers ≥ 0, or `ignore_index`, of the same shape.
          where: boolean, broadcastable to the labels; False leaves a token out.
          weights: non-negative, broadcastable to the labels.

        Returns:
          The state with the batch added.

        Raises:
          TypeError: predictions or labels are floats, `where` not boolean.
          ValueError: shapes do not fit or (eager calls) a token or a weight is negative. Under jit
            such a value makes the result NaN.
        """
        keep = example_mask(where, jnp.shape(labels))
        hits, good, keep = _matches(predictions, labels, keep, self.ignore_index)
        return add_hits(state, hits, good, keep, read_weights(weights, keep, hits.shape))

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The accuracy; NaN when nothing was counted."""
        return Mean().compute(state)


@dataclass(frozen=True)
class ExactMatch:
    """The fraction of sequences that are right in every token that counts.

    Of several labels [*batch, L] instead of tokens it is the subset accuracy. A sequence without
    a token that counts is not counted.

    Attributes:
      ignore_index: a label that marks tokens that do not count, as −100 does elsewhere.

    Example:
      >>> import jax.numpy as jnp
      >>> match = ExactMatch()
      >>> predictions, labels = jnp.array([[1, 2], [3, 4]]), jnp.array([[1, 2], [3, 5]])
      >>> state = match.update(match.init(), predictions, labels)
      >>> print(match.compute(state))  # the first of two
      0.5

    See Also:
      `TokenAccuracy`, `MultiLabelConfusion`.
    """

    ignore_index: int | None = None

    def __post_init__(self):
        inputs.ignored_label(self.ignore_index)

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        predictions: Shaped[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds a batch.

        Args:
          state: what was seen before.
          predictions: integers ≥ 0, or booleans, [*batch, T].
          labels: the same, or `ignore_index`, [*batch, T].
          where: boolean, of the rank of [*batch] to leave sequences out, or of [*batch, T] to
            leave tokens out, as padding.
          weights: non-negative, broadcastable to [*batch].

        Returns:
          The state with the batch added.

        Raises:
          TypeError: predictions or labels are floats, `where` not boolean.
          ValueError: shapes do not fit or (eager calls) a token or a weight is negative. Under jit
            such a value makes the result NaN.
        """
        if not jnp.shape(labels):
            raise ValueError("labels must be sequences [*batch, T], got a scalar")
        keep = row_mask(where, jnp.shape(labels), "token")
        hits, good, keep = _matches(predictions, labels, keep, self.ignore_index)
        if keep is None and not hits.shape[-1]:
            keep = jnp.ones_like(hits)  # of no token at all: none counts
        right = hits if keep is None else hits | ~keep
        counts = None if keep is None else jnp.any(keep, axis=-1)
        weights = read_weights(weights, counts, hits.shape[:-1])
        return add_hits(state, jnp.all(right, axis=-1), good, counts, weights)

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The fraction; NaN when nothing was counted."""
        return Mean().compute(state)


@dataclass(frozen=True)
class ErrorRate:
    """Edits needed per token of the reference: word or character error rate.

    Σ distance / Σ reference length over all sequences, so long ones count as much as they are
    long. Above 1 where predictions are far too long; words as tokens give the word error rate.

    Example:
      >>> import numpy as np
      >>> def codes(text): return np.array([ord(letter) for letter in text])
      >>> rate = ErrorRate()
      >>> state = rate.update(rate.init(), codes("kitten")[None], codes("sitting")[None])
      >>> print(f"{rate.compute(state):.6f}")  # 3 edits, 7 letters
      0.428571

    See Also:
      `edit_distance`.
    """

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        predictions: Shaped[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        prediction_lengths: Shaped[ArrayLike, "..."] | None = None,
        label_lengths: Shaped[ArrayLike, "..."] | None = None,
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds a batch.

        Args:
          state: what was seen before.
          predictions: integers [*batch, S].
          labels: the references, integers [*batch, T].
          prediction_lengths: integers [*batch] in [0, S]; None is S.
          label_lengths: integers [*batch] in [0, T]; None is T.
          where: boolean, broadcastable to [*batch]; False leaves a sequence out.
          weights: non-negative, broadcastable to [*batch].

        Returns:
          The state with the batch added.

        Raises:
          TypeError: tokens or lengths are not integers, `where` not boolean.
          ValueError: shapes do not fit or (eager calls) a length is out of range or a weight
            negative. Under jit such a value makes the result NaN.
        """
        shape = jnp.shape(labels)[:-1]
        keep = example_mask(where, shape)
        references, good = read_lengths(label_lengths, labels, "label_lengths", keep)
        guesses, good_too = read_lengths(
            prediction_lengths, predictions, "prediction_lengths", keep
        )
        distances = edit_distance(predictions, labels, guesses, references)
        good = jnp.all(good & good_too)
        weights = read_weights(weights, keep, shape)
        total = tally.add_sum(state.total, distances, where=keep, weights=weights)
        weight = tally.add_sum(state.weight, references, where=keep, weights=weights)
        return MeanState(tally.nan_unless(total, good), weight)

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The rate; NaN when nothing was counted, ∞ for insertions against empty references."""
        return Mean().compute(state)


def _matches(
    predictions: ArrayLike, labels: ArrayLike, keep: Array | None, ignore_index: int | None
) -> tuple[Array, Array, Array | None]:
    """Where prediction and label agree, where both are good, and what counts."""
    shape = jnp.shape(labels)
    require_shape(predictions, shape, "predictions", "labels")
    if jnp.result_type(predictions) == jnp.result_type(labels) == jnp.bool_:
        agree = jnp.asarray(predictions) == jnp.asarray(labels)
        return agree, jnp.ones_like(agree), keep
    ignored = inputs.ignored_label(ignore_index)
    if ignored is not None:
        _, keep = inputs.narrow_indices(inputs.label_array(labels), keep, ignored)
    guessed, good_guesses = read_indices(predictions, "predictions", None, keep)
    true, good_labels = read_indices(labels, "labels", None, keep)
    return guessed == true, good_guesses & good_labels, keep
