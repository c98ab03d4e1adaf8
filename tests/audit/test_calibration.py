"""Calibration is measured as the formulas say, finds planted overconfidence and nothing in none."""

import numpy as np
import pytest

from xentjax.audit.bins import equal_mass_cells
from xentjax.audit.brier import brier_decomposition
from xentjax.audit.calibration import measure_calibration
from xentjax.metrics import (
    BrierScore,
    debiased_calibration_error,
    equal_mass_reliability,
    expected_calibration_error,
)


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def draw(rng, n=600, classes=4, sharpness=1.0):
    """Logits whose labels are drawn from their own softmax, then made sharper."""
    logits = rng.normal(scale=1.5, size=(n, classes))
    labels = (softmax(logits).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return sharpness * logits, np.minimum(labels, classes - 1)


@pytest.fixture
def rows():
    return draw(np.random.default_rng(0), sharpness=2.0)


def test_the_errors_are_those_of_the_metrics(rows):
    logits, labels = rows
    found = measure_calibration(logits, labels, bins=12)
    table = equal_mass_reliability(softmax(logits).astype(np.float32), labels, bins=12)
    # float32 sums of 600 rows: 600^½ · 6e-8 ≈ 1.5e-6
    np.testing.assert_allclose(found.error.value, debiased_calibration_error(table), atol=1e-5)
    np.testing.assert_allclose(found.expected_error, expected_calibration_error(table), atol=1e-5)


def test_ten_rows_that_are_all_right_do_not_prove_that_sureness_is_earned():
    found = measure_calibration(np.array([[90.0, 0.0]] * 10), np.zeros(10, int), resamples=20)
    assert found.error.value == 0
    # A model that is wrong in 1 − 10 / (10 + z²) of all rows is still in Wilson's interval.
    np.testing.assert_allclose(found.error.high, 3.8415 / 13.8415, atol=1e-4)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_brier_score_is_the_sum_of_its_parts(rows, bins):
    logits, labels = rows
    found = brier_decomposition(logits, labels, bins=bins)
    score = BrierScore()
    state = score.update(score.init(), softmax(logits).astype(np.float32), labels)
    np.testing.assert_allclose(found.score, score.compute(state), rtol=1e-5)
    total = found.reliability - found.resolution + found.uncertainty
    total += found.within_bin_spread - 2 * found.within_bin_covariance
    np.testing.assert_allclose(total, found.score, rtol=1e-12)


def test_one_probability_a_bin_leaves_murphys_three_terms():
    logits = np.repeat(np.log([[0.8, 0.2], [0.5, 0.5], [0.1, 0.9]]), 10, axis=0)
    labels = np.array([0] * 7 + [1] * 3 + [0] * 5 + [1] * 5 + [0] * 2 + [1] * 8)
    found = brier_decomposition(logits, labels, bins=3)
    assert abs(found.within_bin_spread) < 1e-15
    assert abs(found.within_bin_covariance) < 1e-15
    # Both classes alike: 2 · ⅓ (0.1² + 0² + 0.1²), and ȳ = 14/30.
    np.testing.assert_allclose(found.reliability, 2 * 0.02 / 3)
    np.testing.assert_allclose(found.uncertainty, 2 * 14 * 16 / 900)


def test_equal_values_share_a_bin_and_others_spread_evenly():
    np.testing.assert_array_equal(equal_mass_cells(np.array([3.0, 1, 1, 2]), 2), [1, 0, 0, 1])
    assert set(np.bincount(equal_mass_cells(np.arange(30.0), 6))) == {5}


def test_the_diagram_counts_every_row(rows):
    logits, labels = rows
    diagram = measure_calibration(logits, labels).diagram
    p, hits = softmax(logits).max(axis=1), softmax(logits).argmax(axis=1) == labels
    edges = np.linspace(0, 1, 11)
    for b in range(10):
        inside = (p > edges[b]) & (p <= edges[b + 1])
        assert diagram.count[b] == inside.sum()
        if inside.any():
            np.testing.assert_allclose(diagram.accuracy[b], hits[inside].mean())
            np.testing.assert_allclose(diagram.confidence[b], p[inside].mean(), rtol=1e-5)
            assert diagram.low[b] <= diagram.accuracy[b] <= diagram.high[b]


def test_planted_overconfidence_is_found(rows):
    found = measure_calibration(*rows)
    p = softmax(rows[0])
    wanted = p.max(axis=1).mean() - (p.argmax(axis=1) == rows[1]).mean()
    np.testing.assert_allclose(found.overconfidence.value, wanted)
    assert found.overconfidence.low > 0.02
    assert found.error.low > 0.02
    assert found.error.value > found.chance_error


def test_calibrated_models_are_mostly_let_off():
    rng = np.random.default_rng(1)
    found = [measure_calibration(*draw(rng, n=200), resamples=100, seed=i) for i in range(20)]
    # Each has a chance of at most 5 %: Bin(20, 0.05) exceeds 4 in 0.3 % of cases.
    assert sum(f.error.low > 0 for f in found) <= 4
    assert sum(not f.overconfidence.low <= 0 <= f.overconfidence.high for f in found) <= 4
    # The debiased error of no error is 0 in about half of the samples: 3 sd of Bin(20, ½) is 7.
    assert sum(f.error.value == 0 for f in found) >= 3


@pytest.mark.slow
def test_intervals_hold_the_true_error():
    rng = np.random.default_rng(2)
    logits, labels = draw(rng, n=200_000, sharpness=2.0)
    p = softmax(logits)
    hits = p.argmax(axis=1) == labels
    truth = measure_calibration(logits, labels, resamples=2).error.value
    gap = p.max(axis=1).mean() - hits.mean()
    inside = {"error": 0, "overconfidence": 0}
    for i in range(60):
        found = measure_calibration(*draw(rng, n=300, sharpness=2.0), resamples=100, seed=i)
        inside["error"] += found.error.low <= truth <= found.error.high
        inside["overconfidence"] += found.overconfidence.low <= gap <= found.overconfidence.high
    # At 95 %, fewer than 51 of 60 come in 0.3 % of cases.
    assert min(inside.values()) >= 51


def test_no_mistake_does_not_make_it_certain():
    found = measure_calibration(np.log([[0.9, 0.1]] * 5), np.zeros(5, int))
    np.testing.assert_allclose(found.overconfidence.value, -0.1)
    # Wilson's lower end of 5 of 5 is 5 / (5 + z²) = 0.5655.
    np.testing.assert_allclose(found.overconfidence.high, 0.9 - 0.5655, atol=1e-3)
    assert found.error.low == 0


@pytest.mark.parametrize("labels", [[0], [1]])
def test_one_row_is_enough(labels):
    found = measure_calibration(np.array([[3.0, 0.0]]), np.array(labels))
    assert found.overconfidence.low <= found.overconfidence.value <= found.overconfidence.high
    assert found.overconfidence.low >= -1
    assert found.overconfidence.high <= 1
    assert found.error.low == 0


def test_margins_beyond_float_precision_cost_their_margin():
    found = measure_calibration(np.array([[500.0, 0.0, 0.0]]), np.array([1]))
    np.testing.assert_allclose(found.nats, 500.0)


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (np.array([[np.nan, 0.0]]), np.array([0]), ValueError, "logits must be finite"),
        (np.zeros((2, 3)), np.array([0, 3]), ValueError, r"labels must lie in \[0, 3\), got 3"),
        (np.zeros((2, 3)), np.array([0]), ValueError, "labels must be"),
        (np.zeros((0, 3)), np.zeros(0, int), ValueError, "logits must be"),
        (np.zeros(3), np.zeros(3, int), ValueError, "logits must be"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), TypeError, "labels must be integer"),
    ],
)
def test_bad_input_is_named(logits, labels, error, message):
    with pytest.raises(error, match=message):
        measure_calibration(logits, labels)


def test_options_out_of_range_are_named(rows):
    with pytest.raises(ValueError, match="bins must be at least 1"):
        measure_calibration(*rows, bins=0)
    with pytest.raises(ValueError, match="resamples must be at least 2"):
        measure_calibration(*rows, resamples=1)
