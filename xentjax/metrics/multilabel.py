"""Labels that do not exclude each other: four counts for each of them."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.inputs import as_index
from xentjax.metrics import tally
from xentjax.metrics.examples import amounts, read_binary, require_shape, row_mask, row_weights
from xentjax.metrics.tally import Tally


@dataclass(frozen=True)
class MultiLabelConfusion:
    """For each label the table [[tn, fp], [fn, tp]]: a metric whose value is [L, 2, 2].

    The layout is that of scikit-learn's `multilabel_confusion_matrix`. `precision`, `recall`,
    `f_beta`, `specificity` and `hamming_loss` are functions of it; `ExactMatch` gives the subset
    accuracy, which no table of single labels knows.

    Attributes:
      labels: L, how many labels there are.

    Example:
      >>> import jax.numpy as jnp
      >>> tables = MultiLabelConfusion(labels=2)
      >>> logits, labels = jnp.array([[2.0, 1.0], [-1.0, 3.0]]), jnp.array([[1, 0], [1, 1]])
      >>> state = tables.update(tables.init(), logits > 0, labels)
      >>> print(tables.compute(state)[1])  # label 1: once a false alarm, once right
      [[0. 1.]
       [0. 1.]]

    See Also:
      `ConfusionMatrix` for classes that exclude each other.
    """

    labels: int

    def __post_init__(self):
        count = as_index(self.labels, "labels")
        if count is None or count < 1:
            raise ValueError(f"labels must be a positive number of labels, got {self.labels}")

    def init(self) -> Tally:
        """Nothing seen."""
        return tally.zeros((self.labels, 2, 2))

    def update(
        self,
        state: Tally,
        predictions: Shaped[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> Tally:
        """Adds a batch.

        Args:
          state: what was seen before.
          predictions: booleans, or integers 0 and 1, [*batch, L]; of logits, `logits > threshold`.
          labels: the same, [*batch, L].
          where: boolean, of the rank of [*batch] to leave examples out, or of [*batch, L] to leave
            out single labels that nobody knows.
          weights: non-negative, of either rank.

        Returns:
          The state with the batch added.

        Raises:
          TypeError: predictions or labels are floats, `where` is not boolean.
          ValueError: shapes do not fit or (eager calls) an integer is neither 0 nor 1 or a weight
            negative. Under jit such a value makes all tables NaN.
        """
        shape = jnp.shape(predictions)
        if shape[-1:] != (self.labels,):
            raise ValueError(f"predictions must have {self.labels} labels last, got shape {shape}")
        require_shape(labels, shape, "labels", "predictions")
        keep = row_mask(where, shape, "label")
        guessed, good_guesses = read_binary(predictions, "predictions", keep)
        true, good_labels = read_binary(labels, "labels", keep)
        counted = amounts(keep, row_weights(weights, keep, shape, "label"), shape)
        batch = _tables(guessed, true, counted.reshape(-1, self.labels))
        return tally.merge(state, tally.nan_unless(batch, jnp.all(good_guesses & good_labels)))

    def compute(self, state: Tally) -> Float[Array, "labels 2 2"]:
        """The tables, each entry rounded once to a float; `tally.exact(state)` rounds none."""
        return tally.value(state)


@partial(jax.jit, inline=True)
def _tables(guessed: Array, true: Array, counted: Array) -> Tally:
    guessed, true = guessed.reshape(counted.shape), true.reshape(counted.shape)
    outcomes = [~true & ~guessed, ~true & guessed, true & ~guessed, true & guessed]
    nothing = jnp.zeros((), counted.dtype)
    sums = [tally.total(jnp.where(outcome, counted, nothing), axis=0) for outcome in outcomes]
    return Tally(*(jnp.stack(parts, -1).reshape(-1, 2, 2) for parts in zip(*sums, strict=True)))
