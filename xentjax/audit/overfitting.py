"""Overfitting: what a model scores on rows it was trained on, and on rows it was not.

`generalization` measures loss, accuracy and their gaps with intervals; `split_size` says whether a
split is too small to tell and how many rows would do. What the intervals mean is read in
`fit_state`. Use it before the rest of an audit, which is of little use for a model that has learned
nothing, or has learned its training rows by heart.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.class_scores import read_class_scores
from xentjax.audit.estimate import Estimate, percentiles, share
from xentjax.audit.given import Given, array_of, finite_of, labels_of
from xentjax.metrics.intervals import bootstrap_interval


class Outcomes(NamedTuple):
    """What a model scored on each row of a split.

    Attributes:
        losses: nats, float [N]; of a text the mean of each block.
        hits: bool [N], or the share of hits of each block, float [N].
    """

    losses: np.ndarray
    hits: np.ndarray


class References(NamedTuple):
    """Losses of models that look at nothing, in nats.

    Attributes:
        uniform: log C, every class alike.
        prior: the entropy of the class frequencies, always answering with them.
    """

    uniform: float
    prior: float


@dataclasses.dataclass(frozen=True)
class SplitScores:
    """One split.

    Attributes:
        name: "train", "validation" or "test".
        rows: how many.
        loss: mean, nats.
        accuracy: share of hits.
    """

    name: str
    rows: int
    loss: Estimate
    accuracy: Estimate


@dataclasses.dataclass(frozen=True)
class Generalization:
    """Scores by split and the gaps between them.

    Attributes:
        splits: of train, validation and test, in this order.
        loss_gap: test − train, nats.
        accuracy_gap: train − test.
        references: the losses to compare with.
        counted: whether hits are yes or no, so that intervals of accuracies hold for few rows too.
    """

    splits: tuple[SplitScores, SplitScores, SplitScores]
    loss_gap: Estimate
    accuracy_gap: Estimate
    references: References
    counted: bool


class SplitSize(NamedTuple):
    """Whether a split has rows enough to tell a number from a bound.

    Attributes:
        half_width: of the interval.
        distance: from the number to the bound.
        enough: whether the distance is larger.
        rows_needed: about how many rows would make it so; None where no number would.
    """

    half_width: float
    distance: float
    enough: bool
    rows_needed: int | None


def outcomes(logits: Given, labels: Given) -> Outcomes:
    """Cross-entropy and hit of each row.

    Args:
        logits: real scores [N, C], finite.
        labels: class indices [N].

    Returns:
        `Outcomes`: nats in double precision, and whether the highest score was the label's.

    Raises:
        TypeError: labels are not integers.
        ValueError: there are no rows or a single class, shapes do not fit, a logit is not finite,
            or a label is outside [0, C).

    Example:
        >>> scored = outcomes(np.log([[0.5, 0.5], [0.2, 0.8]]), np.array([0, 0]))
        >>> scored.losses.round(4).tolist(), scored.hits.tolist()  # −log 0.5, −log 0.2
        ([0.6931, 1.6094], [True, False])
    """
    scores = read_class_scores(logits, labels)
    return Outcomes(scores.losses, scores.correct)


def reference_losses(labels: Given, *, classes: int) -> References:
    r"""What models that look at nothing would lose: log C, and the entropy −Σ p log p.

    Prefer the entropy as the mark to beat: with rare classes it lies far below log C.

    Args:
        labels: class indices of the training rows [N].
        classes: C.

    Returns:
        `References`, nats.

    Raises:
        TypeError: labels are not integers.
        ValueError: there are no labels, or one is outside [0, C).

    Example:
        >>> found = reference_losses(np.array([0, 0, 0, 1]), classes=4)
        >>> round(found.uniform, 4), round(found.prior, 4)  # log 4; ¾ log 4/3 + ¼ log 4
        (1.3863, 0.5623)
    """
    found = labels_of(labels, classes=classes)
    prior = np.bincount(found) / len(found)
    prior = prior[prior > 0]
    return References(math.log(classes), float(abs(prior @ np.log(prior))))


def generalization(
    train: Outcomes,
    validation: Outcomes,
    test: Outcomes,
    *,
    references: References,
    seed: int = 0,
    resamples: int = 2000,
) -> Generalization:
    r"""Loss and accuracy of three splits and the gaps between training and test, with intervals.

    Losses have percentile bootstrap intervals (NaN for a single row); for the gap each split is
    resampled on its own, since no row is in both. Hits that are yes or no have Wilson's interval,
    and their gap Newcombe's, which combines the two and stays honest where every row was right:
    with the rates p, q and their intervals [l, u], [l', u']

        p − q − √((p − l)² + (u' − q)²)  to  p − q + √((u − p)² + (q − l')²)

    Shares of hits (blocks of text) are bootstrapped like losses. The training loss is a biased
    mark by construction; nothing here corrects for validation having chosen the parameters.

    Args:
        train: outcomes of the training rows.
        validation: of those that chose the parameters.
        test: of those never seen.
        references: to compare with, from `reference_losses`.
        seed: of the resamples.
        resamples: how many.

    Returns:
        `Generalization`.

    Raises:
        ValueError: a split is empty, its arrays differ in length, or a loss is not finite.

    Example:
        >>> right, wrong = Outcomes(np.zeros(50), np.ones(50, bool)), Outcomes(
        ...     np.ones(50), np.zeros(50, bool))
        >>> found = generalization(right, wrong, wrong, references=References(1.0, 1.0))
        >>> found.loss_gap.value, round(found.accuracy_gap.low, 3)
        (1.0, 0.899)

    Reference:
        R. G. Newcombe, Interval Estimation for the Difference Between Independent Proportions,
        1998. B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993.
    """
    named = {"train": train, "validation": validation, "test": test}
    named = {name: _read(name, split) for name, split in named.items()}
    keys = jax.random.split(jax.random.key(seed), 3)
    scored, losses, hits = [], [], []
    for key, (name, split) in zip(keys, named.items(), strict=True):
        loss, hit = _resampled_means(key, split, resamples)
        losses.append(loss)
        hits.append(hit)
        whole = split.hits.dtype == bool
        accuracy = share(int(split.hits.sum()), split.hits.size) if whole else percentiles(*hit)
        scored.append(SplitScores(name, len(split.losses), percentiles(*loss), accuracy))
    counted = all(named[name].hits.dtype == bool for name in ("train", "test"))
    if counted:
        accuracy_gap = _difference(scored[0].accuracy, scored[2].accuracy)
    else:
        accuracy_gap = percentiles(*(a - b for a, b in zip(hits[0], hits[2], strict=True)))
    loss_gap = percentiles(*(a - b for a, b in zip(losses[2], losses[0], strict=True)))
    return Generalization(tuple(scored), loss_gap, accuracy_gap, references, counted)


def split_size(found: Estimate, rows: int, *, bound: float = 0.0) -> SplitSize:
    """Whether an interval is narrow enough to tell a number from a bound, else the rows needed.

    Half-widths shrink as 1/√n, so n · (half-width / distance)² rows are about enough, if the split
    that is counted is the smaller one and the number itself stays.

    Args:
        found: the number and its interval.
        rows: n, of the split that makes the interval wide.
        bound: to tell it from.

    Example:
        >>> split_size(Estimate(0.1, -0.1, 0.3), 50)  # half-width twice the distance: 4 times 50
        SplitSize(half_width=0.2, distance=0.1, enough=False, rows_needed=200)
    """
    side = found.high - found.value if found.value < bound else found.value - found.low
    distance = abs(found.value - bound)
    known = distance > 0 and math.isfinite(side)
    needed = math.ceil(rows * (side / distance) ** 2 - 1e-9) if known else None
    return SplitSize(side, distance, side < distance, needed)


def _read(name: str, split: Outcomes) -> Outcomes:
    losses = finite_of(split.losses, f"{name}.losses", "N")
    hits = array_of(split.hits, f"{name}.hits")
    if hits.dtype != bool:
        hits = finite_of(hits, f"{name}.hits", "N")
    if hits.shape != losses.shape:
        raise ValueError(f"{name}.hits must be [N], here {losses.shape}, got shape {hits.shape}")
    return Outcomes(losses, hits)


def _resampled_means(key: jax.Array, split: Outcomes, resamples: int) -> list:
    """Of losses and hits the mean, and the means of resamples [R], in float64."""
    values = np.stack([split.losses, split.hits], axis=1).astype(np.float64)
    # What is common to all rows is taken out first: float32 keeps its digits for the differences.
    centre = values.mean(axis=0)
    shifted = jnp.asarray(values - centre[None, :], jnp.float32)
    found = bootstrap_interval(key, _column_means, shifted, resamples=resamples)
    # Resamples of a single row are all alike, and say nothing of how well its mean is known.
    alone = np.nan if len(values) < 2 else 0.0
    resampled = np.asarray(found.resampled, np.float64) + alone
    return [(float(c), c + column) for c, column in zip(centre, resampled.T, strict=True)]


def _column_means(values: jax.Array) -> jax.Array:
    return values.mean(axis=0)


def _difference(p: Estimate, q: Estimate) -> Estimate:
    value = p.value - q.value
    below = math.hypot(p.value - p.low, q.high - q.value)
    return Estimate(value, value - below, value + math.hypot(p.high - p.value, q.value - q.low))
