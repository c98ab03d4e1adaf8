"""Reliability: how often what was said with probability p came true, in bins of p.

One table serves every calibration error and the diagram. Bins of equal width can be streamed;
bins of equal mass need all probabilities at once.
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
from xentjax.metrics import tally
from xentjax.metrics.predictions import read_predictions
from xentjax.metrics.tally import Tally

# Its square is what an int32 must hold.
_MOST_EQUAL_BINS = 2**15


class ReliabilityState(NamedTuple):
    """Sums over the examples in each bin [*bins]."""

    weight: Tally
    squares: Tally  # of the weights
    confidence: Tally
    hits: Tally


class ReliabilityTable(NamedTuple):
    """What became of the predictions in each bin: the data of a reliability diagram.

    Attributes:
      weight: the weights counted in the bin [..., bins].
      examples: as how many equally weighted examples they tell, (Σ w)² / Σ w².
      confidence: the mean probability that was predicted; NaN in an empty bin.
      accuracy: how often it came true; NaN in an empty bin.
    """

    weight: Float[Array, "*table"]
    examples: Float[Array, "*table"]
    confidence: Float[Array, "*table"]
    accuracy: Float[Array, "*table"]


@dataclass(frozen=True)
class Reliability:
    r"""The reliability table of streamed data in bins of equal width.

    Bin b holds the confidences in (b/B, (b + 1)/B], the first one also 0, as in Guo et al. and
    in scikit-learn's `calibration_curve`. The confidence is that of the top label (the first of
    equal ones), and a hit that it is right; for an event, its probability and that it happens.

    Attributes:
      bins: B. More bins see finer errors, and more noise: see `debiased_calibration_error`.

    Example:
      >>> import jax.numpy as jnp
      >>> reliability = Reliability(bins=2)
      >>> said, happened = jnp.array([0.2, 0.4, 0.75]), jnp.array([False, True, True])
      >>> table = reliability.compute(reliability.update(reliability.init(), said, happened))
      >>> print(table.weight, table.confidence, table.accuracy)  # ½ of two happened, and the third
      [2. 1.] [0.3  0.75] [0.5 1. ]

    Reference:
      C. Guo et al., On Calibration of Modern Neural Networks, 2017.

    See Also:
      `expected_calibration_error`, `maximum_calibration_error`, `rms_calibration_error`,
      `debiased_calibration_error`; `ClasswiseReliability`, `equal_mass_reliability`.
    """

    bins: int = 15

    def __post_init__(self):
        _check_count("bins", self.bins)

    def init(self) -> ReliabilityState:
        """Nothing seen."""
        return _nothing((self.bins,))

    def update(
        self,
        state: ReliabilityState,
        probabilities: Num[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> ReliabilityState:
        """Adds a batch; arguments and errors are those of `BrierScore`."""
        read = read_predictions(probabilities, labels, where=where, weights=weights)
        confidences, hits = read.confidences_and_hits()
        cells = _equal_width(confidences, bins=self.bins)
        return _added(state, cells, confidences, hits, read.counted, read.good)

    def compute(self, state: ReliabilityState) -> ReliabilityTable:
        """The table [bins]."""
        return _table(state)


@dataclass(frozen=True)
class ClasswiseReliability:
    r"""The reliability table of every class: how often class c was right at probability p_c.

    The top label hides what the rest of a distribution says; decisions with costs need all of it.
    Calibration errors of the table come one a class; their mean is the class-wise error of Kull
    et al. (the static calibration error of Nixon et al.).

    Attributes:
      classes: C.
      bins: bins of equal width, as in `Reliability`.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax.metrics.calibration import expected_calibration_error
      >>> reliability = ClasswiseReliability(classes=2, bins=5)
      >>> probabilities, labels = jnp.array([[0.75, 0.25], [0.75, 0.25]]), jnp.array([0, 1])
      >>> state = reliability.update(reliability.init(), probabilities, labels)
      >>> print(expected_calibration_error(reliability.compute(state)))  # said ¾ and ¼, came ½
      [0.25 0.25]

    Reference:
      M. Kull et al., Beyond Temperature Scaling, 2019. J. Nixon et al., Measuring Calibration in
      Deep Learning, 2019.
    """

    classes: int
    bins: int = 15

    def __post_init__(self):
        _check_count("classes", self.classes)
        _check_count("bins", self.bins)

    def init(self) -> ReliabilityState:
        """Nothing seen."""
        return _nothing((self.classes, self.bins))

    def update(
        self,
        state: ReliabilityState,
        probabilities: Num[ArrayLike, "..."],
        labels: Shaped[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> ReliabilityState:
        """Adds a batch; arguments and errors are those of `BrierScore`, of classes."""
        read = read_predictions(probabilities, labels, where=where, weights=weights)
        shape = read.probabilities.shape
        if read.of_event or shape[-1] != self.classes:
            raise ValueError(
                f"probabilities must be [*batch, {self.classes}] with class indices [*batch], got "
                f"shapes {shape} and {read.outcomes.shape}"
            )
        index = jnp.broadcast_to(jnp.arange(self.classes, dtype=jnp.int32), shape)
        cells = index * self.bins + _equal_width(read.probabilities, bins=self.bins)
        hits = index == read.outcomes[..., None]
        counted = jnp.broadcast_to(read.counted[..., None], shape)
        return _added(state, cells, read.probabilities, hits, counted, read.good)

    def compute(self, state: ReliabilityState) -> ReliabilityTable:
        """The table [classes, bins]."""
        return _table(state)


def equal_mass_reliability(
    probabilities: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    bins: int = 15,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
) -> ReliabilityTable:
    r"""The reliability table in bins that hold equally many examples, or equal weight.

    Examples are sorted by confidence; one with the share s of all weight below it, which equal
    confidences do not add to, is in bin ⌊s B⌋. So equal confidences share a bin, whatever their
    order, and many of them leave bins empty. Prefer it to `Reliability` where most confidences
    crowd near 1: bins of equal width then tell of few of them.

    Args:
      probabilities: floating [*batch, C], rows summing to 1; or, of one event, [*batch].
      labels: integer class indices [*batch]; of an event, booleans or 0 and 1.
      bins: B, at most 2¹⁵.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: non-negative, broadcastable to [*batch].

    Returns:
      The table [bins].

    Raises:
      TypeError: a dtype is wrong.
      ValueError: shapes do not fit, or (eager calls) a row is no distribution, a label out of
        range or a weight negative. Under jit such a value makes the table NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> said, happened = jnp.array([0.9, 0.8, 0.7, 0.1]), jnp.array([1, 1, 0, 0])
      >>> table = equal_mass_reliability(said, happened, bins=2)
      >>> print(table.weight, table.accuracy)
      [2. 2.] [0. 1.]

    Reference:
      K. Nguyen, B. O'Connor, Posterior Calibration and Exploratory Analysis for NLP Models, 2015.

    See Also:
      `Reliability` for streams.
    """
    _check_count("bins", bins)
    if bins > _MOST_EQUAL_BINS:
        raise ValueError(f"bins of equal mass must be at most {_MOST_EQUAL_BINS}, got {bins}")
    read = read_predictions(probabilities, labels, where=where, weights=weights)
    confidences, hits = read.confidences_and_hits()
    cells = _equal_mass(confidences.reshape(-1), read.counted.reshape(-1), bins=bins)
    state = _added(_nothing((bins,)), cells, confidences, hits, read.counted, read.good)
    return _table(state)


@partial(jax.jit, static_argnames="bins", inline=True)
def _equal_width(confidences: Array, *, bins: int) -> Array:
    inner = jnp.asarray(np.linspace(0, 1, bins + 1)[1:-1], confidences.dtype)
    return jnp.searchsorted(inner, confidences, side="left").astype(jnp.int32)


@partial(jax.jit, static_argnames="bins", inline=True)
def _equal_mass(confidences: Array, counted: Array, *, bins: int) -> Array:
    order = jnp.argsort(confidences)
    sums = jnp.cumsum(counted[order])  # of booleans in int32
    sums = jnp.concatenate([jnp.zeros_like(sums[:1]), sums])
    first = jnp.searchsorted(confidences[order], confidences, side="left")
    below, total = sums[first], sums[-1]
    if jnp.issubdtype(total.dtype, jnp.floating):
        cells = below * bins // jnp.where(total == 0, 1, total)
        return jnp.clip(cells, 0, bins - 1).astype(jnp.int32)
    # Counts are compared as integers, so that no rounding moves an example over an edge. Bin k
    # begins at ⌈k · total / bins⌉, here without the product of total and bins, which would wrap.
    k = jnp.arange(1, bins, dtype=jnp.int32)
    edges = k * (total // bins) + -(-k * (total % bins) // bins)
    return jnp.searchsorted(edges, below, side="right").astype(jnp.int32)


@partial(jax.jit, inline=True)
def _added(
    state: ReliabilityState,
    cells: Array,
    confidences: Array,
    hits: Array,
    counted: Array,
    good: Array,
) -> ReliabilityState:
    shape, size = state.weight.high.shape, state.weight.high.size
    cells, counted, hits = (x.reshape(-1) for x in (cells, counted, hits))

    def totals(*amounts: Array) -> list[Tally]:
        sums = jax.vmap(lambda x: tally.total_at(x, cells, size))(jnp.stack(amounts))
        rows = (Tally(sums.high[i], sums.low[i]) for i in range(len(amounts)))
        parts = (Tally(high.reshape(shape), low.reshape(shape)) for high, low in rows)
        return [tally.nan_unless(part, good) for part in parts]

    # Whole numbers apart from floats: without weights they are summed as integers.
    weight, squares, came_true = totals(counted, counted * counted, counted * hits)
    (confidence,) = totals(counted * confidences.reshape(-1))
    batch = ReliabilityState(weight, squares, confidence, came_true)
    return ReliabilityState(*map(tally.merge, state, batch))


@partial(jax.jit, inline=True)
def _table(state: ReliabilityState) -> ReliabilityTable:
    weight, squares, confidence, hits = (tally.value(x) for x in state)
    empty = weight == 0
    whole = jnp.where(empty, jnp.nan, weight)
    # In this order w² cannot overflow where w does not.
    examples = jnp.where(empty, 0, weight / squares * weight)
    return ReliabilityTable(weight, examples, confidence / whole, hits / whole)


def _nothing(shape: tuple[int, ...]) -> ReliabilityState:
    return ReliabilityState(*(tally.zeros(shape) for _ in ReliabilityState._fields))


def _check_count(name: str, value: int) -> None:
    found = as_index(value, name)
    if found is None or found < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
