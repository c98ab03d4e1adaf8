"""Top-k accuracy: whether the label is among the k best scores."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.inputs import as_index
from xentjax.losses.reduction import example_mask
from xentjax.metrics.examples import read_indices, read_scores, read_weights, require_shape
from xentjax.metrics.mean import Mean, MeanState, add_hits


@dataclass(frozen=True)
class TopKAccuracy:
    """The fraction of examples whose label is among the k classes with the highest scores.

    Of equal scores the higher class index comes first, as in scikit-learn: a label is a hit when
    fewer than k classes score higher, or as high with a higher index. So constant scores are right
    for k classes and not for all; but `jnp.argmax` takes the lower index, so that k = 1 differs
    from the accuracy of argmax on exact ties.

    Attributes:
      k: how many answers are allowed, at least 1.

    Example:
      >>> import jax.numpy as jnp
      >>> top2 = TopKAccuracy(k=2)
      >>> scores = jnp.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
      >>> state = top2.update(top2.init(), scores, jnp.array([1, 2]))
      >>> print(top2.compute(state))  # class 1 is second best, class 2 the last of three
      0.5

    See Also:
      `accuracy` of a `ConfusionMatrix`.
    """

    k: int

    def __post_init__(self):
        k = as_index(self.k, "k")
        if k is None or k < 1:
            raise ValueError(f"k must be at least 1, got {self.k}")

    def init(self) -> MeanState:
        """Nothing seen."""
        return Mean().init()

    def update(
        self,
        state: MeanState,
        scores: Num[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds a batch.

        Args:
          state: what was seen before.
          scores: real [*batch, C], logits or probabilities; compared in float32, or in float64
            where they are. −∞ is a score like any other.
          labels: integer class indices [*batch].
          where: boolean, broadcastable to [*batch]; False leaves an example out.
          weights: non-negative, broadcastable to [*batch].

        Returns:
          The state with the batch added.

        Raises:
          TypeError: labels are not integers, `where` not boolean.
          ValueError: shapes do not fit, k > C, or (eager calls) a label is outside [0, C), a score
            NaN or a weight negative. Under jit such a value makes the result NaN.
        """
        if not jnp.shape(scores) or self.k > jnp.shape(scores)[-1]:
            raise ValueError(
                f"scores must be [*batch, C] with C at least k = {self.k}, got shape "
                f"{jnp.shape(scores)}"
            )
        *batch, classes = jnp.shape(scores)
        shape = tuple(batch)
        require_shape(labels, shape, "labels", f"scores of shape {jnp.shape(scores)}")
        keep = example_mask(where, shape)
        rows = None if keep is None else keep[..., None]
        values, good_scores = read_scores(scores, "scores", rows)
        targets, good_labels = read_indices(labels, "labels", classes, keep)
        good = good_labels & jnp.all(good_scores, axis=-1)
        hits = _places(values, targets) < self.k
        return add_hits(state, hits, good, keep, read_weights(weights, keep, shape))

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The accuracy; NaN when nothing was counted."""
        return Mean().compute(state)


@partial(jax.jit, inline=True)
def _places(scores: Array, labels: Array) -> Array:
    """How many classes come before the label [*batch]."""
    labels = jnp.expand_dims(labels, -1)
    own = jnp.take_along_axis(scores, labels, axis=-1, mode="clip")
    index = jnp.arange(scores.shape[-1], dtype=labels.dtype).reshape(*[1] * (scores.ndim - 1), -1)
    return jnp.sum((scores > own) | ((scores == own) & (index > labels)), axis=-1)
