"""Ranking scores of data that comes in parts: histograms of the scores, and how wrong they can be.

The exact area under a curve needs all scores in order. Two histograms, of the positives and of the
negatives, know the order of examples in different bins and nothing within one, so they bound it.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.inputs import as_index
from xentjax.losses.reduction import example_mask
from xentjax.metrics import tally
from xentjax.metrics.examples import amounts, read_binary, read_scores, read_weights, require_shape
from xentjax.metrics.tally import Tally


class HistogramState(NamedTuple):
    """What was counted in each bin [bins]."""

    positives: Tally
    negatives: Tally


class Bounded(NamedTuple):
    """A value, and the least and the greatest that the exact one can be."""

    value: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]


class RankingBounds(NamedTuple):
    """What histograms know of a ranking."""

    roc_auc: Bounded
    average_precision: Bounded


@dataclass(frozen=True)
class ScoreHistogram:
    r"""ROC AUC and average precision of streamed data, each with bounds of the exact value.

    Bins are equal, the first and the last also take what lies outside [low, high]. With p_b and
    n_b the weights of positives and negatives in a bin, P and N their sums, T_b and F_b the sums in
    the bins above:

        AUC = Σ n_b (T_b + ½ p_b) / (P N), exact to ± ½ Σ p_b n_b / (P N)
        AP  = Σ p_b (T_b + p_b) / (T_b + p_b + F_b + n_b) / P, as if a bin were one score
        AP ≤ Σ p_b (T_b + p_b) / (T_b + p_b + F_b) / P
        AP ≥ Σ (p_b − G_b log(1 + p_b / (T_b + G_b))) / P, G_b = F_b + n_b

    The upper bound has a bin's positives share one score above its negatives; the lower one has
    the negatives first and then the positives in ever smaller parts. Prefer the functions
    `roc_auc` and `average_precision` where all scores fit into memory.

    Attributes:
      bins: how many; the error falls about as 1/bins.
      low: where the first bin begins; probabilities begin at 0.
      high: where the last bin ends.

    Example:
      >>> import jax.numpy as jnp
      >>> histogram = ScoreHistogram(bins=4)
      >>> scores, labels = jnp.array([0.9, 0.6, 0.55, 0.1]), jnp.array([1, 1, 0, 0])
      >>> state = histogram.update(histogram.init(), scores, labels)
      >>> auc = histogram.compute(state).roc_auc  # 0.6 and 0.55 share a bin: 3 or 4 of 4 pairs
      >>> print(auc.low, auc.value, auc.high)
      0.75 0.875 1.0
    """

    bins: int = 1024
    low: float | int = 0.0
    high: float | int = 1.0

    def __post_init__(self):
        bins = as_index(self.bins, "bins")
        if bins is None or bins < 1:
            raise ValueError(f"bins must be at least 1, got {self.bins}")
        if not -np.inf < self.low < self.high < np.inf:
            raise ValueError(f"low must be below high, both finite, got {self.low}, {self.high}")

    def init(self) -> HistogramState:
        """Nothing seen."""
        return HistogramState(tally.zeros((self.bins,)), tally.zeros((self.bins,)))

    def update(
        self,
        state: HistogramState,
        scores: Num[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> HistogramState:
        """Adds a batch; arguments and errors are those of `roc_auc`."""
        shape = jnp.shape(scores)
        require_shape(labels, shape, "labels", "scores")
        keep = example_mask(where, shape)
        values, good_scores = read_scores(scores, "scores", keep)
        positive, good_labels = read_binary(labels, "labels", keep)
        counted = amounts(keep, read_weights(weights, keep, shape), shape)
        return _added(self, state, values, positive, counted, good_scores & good_labels)

    def compute(self, state: HistogramState) -> RankingBounds:
        """Both scores with their bounds, which hold besides a rounding of 1e-6.

        The area is NaN unless both classes were seen, average precision without positives.
        """
        return _bounds(state)

    def _cells(self, scores: Array) -> Array:
        # Each step keeps the order of any two scores, rounded or not: the bounds rely on it.
        place = (scores - self.low) * (self.bins / (self.high - self.low))
        return jnp.clip(jnp.floor(place), 0, self.bins - 1).astype(jnp.int32)


@partial(jax.jit, static_argnums=0, inline=True)
def _added(
    histogram: ScoreHistogram,
    state: HistogramState,
    scores: Array,
    positive: Array,
    counted: Array,
    good: Array,
) -> HistogramState:
    bins = histogram.bins
    cells = histogram._cells(scores) + jnp.where(positive, 0, bins)
    both = tally.total_at(counted.reshape(-1), cells.reshape(-1), 2 * bins)
    both = tally.nan_unless(both, jnp.all(good))
    halves = Tally(*(x[:bins] for x in both)), Tally(*(x[bins:] for x in both))
    return HistogramState(*(tally.merge(*pair) for pair in zip(state, halves, strict=True)))


@partial(jax.jit, inline=True)
def _bounds(state: HistogramState) -> RankingBounds:
    positives, negatives = (tally.value(x)[::-1] for x in state)  # from the highest bin down
    return RankingBounds(_area(positives, negatives), _average_precision(positives, negatives))


def _area(positives: Array, negatives: Array) -> Bounded:
    positives, negatives = _shares(positives), _shares(negatives)
    _, above = _running(positives)
    within = jnp.sum(positives * negatives) / 2
    value = jnp.minimum(jnp.sum(negatives * (above + positives / 2)), 1)
    return Bounded(value, jnp.maximum(value - within, 0), jnp.minimum(value + within, 1))


def _average_precision(positives: Array, negatives: Array) -> Bounded:
    total = jnp.sum(positives)
    negatives = negatives / jnp.where(total == 0, 1, total)
    positives = _shares(positives)
    (found, above), (false, false_above) = _running(positives), _running(negatives)
    value = jnp.minimum(jnp.sum(positives * _over(found, found + false)), 1)
    high = jnp.minimum(jnp.sum(positives * _over(found, found + false_above)), 1)
    low = jnp.sum(positives - false * jnp.log1p(_over(positives, above + false)))
    return Bounded(value, jnp.clip(low, 0, value), jnp.maximum(high, value))


def _running(counts: Array) -> tuple[Array, Array]:
    """The sums up to each bin, and up to the one before it."""
    sums = jnp.cumsum(counts)
    return sums, jnp.concatenate([jnp.zeros_like(sums[:1]), sums[:-1]])


def _shares(counts: Array) -> Array:
    """Counts over their sum; NaN when there is none."""
    return counts / jnp.sum(counts)


def _over(part: Array, whole: Array) -> Array:
    return part / jnp.where(whole == 0, 1, whole)
