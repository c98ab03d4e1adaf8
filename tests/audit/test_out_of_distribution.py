"""Scores are their formulas, detection is scikit-learn's, and intervals hold the truth."""

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from xentjax.audit.out_of_distribution import (
    detect,
    energy_score,
    margin_score,
    max_logit_score,
    max_softmax_score,
    shuffled_features,
    uniform_features,
)


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(scale=4.0, size=(50, 6))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 10.0])
def test_the_energy_is_scipys(logits, temperature):
    wanted = temperature * logsumexp(logits / temperature, axis=1)
    np.testing.assert_allclose(energy_score(logits, temperature=temperature), wanted, rtol=1e-12)


def test_the_other_scores_are_their_formulas(logits):
    wanted = logits.max(axis=1) - logsumexp(logits, axis=1)
    np.testing.assert_allclose(max_softmax_score(logits), wanted, atol=1e-12)
    ordered = np.sort(logits, axis=1)
    np.testing.assert_array_equal(max_logit_score(logits), ordered[:, -1])
    np.testing.assert_array_equal(margin_score(logits), ordered[:, -1] - ordered[:, -2])


def test_confidence_keeps_its_order_where_probabilities_round_to_one():
    found = max_softmax_score(np.array([[40.0, 0.0], [50.0, 0.0], [60.0, 0.0]]))
    np.testing.assert_allclose(found, -np.exp([-40.0, -50.0, -60.0]), rtol=1e-12)


def test_energy_at_the_largest_logits_stays_finite():
    np.testing.assert_allclose(energy_score(np.array([[1e30, 0.0]])), 1e30)


def test_the_area_and_the_false_alarms_are_scikit_learns():
    rng = np.random.default_rng(1)
    inside, outside = rng.normal(1, 1, 200).round(1), rng.normal(0, 1, 150).round(1)
    found = detect(inside, outside)
    truth, scores = np.r_[np.ones(200), np.zeros(150)], np.r_[inside, outside]
    np.testing.assert_allclose(found.auroc.value, roc_auc_score(truth, scores), atol=1e-6)
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    np.testing.assert_allclose(found.false_alarm.value, fpr[np.argmax(tpr >= 0.95)])
    assert found.kept.value >= 0.95


def test_the_threshold_is_that_of_the_calibration_rows():
    found = detect(np.zeros(3), np.ones(2), calibration=np.arange(1.0, 101.0))
    assert found.threshold == 6
    assert found.kept.value == 0


@pytest.mark.parametrize("distance", [0.0, 1.0, 2.5])
def test_intervals_of_the_area_hold_the_truth(distance):
    rng = np.random.default_rng(2)
    truth = norm.cdf(distance / np.sqrt(2))
    found = [detect(rng.normal(distance, 1, 60), rng.normal(0, 1, 40)).auroc for _ in range(100)]
    inside = sum(f.low <= truth <= f.high for f in found)
    # At 95 %, fewer than 88 of 100 come in 0.2 % of cases.
    assert inside >= 88
    assert all(f.low < f.value < f.high for f in found if f.value < 1)


def test_perfect_detection_is_not_certain():
    found = detect(np.arange(5.0) + 10, np.arange(5.0)).auroc
    assert found.value == 1
    assert found.high == 1
    assert 0.4 < found.low < 0.9


def test_inverted_scores_are_worse_than_guessing():
    found = detect(np.arange(50.0), np.arange(50.0) + 100).auroc
    assert (found.value, found.low) == (0, 0)
    assert found.high < 0.2


def test_shuffled_rows_keep_their_values_and_their_shape():
    features = np.random.default_rng(3).normal(size=(6, 4, 4, 1)).astype(np.float32)
    found = shuffled_features(features, seed=1)
    assert found.shape == features.shape
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        np.sort(found.reshape(6, -1), axis=1), np.sort(features.reshape(6, -1), axis=1)
    )
    assert np.mean(found == features) < 0.3


def test_noise_stays_within_the_data():
    features = np.random.default_rng(4).normal(size=(200, 3)).astype(np.float32)
    found = uniform_features(features)
    assert found.dtype == np.float32
    assert np.all((found >= features.min(axis=0)[None]) & (found <= features.max(axis=0)[None]))
    whole = uniform_features(np.array([[0], [2]] * 50))
    assert set(whole.ravel()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        (np.array([np.nan]), np.array([0.0]), "inside must be finite"),
        (np.array([0.0]), np.zeros(0), "outside must be"),
        (np.zeros((2, 2)), np.zeros(2), "inside must be"),
    ],
)
def test_bad_scores_are_named(inside, outside, message):
    with pytest.raises(ValueError, match=message):
        detect(inside, outside)


def test_bad_temperatures_are_named(logits):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        energy_score(logits, temperature=0.0)
