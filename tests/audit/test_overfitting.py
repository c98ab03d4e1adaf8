"""Scores by split have honest intervals, and the state of a fit follows from them."""

import numpy as np
import pytest
from scipy import stats

from xentjax.audit.estimate import Estimate, bootstrap_mean, percentiles, student, student_quantile
from xentjax.audit.fit_state import fit_verdict, skill
from xentjax.audit.overfitting import (
    Outcomes,
    References,
    generalization,
    outcomes,
    reference_losses,
    split_size,
)

COIN = References(np.log(2), np.log(2))


def scored(loss, accuracy, n=400, *, seed=0, spread=0.05):
    rng = np.random.default_rng(seed)
    losses = np.abs(loss + spread * rng.normal(size=n))
    return Outcomes(losses, np.arange(n) < round(accuracy * n))


def found_of(train, test, references=COIN):
    return generalization(train, test, test, references=references, resamples=500)


def test_losses_are_those_of_sklearn_and_hits_those_of_argmax():
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 3, 50)
    found = outcomes(logits, labels)
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    assert found.losses.mean() == pytest.approx(log_loss(labels, p, labels=range(3)), rel=1e-6)
    np.testing.assert_array_equal(found.hits, logits.argmax(-1) == labels)


def test_the_prior_is_the_entropy_of_the_labels():
    labels = np.array([0] * 7 + [1] * 2 + [3])
    assert reference_losses(labels, classes=4).prior == pytest.approx(stats.entropy([7, 2, 1]))
    assert reference_losses(np.zeros(5, int), classes=4).prior == 0


def test_intervals_are_wilsons_and_the_normal_ones_of_means():
    rng = np.random.default_rng(0)
    a, b = (Outcomes(rng.exponential(m, 400), rng.random(400) < 0.8) for m in (1.0, 1.5))
    found = generalization(a, b, b, references=COIN, resamples=500)
    wilson = stats.binomtest(int(a.hits.sum()), 400).proportion_ci(method="wilson")
    assert found.splits[0].accuracy[1:] == pytest.approx((wilson.low, wilson.high), abs=2e-6)
    error = np.hypot(a.losses.std() / 20, b.losses.std() / 20)
    gap = found.loss_gap
    assert gap.value == pytest.approx(b.losses.mean() - a.losses.mean())
    # Each end of the bootstrap wavers by about 1/√500 of the width; three times that.
    assert (gap.high - gap.low) / 2 == pytest.approx(1.96 * error, rel=0.13)


def test_the_gap_of_accuracies_is_newcombes():
    # Newcombe 1998, table II, (a): 56/70 − 48/80, method 10: 0.0524 to 0.3339.
    test = Outcomes(np.ones(80), np.arange(80) < 48)
    gap = found_of(Outcomes(np.ones(70), np.arange(70) < 56), test).accuracy_gap
    assert gap == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def test_large_losses_that_differ_little_keep_their_digits():
    losses = 1e6 + np.random.default_rng(0).normal(size=400)
    found = found_of(Outcomes(losses, np.ones(400, bool)), Outcomes(losses, np.ones(400, bool)))
    assert found.splits[0].loss.value == pytest.approx(losses.mean(), rel=1e-12)
    # Half-width 1.96/√400 = 0.098, where float32 knows 1e6 to 0.06.
    assert found.splits[0].loss.high - losses.mean() == pytest.approx(0.098, rel=0.2)


@pytest.mark.parametrize(
    ("train", "test", "state"),
    [
        (scored(0.05, 1.0), scored(0.06, 0.995, seed=1), "fits"),
        (scored(0.0, 1.0), scored(0.9, 0.8), "overfit"),  # both gaps
        (scored(0.01, 1.0), scored(0.3, 0.99), "overfit"),  # by the loss alone: overconfident
        (scored(0.1, 1.0), scored(0.11, 0.85), "overfit"),  # by the accuracy alone
        (scored(0.6, 0.7), scored(0.61, 0.7), "underfit"),
        (scored(0.6, 0.8), scored(1.5, 0.5), "overfit"),  # and its reasons name both
        (scored(0.05, 1.0), scored(0.12, 0.98, n=40, spread=0.2), "unclear"),
        (scored(0.05, 1.0), scored(0.05, 1.0, n=5), "unclear"),
        (scored(0.01, 1.0), Outcomes(np.full(5, 3.0), np.zeros(5, bool)), "overfit"),  # all wrong
        (scored(0.01, 1.0, n=10), scored(2.0, 0.4), "overfit"),  # few rows learned by heart
    ],
)
def test_the_state_follows_from_the_intervals(train, test, state):
    verdict = fit_verdict(found_of(train, test))
    assert verdict.state == state
    assert verdict.reasons
    if train.losses[0] > 0.5 and state == "overfit":
        assert "share" in verdict.reasons[-1]


def test_skill_is_the_share_of_the_reference_that_is_gone():
    found = found_of(scored(0.25, 0.9, spread=0.0), scored(0.25, 0.9), References(2.0, 1.0))
    assert skill(found) == pytest.approx((0.75, 0.75, 0.75), abs=1e-6)
    with pytest.raises(ValueError, match="single class"):
        skill(found_of(scored(0, 1), scored(0, 1), References(0.0, 0.0)))


def test_as_many_rows_as_asked_for_are_enough():
    rng = np.random.default_rng(0)
    for n in (50, 400):
        losses = rng.exponential(0.2, n) + 0.1
        half = 1.96 * 0.2 / n**0.5
        size = split_size(Estimate(losses.mean(), losses.mean() - half, losses.mean() + half), n)
        again = 1.96 * 0.2 / size.rows_needed**0.5
        assert again <= size.distance * (1 + 1e-9)
        assert size.enough == (half < size.distance)
    assert split_size(Estimate(0.1, 0.0, 0.2), 9, bound=0.1).rows_needed is None


def test_students_interval_is_scipys():
    for freedom in (1, 2, 9, 10, 11, 15, 40, 1000):
        assert student_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=4e-4)
    with pytest.raises(ValueError, match="freedom must be at least 1"):
        student_quantile(0)
    values = np.array([1.0, 4.0, 2.0])
    wanted = stats.t.interval(0.95, 2, loc=values.mean(), scale=stats.sem(values))
    assert student(values)[1:] == pytest.approx(wanted, rel=1e-4)


def test_a_single_row_says_nothing_of_its_own_chance():
    one = Outcomes(np.ones(1), np.ones(1, bool))
    found = generalization(one, one, one, references=COIN, resamples=10)
    assert found.splits[0].loss.value == 1
    assert np.isnan([*found.splits[0].loss[1:], *found.loss_gap[1:]]).all()
    assert found.splits[0].accuracy.low < 0.3  # Wilson: 1 / (1 + 3.84)
    assert fit_verdict(found).state == "unclear"
    assert np.isnan(bootstrap_mean(np.ones(1), seed=0).low)
    assert split_size(found.loss_gap, 1, bound=1.0).rows_needed is None


def test_losses_keep_the_digits_of_double_precision():
    # Beside 1e8 float32 counts in steps of 8, and would see a tie.
    found = outcomes(np.array([[1e8 + 1, 1e8]]), np.array([0]))
    assert found.losses[0] == pytest.approx(np.log1p(np.exp(-1)), rel=1e-12)


def test_percentiles_leave_out_nan():
    found = percentiles(0.5, np.array([np.nan, *np.linspace(0, 1, 101)]))
    assert found[1:] == pytest.approx((0.025, 0.975))
    assert np.isnan(percentiles(0.5, np.array([np.nan])).low)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (Outcomes(np.array([np.nan, 1.0]), np.ones(2, bool)), "test.losses must be finite"),
        (Outcomes(np.array([np.inf, 1.0]), np.ones(2, bool)), "test.losses must be finite"),
        (Outcomes(np.ones(0), np.ones(0, bool)), "test.losses must be"),
        (Outcomes(np.ones(2), np.ones(3, bool)), "test.hits must be"),
    ],
)
def test_what_has_no_mean_is_refused(test, message):
    with pytest.raises(ValueError, match=message):
        generalization(scored(0, 1), scored(0, 1), test, references=COIN)
    with pytest.raises(ValueError, match="logits must be"):
        outcomes(np.zeros((0, 2)), np.zeros(0, int))
