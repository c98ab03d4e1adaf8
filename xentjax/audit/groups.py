"""Groups: the scores of a confusion matrix, group by group.

Use `group_rates` to see how each group of rows fares before asking, with `fairness`, how far apart
they are.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xentjax.audit.given import Given, finite_of, labels_of
from xentjax.metrics.agreement import accuracy
from xentjax.metrics.confusion import normalized_confusion
from xentjax.metrics.intervals import wilson_interval
from xentjax.metrics.scores import precision, recall, specificity


class Rate(NamedTuple):
    """A share, and its 95 % Wilson interval; NaN where nothing was there to be counted."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class GroupRates:
    """The scores of each group, every class in turn against the rest.

    Attributes:
        groups: their names, sorted, G of them.
        counts: rows of each, int [G].
        confusions: (weighted) counts, rows true, float [G, C, C].
        accuracy: share of rows that are right, [G].
        selection: share of rows given a class, [G, C].
        recall: of the rows of a class the share given it, its true positive rate, [G, C].
        false_positive: of the rows of other classes the share given it, [G, C].
        precision: of the rows given a class the share that is of it, [G, C].
        base: share of rows that are of a class, [G, C].
    """

    groups: tuple[str, ...]
    counts: np.ndarray
    confusions: np.ndarray
    accuracy: Rate
    selection: Rate
    recall: Rate
    false_positive: Rate
    precision: Rate
    base: Rate


def group_rates(
    predictions: Given,
    labels: Given,
    groups: Given,
    *,
    classes: int,
    weights: Given | None = None,
) -> GroupRates:
    r"""The rates of each group from one confusion matrix a group, with Wilson intervals.

    For a favourable class f: selection P(ŷ = f), recall P(ŷ = f | y = f), false positives
    P(ŷ = f | y ≠ f), precision P(y = f | ŷ = f), base P(y = f). With weights an interval is that
    of (Σw)² / Σw² rows, taken over all rows of the group.

    Args:
        predictions: class given to each row [N].
        labels: its true class [N].
        groups: its group [N], names or numbers; groups without rows do not exist here.
        classes: C.
        weights: of rows, non-negative [N].

    Returns:
        `GroupRates`; of two classes, [:, 1] are the rates that binary formulas mean.

    Raises:
        TypeError: predictions or labels are not integers.
        ValueError: shapes do not fit, there are no rows, a class is outside [0, C), a weight is
            negative or all are 0, or a group is missing (NaN or None).

    Example:
        >>> rates = group_rates(
        ...     np.array([1, 0, 1, 1]), np.array([1, 1, 1, 0]), np.array(["a", "a", "b", "b"]),
        ...     classes=2)
        >>> rates.groups, rates.recall.value[:, 1].tolist()  # 1 of 2 found, 1 of 1
        (('a', 'b'), [0.5, 1.0])

    See Also:
        `fairness_gaps`.
    """
    rows = read_grouped(predictions, labels, groups, classes=classes, weights=weights)
    names, which, weights = rows.names, rows.group, rows.weight
    cells = (which * classes + rows.label) * classes + rows.prediction
    counts = np.bincount(cells, weights, len(names) * classes**2)
    confusions = counts.reshape(len(names), classes, classes)
    values, bases = rates_of(jnp.asarray(confusions, jnp.float32))
    squares = np.bincount(which, weights**2)
    totals = confusions.sum((1, 2))
    rows_of_unit = np.divide(totals, squares, out=np.zeros_like(totals), where=squares > 0)
    rates = {name: _with_interval(values[name], bases[name], rows_of_unit) for name in values}
    return GroupRates(names, np.bincount(which), confusions, **rates)


@dataclasses.dataclass(frozen=True)
class GroupedRows:
    """Rows of a classifier and the group of each, checked.

    Attributes:
        names: of the groups, sorted.
        group: the number of each row's group, int64 [N].
        label: true class, int64 [N].
        prediction: class given, int64 [N].
        weight: float64 [N].
    """

    names: tuple[str, ...]
    group: np.ndarray
    label: np.ndarray
    prediction: np.ndarray
    weight: np.ndarray


def read_grouped(
    predictions: Given, labels: Given, groups: Given, *, classes: int, weights: Given | None
) -> GroupedRows:
    """Checks what `group_rates` was given; without weights each row weighs 1."""
    if classes < 2:
        raise ValueError(f"classes must be at least 2, got {classes}")
    label = labels_of(labels, classes=classes)
    n = len(label)
    prediction = labels_of(predictions, "predictions", rows=n, classes=classes)
    weight = np.ones(n) if weights is None else finite_of(weights, "weights", "N", (n,))
    if weight.min() < 0 or not weight.any():
        raise ValueError(
            f"weights must not be negative, nor all 0, got {weight.min()} to {weight.max()}"
        )
    names, which = _numbered(groups, n)
    return GroupedRows(names, which, label, prediction, weight)


def _numbered(groups: Given, rows: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names in sorted order, and the number of each row's group."""
    # As objects, for beside names numpy would make the name "nan" of a NaN.
    single = np.asarray(groups if isinstance(groups, list | tuple) else np.asarray(groups), object)
    if single.shape != (rows,):
        raise ValueError(f"groups must be [N], one a row, here ({rows},), got shape {single.shape}")
    missing = np.array([_is_missing(group) for group in single])
    if missing.any():
        raise ValueError(
            f"groups: row {missing.argmax()} has none ({missing.sum()} such rows); leave those "
            "rows out or name their group"
        )
    values = np.asarray(groups)
    found, which = np.unique(
        values.astype(str) if values.dtype == object else values, return_inverse=True
    )
    return tuple(str(name) for name in found), which


def _is_missing(group: Any) -> bool:
    """None, NaN and NaT, and pandas's NA, whose comparisons have no truth."""
    try:
        return group is None or bool(group != group)
    except TypeError:
        return True


@jax.jit
def rates_of(confusions: Float[Array, "G C C"]) -> tuple[dict[str, Array], dict[str, Array]]:
    """The rates of each group, and the (weighted) counts that each is a share of."""

    def each(score, **options):
        return jax.vmap(partial(score, **options))(confusions)

    nan = float("nan")
    total = confusions.sum((1, 2))
    actual, given = confusions.sum(2), confusions.sum(1)
    share = each(normalized_confusion, over="all")
    some = jnp.where(total > 0, 1, jnp.nan)[:, None]
    values = {
        "accuracy": each(accuracy),
        "selection": share.sum(1) * some,
        "recall": each(recall, zero_division=nan),
        "false_positive": 1 - each(specificity, zero_division=nan),
        "precision": each(precision, zero_division=nan),
        "base": share.sum(2) * some,
    }
    whole = jnp.broadcast_to(total[:, None], actual.shape)
    bases = {
        "accuracy": total,
        "selection": whole,
        "recall": actual,
        "false_positive": whole - actual,
        "precision": given,
        "base": whole,
    }
    return values, bases


def _with_interval(value: Array, base: Array, rows_of_unit: np.ndarray) -> Rate:
    rate = np.asarray(value, np.float64)
    scale = rows_of_unit.reshape(-1, *[1] * (rate.ndim - 1))
    n = np.maximum(np.asarray(base, np.float64) * scale, 0)
    known = ~np.isnan(rate)
    hits = np.clip(np.where(known, rate, 0), 0, 1) * n
    low, high = (np.asarray(x, np.float64) for x in wilson_interval(hits, n))
    return Rate(rate, np.where(known, low, np.nan), np.where(known, high, np.nan))
