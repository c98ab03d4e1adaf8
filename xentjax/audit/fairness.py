"""Fairness: the gaps between groups, their intervals, and what chance alone would give.

Use `fairness_gaps` beside the rates of `groups`: the largest of several differences is above zero
for groups that do not differ at all.

A rate that is 0/0 (the recall of a group without positives) is NaN and is left out of a gap, where
fairlearn counts it as 0 and so reports a large gap for a group that was never put to the test.
"""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from xentjax.audit.estimate import Estimate
from xentjax.audit.given import Given
from xentjax.audit.groups import GroupRates, group_rates, rates_of, read_grouped
from xentjax.metrics.agreement import accuracy

# Numbers drawn at once: 16 MB of float32.
_AT_ONCE = 2**22
_LEVEL = 0.05


class Gap(NamedTuple):
    """One number about unequal treatment.

    Attributes:
        found: with its 95 % interval over rows.
        chance: what the worst 5 % of shuffles of the group names go beyond.
        p_value: how often shuffled names give as bad a number or a worse one.
    """

    found: Estimate
    chance: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class FairnessGaps:
    """How far apart the groups are.

    Attributes:
        accuracy_difference: best less worst accuracy.
        worst_accuracy: of the worst group; lower is worse.
        worst_accuracy_gap: overall accuracy less that of the worst group.
        demographic_parity_difference: highest less lowest selection rate.
        demographic_parity_ratio: lowest over highest selection rate; lower is worse.
        equal_opportunity_difference: highest less lowest true positive rate.
        false_positive_difference: highest less lowest false positive rate.
        equalized_odds_difference: the larger of the last two.
    """

    accuracy_difference: Gap
    worst_accuracy: Gap
    worst_accuracy_gap: Gap
    demographic_parity_difference: Gap
    demographic_parity_ratio: Gap
    equal_opportunity_difference: Gap
    false_positive_difference: Gap
    equalized_odds_difference: Gap


# Of the fields above: where less is worse, and which hold the true class fixed.
_LOWER_IS_WORSE = (False, True, False, False, True, False, False, False)
_GIVEN_CLASS = np.array([False, False, False, False, False, True, True, True])


def fairness_gaps(
    predictions: Given,
    labels: Given,
    groups: Given,
    *,
    classes: int,
    positive: int | None = None,
    weights: Given | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> FairnessGaps:
    r"""How far apart the groups are, with intervals, and what chance alone would give.

    Differences are max − min over the groups with a rate, the ratio is min / max. A maximum over
    groups is biased towards inequality, in the data and once more in resamples of them. So

    - `p_value` is from shuffles of the group names: among all rows for accuracies and selection
      rates, among the rows of one true class for the others, so that groups of another mix of
      classes are not taken for groups that are treated otherwise;
    - of the interval the end towards inequality, u, is a percentile over resamples of all rows
      (a group that is empty in a resample is left out of it), the other end is its reflection
      2 · gap − u, and reaches down to no inequality at all where p > 0.05.

    Demographic parity asks for equal shares whatever the truth: prefer it where the labels
    themselves are in doubt. Equalized odds asks for equal errors: prefer it where they are trusted.

    Args:
        predictions: class given to each row [N].
        labels: its true class [N].
        groups: its group [N], at least two.
        classes: C.
        positive: the favourable class, against all others; None takes every class in turn and
            averages the gaps (macro), without the classes for which a gap is NaN.
        weights: of rows, non-negative [N].
        resamples: how many resamples, and how many shuffles; at least 20.
        seed: of both.

    Returns:
        `FairnessGaps`; NaN where fewer than two groups have the rate.

    Raises:
        TypeError: predictions or labels are not integers.
        ValueError: as for `group_rates`, or there is only one group, or `positive` is no class.

    Example:
        >>> gaps = fairness_gaps(
        ...     np.array([1, 1, 1, 0] * 10), np.array([1, 1, 1, 1] * 10),
        ...     np.array(["a", "a", "b", "b"] * 10), classes=2, positive=1)
        >>> gaps.equal_opportunity_difference.found.value  # 20 of 20 found, 10 of 20
        0.5
        >>> gaps.equal_opportunity_difference.p_value < 0.01
        True

    Reference:
        M. Hardt, E. Price, N. Srebro, Equality of Opportunity in Supervised Learning, 2016.
        P. Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005.
    """
    if positive is not None and not 0 <= positive < classes:
        raise ValueError(f"positive must be a class in [0, {classes}) or None, got {positive}")
    if resamples < 20:
        raise ValueError(f"resamples must be at least 20 for a 5 % quantile, got {resamples}")
    rates = group_rates(predictions, labels, groups, classes=classes, weights=weights)
    if len(rates.groups) < 2:
        raise ValueError(f"groups must be at least two to compare, got {rates.groups}")
    read = read_grouped(predictions, labels, groups, classes=classes, weights=weights)
    rows = _Rows(
        jnp.asarray(read.group, jnp.int32),
        jnp.asarray(read.label, jnp.int32),
        jnp.asarray(read.prediction, jnp.int32),
        jnp.asarray(read.weight, jnp.float32),
    )
    sizes = {"groups": len(rates.groups), "classes": classes, "positive": positive}
    values, resampled, shuffled = (
        np.asarray(x, np.float64)
        for x in _drawn(jax.random.key(seed), rows, resamples=resamples, **sizes)
    )
    equal = np.array([0, _overall(rates), 0, 0, 1, 0, 0, 0], float)
    return FairnessGaps(
        *(
            _gap(value, again, null, lower, neutral)
            for value, again, null, lower, neutral in zip(
                values, resampled.T, shuffled.T, _LOWER_IS_WORSE, equal, strict=True
            )
        )
    )


class _Rows(NamedTuple):
    """Group, true class, given class and weight of each row."""

    group: Array
    label: Array
    prediction: Array
    weight: Array


def _gaps(rows: _Rows, *, groups: int, classes: int, positive: int | None) -> Float[Array, "8"]:
    """The numbers of `FairnessGaps`, in its order."""
    cells = (rows.group * classes + rows.label) * classes + rows.prediction
    counts = jax.ops.segment_sum(rows.weight, cells, groups * classes**2)
    confusions = counts.reshape(groups, classes, classes)
    rates, _ = rates_of(confusions)
    wanted = slice(None) if positive is None else slice(positive, positive + 1)
    overall, worst = accuracy(confusions.sum(0)), jnp.nanmin(rates["accuracy"])
    parity, opportunity, alarms = (
        _spread(rates[name][:, wanted]) for name in ("selection", "recall", "false_positive")
    )
    odds = jnp.maximum(opportunity, alarms)
    macro = [
        jnp.nanmean(x)
        for x in (parity, _ratio(rates["selection"][:, wanted]), opportunity, alarms, odds)
    ]
    spread = _spread(rates["accuracy"][:, None])[0]
    return jnp.stack([spread, worst, overall - worst, *macro])


def _spread(rates: Float[Array, "G K"]) -> Float[Array, " K"]:
    several = jnp.sum(~jnp.isnan(rates), axis=0) > 1
    return jnp.where(several, jnp.nanmax(rates, axis=0) - jnp.nanmin(rates, axis=0), jnp.nan)


def _ratio(rates: Float[Array, "G K"]) -> Float[Array, " K"]:
    several = jnp.sum(~jnp.isnan(rates), axis=0) > 1
    most = jnp.nanmax(rates, axis=0)
    ratio = jnp.nanmin(rates, axis=0) / jnp.where(most > 0, most, 1)
    return jnp.where(several & (most > 0), ratio, jnp.nan)


@partial(jax.jit, static_argnames=("resamples", "groups", "classes", "positive"))
def _drawn(key, rows, *, resamples, groups, classes, positive):
    """The gaps [8], of resamples of the rows [R, 8], of shuffles of the groups [R, 8]."""
    n = len(rows.label)
    gaps = partial(_gaps, groups=groups, classes=classes, positive=positive)

    def resample(key):
        picked = jax.random.randint(key, (n,), 0, n)
        return gaps(jax.tree.map(lambda x: x[picked], rows))

    def shuffle(key):
        everywhere, within = (
            gaps(rows._replace(group=_shuffled(key, rows.group, strata)))
            for strata in (jnp.zeros_like(rows.label), rows.label)
        )
        return jnp.where(_GIVEN_CLASS, within, everywhere)

    at_once = max(1, min(resamples, _AT_ONCE // (4 * n + groups * classes**2)))
    keys = jax.random.split(key, (2, resamples))
    again, null = (
        jax.lax.map(draw, each, batch_size=at_once)
        for draw, each in zip((resample, shuffle), keys, strict=True)
    )
    return gaps(rows), again, null


def _shuffled(key: Array, group: Array, strata: Array) -> Array:
    """The groups, shuffled among the rows of each stratum."""
    random = jax.random.permutation(key, len(group))
    source, target = jnp.lexsort((random, strata)), jnp.argsort(strata)
    return jnp.zeros_like(group).at[target].set(group[source])


def _gap(value: float, resampled: np.ndarray, null: np.ndarray, lower: bool, equal: float) -> Gap:
    """A number with its interval and its test; `equal` is what no inequality would be."""
    null = null[~np.isnan(null)]
    if np.isnan(value) or not null.size:
        nan = float("nan")
        return Gap(Estimate(float(value), nan, nan), nan, nan)
    # What follows is written for differences; where less is worse all is mirrored.
    sign = -1.0 if lower else 1.0
    number, equal, null = sign * float(value), sign * equal, sign * null
    # Shuffles that give the same counts differ by float32 roundings, and count as equal.
    p_value = float((1 + np.sum(null >= number - 1e-6)) / (1 + len(null)))
    worse = max(float(np.nanquantile(sign * resampled, 0.975)), number)
    better = max(2 * number - worse, equal)
    if p_value > _LEVEL:
        better = min(better, equal)
    ends = sorted((sign * min(better, number), sign * worse))
    return Gap(Estimate(float(value), *ends), sign * float(np.quantile(null, 0.95)), p_value)


def _overall(rates: GroupRates) -> float:
    matrix = rates.confusions.sum(axis=0)
    return float(np.trace(matrix) / matrix.sum())
