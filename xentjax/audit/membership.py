"""Membership inference: can it be told which rows a model was trained on?

An attack gives every row a score, higher where it takes the row for a member. This file says how
good such scores are; `loss_threshold_attack` makes the simplest of them, `likelihood_ratio` the
strongest known.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from xentjax.audit.auc import auc_estimate
from xentjax.audit.given import Given, array_of, finite_of, flags_of
from xentjax.metrics.intervals import wilson_interval

# The 95 % quantile of Kolmogorov's distribution: sup|F − G| of two equal ones exceeds
# 1.358 √((m + n) / (m n)) in one of twenty.
_KOLMOGOROV_95 = 1.3581


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """How many members are found where few others may be accused.

    Attributes:
        wanted: the highest false positive rate allowed.
        false_positive_rate: the one reached, at most `wanted`: rates come in steps of 1 / n.
        false_positive_high: upper end of its 95 % Wilson interval.
        true_positive_rate: share of the members found there.
        low: lower end of its 95 % Wilson interval, for this threshold.
        high: upper end.
        resolved: False where n · wanted < 1: then not one false positive is allowed, and a rate so
            low cannot be measured with so few non-members.
    """

    wanted: float
    false_positive_rate: float
    false_positive_high: float
    true_positive_rate: float
    low: float
    high: float
    resolved: bool


@dataclasses.dataclass(frozen=True)
class MembershipAttack:
    """How well scores tell members from others.

    Attributes:
        auc: how often a member scores above a non-member, ties half; chance is ½.
        auc_low: lower end of its 95 % interval.
        auc_high: upper end.
        advantage: the largest TPR − FPR of any threshold, of which half is the gain in accuracy
            over a coin on as many members as others.
        advantage_at_chance: what the advantage of scores that mean nothing exceeds in one of
            twenty such samples. It is a maximum, so chance is not 0.
        points: the operating points, one for each rate asked for.
        false_positive_rates: of the ROC curve, from (0, 0) to (1, 1), one point a distinct score.
        true_positive_rates: as many.
        member_scores: the scores of the members.
        nonmember_scores: of the others.
    """

    auc: float
    auc_low: float
    auc_high: float
    advantage: float
    advantage_at_chance: float
    points: tuple[OperatingPoint, ...]
    false_positive_rates: np.ndarray = dataclasses.field(repr=False)
    true_positive_rates: np.ndarray = dataclasses.field(repr=False)
    member_scores: np.ndarray = dataclasses.field(repr=False)
    nonmember_scores: np.ndarray = dataclasses.field(repr=False)


def membership_attack(
    scores: Given,
    members: Given,
    *,
    false_positive_rates: Sequence[float] = (0.001, 0.01),
) -> MembershipAttack:
    r"""How well scores tell members from non-members: ROC, AUC, and TPR at low FPR.

        AUC = Σ_{i member} Σ_{j not} (1[sᵢ > sⱼ] + ½·1[sᵢ = sⱼ]) / (m n)

    The TPR at FPR ≤ x is the largest that any threshold reaches: a step, nothing is interpolated.
    Look at it before the AUC: an attack that is sure of a few members harms these few, whatever
    it scores on average. The interval of the AUC is DeLong's, on the logit scale; where the same
    rows are scored for several models, each row is one draw (Obuchowski's form), and the Wilson
    intervals of the rates count as many rows as are independent. Where the variance is 0, as with
    perfect scores, min(m, n) disjoint pairs give a Wilson interval.

    Args:
        scores: [N], or [models, N] for the same rows under several models; higher means member.
        members: bool, of the same shape.
        false_positive_rates: those at which to report the true positive rate, in (0, 1).

    Returns:
        A `MembershipAttack`.

    Raises:
        TypeError: if members are not boolean.
        ValueError: if shapes differ, a score is NaN, members or non-members are missing, or a
            rate is outside (0, 1).

    Example:
        >>> found = membership_attack(np.array([3.0, 1.0, 2.0, 0.0]), np.array([1, 1, 0, 0], bool))
        >>> found.auc  # of 4 pairs the member 1.0 loses to 2.0
        0.75
        >>> found.points[1].true_positive_rate, found.points[1].resolved  # one of two at 0 of 2
        (0.5, False)

    Reference:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the Areas under Two or More
        Correlated Receiver Operating Characteristic Curves, 1988. N. A. Obuchowski, Nonparametric
        Analysis of Clustered ROC Curve Data, 1997. N. Carlini et al., Membership Inference Attacks
        From First Principles, 2022.
    """
    scores, members = _checked(scores, members, false_positive_rates)
    # Which row each of the flattened scores is of.
    rows = np.broadcast_to(np.arange(scores.shape[-1]), scores.shape)
    inside, outside = scores[members], scores[~members]
    area = auc_estimate(inside, outside, inside_rows=rows[members], outside_rows=rows[~members])
    fpr, tpr, thresholds = _roc(inside, outside)
    points = tuple(
        _point(wanted, fpr, tpr, thresholds, (inside, rows[members]), (outside, rows[~members]))
        for wanted in false_positive_rates
    )
    independent = [np.unique(rows[mask]).size for mask in (members, ~members)]
    chance = _KOLMOGOROV_95 * math.sqrt(sum(1 / count for count in independent))
    return MembershipAttack(
        auc=area.value,
        auc_low=area.low,
        auc_high=area.high,
        advantage=float(np.max(tpr - fpr)),
        advantage_at_chance=min(1.0, chance),
        points=points,
        false_positive_rates=fpr,
        true_positive_rates=tpr,
        member_scores=inside,
        nonmember_scores=outside,
    )


def loss_threshold_attack(
    member_losses: Given,
    nonmember_losses: Given,
    *,
    false_positive_rates: Sequence[float] = (0.001, 0.01),
) -> MembershipAttack:
    """Takes rows of low loss for members: the attack that needs nothing but the losses.

    score = −loss. It measures what overfitting gives away on average, and bounds nothing: rows
    that are hard for every model hide a member's lowered loss. Prefer `leave_one_out_scores` of
    `likelihood_ratio` where shadow models can be trained.

    Args:
        member_losses: [m], nats, of rows the model was trained on.
        nonmember_losses: [n], of rows drawn alike that it has not seen; else the attack finds the
            difference of the rows.
        false_positive_rates: those at which to report the true positive rate.

    Returns:
        A `MembershipAttack`.

    Raises:
        ValueError: if an argument is not one-dimensional, is empty or holds a NaN.

    Example:
        >>> found = loss_threshold_attack(np.array([0.1, 0.2]), np.array([0.15, 0.9, 0.9]))
        >>> round(found.auc, 4)  # 0.1 is below all three, 0.2 below two: 5 / 6
        0.8333

    Reference:
        S. Yeom, I. Giacomelli, M. Fredrikson, S. Jha, Privacy Risk in Machine Learning:
        Analyzing the Connection to Overfitting, 2018.
    """
    inside = finite_of(member_losses, "member_losses", "rows", infinite=True)
    outside = finite_of(nonmember_losses, "nonmember_losses", "rows", infinite=True)
    scores = -np.concatenate([inside, outside])
    members = np.arange(scores.size) < inside.size
    return membership_attack(scores, members, false_positive_rates=false_positive_rates)


def _checked(scores, members, rates):
    axes = "models N" if np.ndim(array_of(scores, "scores")) == 2 else "N"
    scores = finite_of(scores, "scores", axes, infinite=True)
    members = flags_of(members, "members", axes, scores.shape)
    if not members.any() or members.all():
        raise ValueError(
            f"members: got {members.sum()} members among {members.size}, wanted some of both"
        )
    for rate in rates:
        if not 0 < rate < 1:
            raise ValueError(f"false_positive_rates must lie in (0, 1), got {rate}")
    return scores, members


def _roc(inside, outside):
    """FPR and TPR of "score ≥ threshold", from the highest threshold down, after (0, 0)."""
    thresholds = np.unique(np.concatenate([inside, outside]))[::-1]
    rates = [
        (scores.size - np.searchsorted(np.sort(scores), thresholds, "left")) / scores.size
        for scores in (outside, inside)
    ]
    fpr, tpr = (np.concatenate([[0.0], rate]) for rate in rates)
    # No score reaches NaN, while one of +inf would reach an infinite threshold.
    return fpr, tpr, np.concatenate([[np.nan], thresholds])


def _point(wanted, fpr, tpr, thresholds, members, others):
    # 0.07 · 100 false positives are 7, whatever the roundings.
    chosen = np.flatnonzero(fpr <= wanted * (1 + 1e-12))[-1]
    accused, found = (scores >= thresholds[chosen] for scores in (others[0], members[0]))
    low, high = _rate_interval(found, members[1])
    return OperatingPoint(
        wanted=wanted,
        false_positive_rate=float(fpr[chosen]),
        false_positive_high=_rate_interval(accused, others[1])[1],
        true_positive_rate=float(tpr[chosen]),
        low=low,
        high=high,
        resolved=bool(others[0].size * wanted * (1 + 1e-12) >= 1),
    )


def _rate_interval(hits, rows):
    """Wilson's interval of a share, with as many trials as the rows make independent ones."""
    share, count, drawn = hits.mean(), hits.size, np.unique(rows).size
    independent = float(drawn)
    if drawn == count or drawn < 2:
        pass
    elif 0 < share < 1:
        by_row = np.bincount(rows, hits - share)
        variance = drawn / (drawn - 1) * np.sum(by_row**2) / count**2
        # Never fewer than the rows: what one row says twice is at most the same.
        independent = float(np.clip(share * (1 - share) / max(variance, 1e-300), drawn, count))
    ends = wilson_interval(share * independent, independent)
    return float(ends.low), float(ends.high)
