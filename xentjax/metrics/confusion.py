"""The streaming confusion matrix: what is counted once serves every score of single labels."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.inputs import as_index
from xentjax.losses.reduction import example_mask
from xentjax.metrics import tally
from xentjax.metrics.examples import amounts, read_indices, read_weights, require_shape
from xentjax.metrics.label_counts import read_matrix, require_one_of
from xentjax.metrics.tally import Tally

# The cells are numbered in int32.
_MOST_CLASSES = 46_340


@dataclass(frozen=True)
class ConfusionMatrix:
    """How often class i was taken for class j: a metric whose value is a matrix [C, C].

    Rows are the true classes, columns the predicted ones, as in scikit-learn. Counts are exact up
    to 2⁴⁸, and weighted sums too as far as weights of one batch span less than 24 bits; both are
    the same in any order of the examples. The scores (`accuracy`, `precision`, `cohen_kappa`, …)
    are functions of the matrix.

    Attributes:
      classes: C, the number of classes, at most 46 340.

    Example:
      >>> import jax.numpy as jnp
      >>> confusion = ConfusionMatrix(classes=2)
      >>> predictions, labels = jnp.array([0, 1, 1, 1]), jnp.array([0, 0, 1, 1])
      >>> state = confusion.update(confusion.init(), predictions, labels)
      >>> print(confusion.compute(state))  # of two zeros one was taken for a 1
      [[1. 1.]
       [0. 2.]]

    See Also:
      `MultiLabelConfusion` for labels that do not exclude each other.
    """

    classes: int

    def __post_init__(self):
        classes = as_index(self.classes, "classes")
        if classes is None or not 1 <= classes <= _MOST_CLASSES:
            raise ValueError(f"classes must lie in [1, {_MOST_CLASSES}], got {self.classes}")

    def init(self) -> Tally:
        """Nothing seen."""
        return tally.zeros((self.classes, self.classes))

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
          predictions: integer class indices [*batch]; of logits, `jnp.argmax(logits, -1)`. They
            come first, as the logits of a loss do; in scikit-learn the labels do.
          labels: integer class indices [*batch].
          where: boolean, broadcastable to [*batch]; False leaves an example out.
          weights: non-negative, broadcastable to [*batch].

        Returns:
          The state with the batch added.

        Raises:
          TypeError: predictions or labels are not integers, `where` not boolean.
          ValueError: shapes do not fit or (eager calls) an index is outside [0, C) or a weight
            negative. Under jit such a value makes the whole matrix NaN.
        """
        shape = jnp.shape(predictions)
        require_shape(labels, shape, "labels", "predictions")
        keep = example_mask(where, shape)
        columns, good_columns = read_indices(predictions, "predictions", self.classes, keep)
        rows, good_rows = read_indices(labels, "labels", self.classes, keep)
        counted = amounts(keep, read_weights(weights, keep, shape), shape)
        batch = _counted(rows, columns, good_rows & good_columns, counted, classes=self.classes)
        return tally.merge(state, batch)

    def compute(self, state: Tally) -> Float[Array, "classes classes"]:
        """The matrix, each entry rounded once to a float; `tally.exact(state)` rounds none."""
        return tally.value(state)


def normalized_confusion(
    confusion: Num[ArrayLike, "..."], *, over: str = "labels"
) -> Float[Array, "classes classes"]:
    """The confusion matrix as fractions of each row, of each column or of everything.

    Args:
      confusion: counts [C, C], rows true.
      over: "labels" (rows sum to 1: how each class was recognised), "predictions" (columns sum
        to 1: what each answer is worth) or "all".

    Returns:
      Fractions [C, C]; 0 where nothing was counted, as in scikit-learn.

    Raises:
      ValueError: `over` is none of the three, or the matrix is not square.

    Example:
      >>> import jax.numpy as jnp
      >>> print(normalized_confusion(jnp.array([[1.0, 1.0], [0.0, 2.0]])))
      [[0.5 0.5]
       [0.  1. ]]
    """
    axes = {"labels": 1, "predictions": 0, "all": (0, 1)}
    require_one_of(over, tuple(axes), "over")
    matrix = read_matrix(confusion)
    total = jnp.sum(matrix, axis=axes[over], keepdims=True)
    return jnp.where(total == 0, 0, matrix / jnp.where(total == 0, 1, total))


@partial(jax.jit, static_argnames="classes", inline=True)
def _counted(rows: Array, columns: Array, good: Array, counted: Array, *, classes: int) -> Tally:
    # Bad indices go to the first cell, where a masked one adds nothing.
    inside = (rows >= 0) & (rows < classes) & (columns >= 0) & (columns < classes)
    cells = jnp.where(inside, rows * classes + columns, 0)
    batch = tally.total_at(counted.reshape(-1), cells.reshape(-1), classes * classes)
    matrix = Tally(*(x.reshape(classes, classes) for x in batch))
    return tally.nan_unless(matrix, jnp.all(good))
