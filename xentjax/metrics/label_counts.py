"""What scores are made of: for each label its true and false positives and negatives.

Both kinds of counts become the same four sums, so each score is written once: the matrix [C, C] of
`ConfusionMatrix`, and the tables [L, 2, 2] of `MultiLabelConfusion`. All are fractions of what was
counted, and nothing is a difference of large counts, so that float32 suffices for any count.
"""

import difflib
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.losses.inputs import first_false
from xentjax.losses.reduction import is_concrete, real_array

_AVERAGES = (None, "micro", "macro", "weighted")


class LabelCounts(NamedTuple):
    """The four outcomes of each label [L], as fractions of the whole."""

    tp: Array  # predicted and true
    fp: Array
    fn: Array
    tn: Array
    seen: Array  # boolean: counts in a macro average

    @property
    def predicted(self) -> Array:
        """How often each label was predicted."""
        return self.tp + self.fp

    @property
    def actual(self) -> Array:
        """How often each label is true."""
        return self.tp + self.fn

    @property
    def negatives(self) -> Array:
        """How often each label is not true."""
        return self.tn + self.fp


def label_counts(confusion: Num[ArrayLike, "..."]) -> LabelCounts:
    """The outcomes in a confusion matrix [C, C], or in tables [[tn, fp], [fn, tp]] [L, 2, 2]."""
    counts = fractions(read_counts(confusion))
    if counts.ndim == 3:
        tn, fp, fn, tp = (counts[:, i, j] for i in (0, 1) for j in (0, 1))
        return LabelCounts(tp, fp, fn, tn, jnp.ones(tp.shape, bool))
    tp, others = jnp.diagonal(counts), 1 - jnp.eye(counts.shape[0], dtype=counts.dtype)
    # Sums over the other classes, where 1 − x would lose the digits of a rare one.
    fp = jnp.sum(others * counts, axis=0)
    row_without = jnp.matmul(counts, others, precision="highest")
    tn = jnp.sum(others * row_without, axis=0)
    fn = jnp.diagonal(row_without)
    return LabelCounts(tp, fp, fn, tn, tp + fp + fn != 0)


def read_counts(confusion: Num[ArrayLike, "..."]) -> Array:
    """Counts in float, whichever of the two shapes."""
    if not isinstance(confusion, jnp.ndarray):
        # 64-bit counts would wrap on their way into JAX; as floats they only round.
        confusion = np.asarray(confusion, np.float64)
    counts = real_array(confusion, "confusion").astype(jnp.result_type(float))
    shape = counts.shape
    square = len(shape) == 2 and shape[0] == shape[1] > 0
    if not square and not (len(shape) == 3 and shape[1:] == (2, 2) and shape[0] > 0):
        raise ValueError(
            "confusion must be a matrix [C, C] or tables [L, 2, 2] of several labels, got shape "
            f"{shape}"
        )
    if is_concrete(counts):
        position = first_false(~(np.asarray(counts) < 0))
        if position is not None:
            raise ValueError(f"confusion must be non-negative, got a count < 0 at {position}")
    return counts


def read_matrix(confusion: Num[ArrayLike, "..."]) -> Float[Array, "classes classes"]:
    """Counts [C, C] in float; ValueError for tables of several labels."""
    counts = read_counts(confusion)
    if counts.ndim != 2:
        raise ValueError(
            f"confusion must be a matrix [C, C] here, got shape {counts.shape}; for several labels "
            "take precision, recall, f_beta, specificity or hamming_loss"
        )
    return counts


def fractions(counts: Array) -> Array:
    """Counts over their sum; zeros stay zeros when nothing was counted."""
    total = jnp.sum(counts)
    return counts / jnp.where(total == 0, 1, total)


def require_one_of(value: str | None, allowed: tuple[str | None, ...], name: str) -> None:
    """Raises ValueError unless the option is one of those allowed."""
    if value not in allowed:
        known = [x for x in allowed if x is not None]
        close = difflib.get_close_matches(str(value), known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}{hint}")


def averaged(
    numerator: Array,
    denominator: Array,
    counts: LabelCounts,
    average: str | None,
    zero_division: float | int,
) -> Array:
    """The ratios per label [L], or one number out of them, with scikit-learn's rules."""
    require_one_of(average, _AVERAGES, "average")
    if not (zero_division in (0, 1) or math.isnan(zero_division)):
        raise ValueError(f"zero_division must be 0, 1 or nan, got {zero_division}")
    if average == "micro":
        return _ratio(jnp.sum(numerator), jnp.sum(denominator), zero_division)
    ratios = _ratio(numerator, denominator, zero_division)
    if average is None:
        return ratios
    # A ratio that is NaN by its 0/0 is left out; one that is NaN by a bad label is not.
    usable = counts.seen & ((denominator != 0) | (not math.isnan(zero_division)))
    mean = jnp.sum(jnp.where(usable, ratios, 0)) / jnp.sum(usable)
    if average == "macro":
        return mean
    support = jnp.where(usable, counts.actual, 0)
    total = jnp.sum(support)
    some = jnp.where(total == 0, 1, total)
    return jnp.where(total == 0, mean, jnp.sum(jnp.where(usable, ratios * support, 0)) / some)


def _ratio(numerator: Array, denominator: Array, zero_division: float | int) -> Array:
    none = denominator == 0
    return jnp.where(none, zero_division, numerator / jnp.where(none, 1, denominator))
