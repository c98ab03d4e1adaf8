"""Scores of members and others: scikit-learn's ROC, brute-force variances, plants and nulls."""

import math

import numpy as np
import pytest
from scipy.special import ndtri

from xentjax.audit.membership import loss_threshold_attack, membership_attack

metrics = pytest.importorskip("sklearn.metrics", reason="the oracle of ROC curves")


def draw(seed, members=300, others=400, shift=0.7, decimals=2):
    """Scores with ties."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(shift, 1.3, members), rng.normal(size=others)])
    return scores.round(decimals), np.arange(members + others) < members


@pytest.mark.parametrize("decimals", [0, 2, 9])
def test_the_curve_and_its_area_are_those_of_scikit_learn(decimals):
    scores, members = draw(0, decimals=decimals)
    found = membership_attack(scores, members, false_positive_rates=(0.01, 0.05, 0.5))
    fpr, tpr, _ = metrics.roc_curve(members, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_positive_rates, fpr, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.true_positive_rates, tpr, rtol=0, atol=1e-12)
    assert found.auc == pytest.approx(metrics.roc_auc_score(members, scores), abs=1e-12)
    assert found.advantage == pytest.approx(np.max(tpr - fpr), abs=1e-12)
    for point in found.points:
        assert point.true_positive_rate == pytest.approx(
            tpr[fpr <= point.wanted + 1e-12].max(), abs=1e-12
        )
        assert point.false_positive_rate <= point.wanted + 1e-12


def test_the_interval_of_the_area_is_delongs_on_the_logit_scale():
    scores, members = draw(1, 40, 60)
    kernel = np.sign(scores[members][:, np.newaxis] - scores[~members]) / 2 + 0.5
    auc = kernel.mean()
    # DeLong, DeLong, Clarke-Pearson 1988, equations 5 and 6, pair by pair.
    variance = kernel.mean(axis=1).var(ddof=1) / 40 + kernel.mean(axis=0).var(ddof=1) / 60
    half = ndtri(0.975) * math.sqrt(variance) / (auc * (1 - auc))
    ends = [1 / (1 + math.exp(-(math.log(auc / (1 - auc)) + sign * half))) for sign in (-1, 1)]
    found = membership_attack(scores, members)
    np.testing.assert_allclose([found.auc_low, found.auc_high], ends, rtol=1e-9)


def test_rows_of_several_models_are_one_draw_each():
    """Copies of a model tell nothing new: neither interval may shrink."""
    scores, members = draw(2)
    once = membership_attack(scores, members)
    copies = membership_attack(np.tile(scores, (5, 1)), np.tile(members, (5, 1)))
    np.testing.assert_allclose(
        [copies.auc, copies.auc_low, copies.auc_high], [once.auc, once.auc_low, once.auc_high]
    )
    assert copies.advantage_at_chance == pytest.approx(once.advantage_at_chance)
    for one, many in zip(once.points, copies.points, strict=True):
        assert (many.low, many.high) == pytest.approx((one.low, one.high), rel=0.01)


def test_the_interval_over_rows_is_that_of_resampled_rows():
    rng = np.random.default_rng(3)
    members = rng.random((6, 150)) < 0.5
    # Rows of their own level: the scores of a row go together.
    scores = rng.normal(size=150) + 0.6 * rng.normal(size=(6, 150)) + 0.5 * members
    found = membership_attack(scores, members, false_positive_rates=(0.1,))
    resampled = []
    for _ in range(400):
        rows = rng.integers(0, 150, 150)
        resampled.append(metrics.roc_auc_score(members[:, rows].ravel(), scores[:, rows].ravel()))
    width = np.quantile(resampled, 0.975) - np.quantile(resampled, 0.025)
    # A quantile of 400 wavers by about 5 % of the width at each end.
    assert found.auc_high - found.auc_low == pytest.approx(width, rel=0.2)


def test_chance_is_within_the_interval_as_often_as_promised():
    covered, above = 0, 0
    for seed in range(400):
        scores, members = draw(seed, 60, 80, shift=0.0)
        scores[members] /= 1.3  # equal distributions
        found = membership_attack(scores, members)
        covered += found.auc_low <= 0.5 <= found.auc_high
        above += found.advantage > found.advantage_at_chance
    # Of Binomial(400, 0.95) 99.9 % lie within 380 ± 3.3 · 4.4; Kolmogorov's bound is an asymptotic
    # one and errs on the safe side for ties and few rows.
    assert 365 <= covered <= 395
    assert above <= 20 + 3.3 * 4.4


def test_rates_that_so_few_rows_cannot_show_are_said_to_be():
    scores, members = draw(4, 50, 50)
    low, high = membership_attack(scores, members, false_positive_rates=(0.01, 0.02)).points
    assert not low.resolved
    assert high.resolved
    assert low.false_positive_rate == 0
    assert low.true_positive_rate == np.mean(scores[members] > scores[~members].max())
    # Wilson's upper end of 0 of n is z² / (n + z²).
    assert low.false_positive_high == pytest.approx(3.8415 / 53.8415, rel=1e-4)


@pytest.mark.parametrize(("shift", "ends"), [(9, (2 / 5.8415, 1)), (-9, (0, 3.8415 / 5.8415))])
def test_perfect_scores_of_few_rows_keep_an_interval(shift, ends):
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.0, 0.1])
    members = np.arange(7) < 5
    found = membership_attack(scores + shift * members, members)
    assert found.auc == (shift > 0)
    # Two disjoint pairs, both right or both wrong: Wilson's n / (n + z²) to 1, or 0 to the rest.
    np.testing.assert_allclose([found.auc_low, found.auc_high], ends, atol=1e-4)


def test_constant_scores_are_chance():
    found = membership_attack(np.zeros(40), np.arange(40) < 20)
    assert found.auc == 0.5
    assert found.auc_low < 0.3
    assert found.auc_high > 0.7
    assert found.advantage == 0


def test_low_losses_are_members():
    found = loss_threshold_attack(np.array([0.0, 0.1]), np.array([1.0, np.inf]))
    assert found.auc == 1.0
    assert found.member_scores.tolist() == [0.0, -0.1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: membership_attack(np.zeros(3), np.ones(3, bool)), "3 members among 3"),
        (
            lambda: membership_attack(np.zeros(3), np.ones(2, bool)),
            r"members must be \[N\] of shape \(3,\)",
        ),
        (lambda: membership_attack([0, np.nan], [True, False]), "got nan at position 1"),
        (
            lambda: membership_attack(
                np.zeros(2), np.array([True, False]), false_positive_rates=(0.0,)
            ),
            "must lie in",
        ),
        (
            lambda: loss_threshold_attack(np.zeros(0), np.zeros(3)),
            r"member_losses must be \[rows\]",
        ),
        (lambda: loss_threshold_attack(np.zeros(2), np.array([0, np.nan])), "nonmember_losses"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_members_that_are_no_booleans_are_refused_for_they_would_be_indices():
    with pytest.raises(TypeError, match="members must be boolean, got int64"):
        membership_attack(np.array([3.0, 1.0, 2.0, 0.0]), np.array([1, 1, 0, 0]))


def test_where_none_may_be_accused_infinite_scores_are_not_accused_either():
    scores = np.array([np.inf, 1.0, np.inf, 0.0])
    point = membership_attack(scores, np.arange(4) < 2).points[0]
    assert point.true_positive_rate == point.false_positive_rate == point.low == 0
    # Wilson for none of two: z² / (2 + z²).
    assert point.high == pytest.approx(3.8415 / 5.8415, abs=1e-4)
