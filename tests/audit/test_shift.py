"""Shift: scipy's distances and p-values; planted shifts found; halves of one set are alike."""

from statistics import NormalDist

import numpy as np
import pytest
import scipy.stats

from xentjax.audit.shift import (
    holm,
    kolmogorov_smirnov,
    smirnov_p_value,
    two_sample_classifier,
)


def test_sets_that_are_told_apart_wholly_keep_an_interval():
    rows = np.linspace(0, 1, 12)[:, None].astype(np.float32)
    found = two_sample_classifier(rows, rows + 9, folds=3, permutations=0, steps=60)
    assert found.auc == 1
    # Resamples are all perfect; of 12 pairs Wilson's interval is n / (n + z²) to 1.
    assert found.low == pytest.approx(12 / 15.8415, abs=1e-4)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (7, 7), (40, 13), (13, 40), (200, 150)])
def test_distances_and_exact_p_values_are_scipys(n, m):
    rng = np.random.default_rng(n)
    first, second = rng.normal(size=(n, 4)), rng.normal(size=(m, 4)) + np.array([[0, 0.1, 0.3, 1]])
    found = kolmogorov_smirnov(first, second)
    for f in range(4):
        wanted = scipy.stats.ks_2samp(first[:, f], second[:, f], method="exact")
        assert found.distances[f] == pytest.approx(wanted.statistic, rel=1e-12)
        if wanted.pvalue > 1e-9:
            # 1 − (paths inside): absolute error of n roundings of logarithms, some 1e-12.
            assert found.p_values[f] == pytest.approx(wanted.pvalue, rel=1e-6, abs=1e-11)
        else:
            assert 0.4 < found.p_values[f] / wanted.pvalue < 2.5


@pytest.mark.parametrize("distance", [0.02, 0.04, 0.06, 0.1])
def test_large_samples_take_the_limit_of_scipy(distance):
    n, m = 3000, 2500
    wanted = scipy.stats.kstwobign.sf(distance * np.sqrt(n * m / (n + m)))
    assert smirnov_p_value(distance, n, m) == pytest.approx(wanted, rel=1e-9)


def test_distances_with_ties_are_scipys():
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 4, (60, 1)), rng.integers(0, 5, (50, 1))
    wanted = scipy.stats.ks_2samp(first[:, 0], second[:, 0], method="exact")
    found = kolmogorov_smirnov(first, second)
    assert found.distances[0] == pytest.approx(wanted.statistic, rel=1e-12)
    assert found.p_values[0] == pytest.approx(wanted.pvalue, rel=1e-6)


def test_holm_is_the_step_down_of_its_definition():
    rng = np.random.default_rng(2)
    p = rng.random(20) ** 3
    order = np.argsort(p)
    wanted = np.empty(20)
    running = 0.0
    for rank, place in enumerate(order):
        running = max(running, min(1.0, (20 - rank) * p[place]))
        wanted[place] = running
    np.testing.assert_allclose(holm(p), wanted, rtol=1e-12)


def test_alike_features_are_seldom_called_different_all_together():
    rng, rejected = np.random.default_rng(3), 0
    for _ in range(100):
        found = kolmogorov_smirnov(rng.normal(size=(60, 5)), rng.normal(size=(40, 5)))
        rejected += found.adjusted.min() <= 0.05
    assert rejected <= scipy.stats.binom.ppf(0.999, 100, 0.05)


def test_a_planted_shift_has_the_auc_of_its_size_and_the_null_is_chance():
    rng = np.random.default_rng(4)
    first, second = rng.normal(size=(400, 5)), rng.normal(size=(300, 5)) + 0.5 * np.eye(5)[2]
    found = two_sample_classifier(first, second)
    # Two normals half a deviation apart: AUC = Φ(0.5/√2) = 0.638; a fitted model has a bit less.
    wanted = NormalDist().cdf(0.5 / np.sqrt(2))
    standard_error = np.sqrt((400 + 300 + 1) / (12 * 400 * 300))
    assert wanted - 0.03 - 3 * standard_error < found.auc < wanted + 3 * standard_error
    assert found.low < found.auc < found.high
    assert found.p_value == 1 / 20
    # 19 permutations, each with that standard error about a half, cross-validation doubling it.
    assert np.abs(found.null - 0.5).max() < 5 * 2 * standard_error
    assert abs(found.null.mean() - 0.5) < 0.05
    which = kolmogorov_smirnov(first, second)
    assert which.adjusted.argmin() == 2
    assert which.adjusted[2] < 0.01


@pytest.mark.slow
def test_halves_of_one_set_are_alike():
    rows = np.random.default_rng(5).normal(size=(400, 6))
    found = two_sample_classifier(rows[:200], rows[200:])
    # P(p ≤ 0.05) is 1 in 20 by construction; this seed is one of the nineteen.
    assert found.p_value > 0.05
    assert abs(found.auc - 0.5) < 5 * np.sqrt(401 / (12 * 200 * 200))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kolmogorov_smirnov(np.ones((2, 3)), np.ones((2, 4))), "must have 3 features"),
        (lambda: kolmogorov_smirnov(np.ones((0, 3)), np.ones((2, 3))), "first must be"),
        (lambda: kolmogorov_smirnov(np.full((2, 3), np.nan), np.ones((2, 3))), "finite"),
        (lambda: smirnov_p_value(1.5, 2, 2), "distance must lie"),
        (lambda: two_sample_classifier(np.ones((3, 1)), np.ones((9, 1))), "at least folds = 4"),
        (
            lambda: two_sample_classifier(np.ones((9, 1)), np.ones((9, 1)), permutations=-1),
            "permutations must be",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
