"""Risk-coverage curves are those of brute force, and thresholds keep what they promise."""

import itertools

import numpy as np
import pytest
from scipy import stats

from xentjax.audit.selective import choose_threshold, risk_coverage, select


def brute_force(confidence, correct):
    """Mean, over all orders in which confidence does not rise, of the risks."""
    n = len(correct)
    orders = [
        order
        for order in itertools.permutations(range(n))
        if all(confidence[a] >= confidence[b] for a, b in itertools.pairwise(order))
    ]
    wrong = ~np.asarray(correct)
    return np.mean([wrong[list(o)].cumsum() / np.arange(1, n + 1) for o in orders], axis=0)


@pytest.mark.parametrize(
    "confidence",
    [[6, 5, 4, 3, 2, 1], [1, 2, 2, 3, 3, 3], [1, 1, 1, 1, 1, 1]],
    ids=["distinct", "ties", "all equal"],
)
def test_the_risks_are_those_of_brute_force(confidence):
    rng = np.random.default_rng(0)
    for _ in range(4):
        correct = rng.random(6) < 0.6
        found = risk_coverage(np.array(confidence), correct, resamples=50)
        wanted = brute_force(confidence, correct)
        np.testing.assert_allclose(found.risk, wanted, atol=1e-12)
        np.testing.assert_allclose(found.area.value, wanted.mean(), atol=1e-12)
        best = brute_force(correct.astype(int), correct)
        np.testing.assert_allclose(found.best_risk, best, atol=1e-12)


def test_a_perfect_order_has_no_excess_and_an_inverted_one_the_most():
    correct = np.arange(50) >= 10
    best = risk_coverage(np.arange(50.0), correct, resamples=100)
    worst = risk_coverage(-np.arange(50.0), correct, resamples=100)
    assert best.excess_area.value == 0
    assert best.excess_area.high < 1e-6
    assert worst.excess_area.low > 0.2


def test_the_last_risk_is_the_error_rate_and_does_not_depend_on_the_scale():
    rng = np.random.default_rng(1)
    confidence, correct = rng.normal(size=80), rng.random(80) < 0.8
    found = risk_coverage(confidence, correct, resamples=50)
    other = risk_coverage(np.exp(confidence), correct, resamples=50)
    np.testing.assert_allclose(found.risk[-1], 1 - correct.mean())
    np.testing.assert_array_equal(found.risk, other.risk)
    assert found.area == other.area


def test_without_information_the_area_is_the_error_rate():
    rng = np.random.default_rng(2)
    inside = 0
    for seed in range(20):
        confidence, correct = rng.normal(size=100), rng.random(100) < 0.7
        found = risk_coverage(confidence, correct, resamples=100, seed=seed)
        inside += found.area.low <= 0.3 <= found.area.high
    # Percentile intervals of 100 rows hold the truth somewhat less than 95 % of the time; at 90 %,
    # fewer than 14 of 20 come in 0.2 % of cases.
    assert inside >= 14


def rows(rng, n):
    """A model that is right with the probability it claims."""
    confidence = 1 - rng.uniform(0, 1, n) ** 3 / 2
    return confidence, rng.random(n) < confidence


def test_thresholds_break_their_promise_no_more_often_than_they_may():
    rng = np.random.default_rng(3)
    broken = found = 0
    for _ in range(400):
        threshold = choose_threshold(*rows(rng, 300), accuracy=0.9, mistrust=0.1)
        found += threshold.proven
        # Confidences 1 − u³/2 above t are those with u³ < 2 (1 − t), and right in 1 − u³/8 of all.
        broken += threshold.proven and 1 - (1 - threshold.confidence) / 4 < 0.9
    # Bin(400, 0.1) exceeds 59 in 0.1 % of cases.
    assert broken <= 59
    # It is no empty promise either: 93 % of the rows could be decided.
    assert found >= 390


def test_too_few_rows_prove_nothing_and_say_how_many_would():
    confidence, correct = np.linspace(0, 1, 100), np.ones(100, bool)
    found = choose_threshold(confidence, correct, accuracy=0.99)
    assert not found.proven
    assert found.rows_needed == 299
    assert stats.binom.cdf(0, 299, 0.01) <= 0.05 < stats.binom.cdf(0, 298, 0.01)
    kept = select(found, confidence, correct)
    assert kept.decided == 0
    assert np.isnan(kept.accuracy.value)
    assert (kept.accuracy.low, kept.accuracy.high) == (0, 1)


def test_all_right_decides_everything():
    found = choose_threshold(np.linspace(0, 1, 100), np.ones(100, bool), accuracy=0.95)
    assert found.confidence == 0
    assert select(found, np.linspace(0, 1, 50), np.ones(50, bool)).decided == 50


def test_mistakes_among_the_most_confident_are_never_passed_over():
    confidence, correct = np.linspace(1, 0, 200), np.arange(200) >= 30
    assert not choose_threshold(confidence, correct, accuracy=0.8).proven


@pytest.mark.parametrize(
    ("confidence", "correct", "error", "message"),
    [
        (np.array([np.nan]), np.array([True]), ValueError, "confidence must be finite"),
        (np.array([1.0]), np.array([1]), TypeError, "correct must be boolean"),
        (np.array([1.0, 2.0]), np.array([True]), ValueError, "must be"),
        (np.zeros(0), np.zeros(0, bool), ValueError, "at least one number"),
    ],
)
def test_bad_input_is_named(confidence, correct, error, message):
    with pytest.raises(error, match=message):
        risk_coverage(confidence, correct)
    with pytest.raises(error, match=message):
        choose_threshold(confidence, correct, accuracy=0.9)


def test_an_accuracy_of_one_cannot_be_proven():
    with pytest.raises(ValueError, match="accuracy must lie in"):
        choose_threshold(np.ones(3), np.ones(3, bool), accuracy=1.0)
