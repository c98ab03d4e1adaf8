"""The suggestions are where their definitions say, and a curve without one says why."""

import itertools
import math

import numpy as np
import pytest

from xentjax.search.rate_curve import longest_fall, make_rate_curve, smooth

RATES = 10.0 ** np.linspace(-6, 1, 71)


def curve(losses, smoothing=0.0, divergence=4.0):
    return make_rate_curve(
        RATES[: len(losses)], np.asarray(losses), smoothing=smoothing, divergence=divergence
    )


def test_the_smoothed_loss_is_the_weighted_mean_of_the_losses_so_far():
    losses, beta = np.random.default_rng(0).normal(size=20), 0.7
    for t, ours in enumerate(smooth(losses, beta)):
        weights = beta ** np.arange(t, -1, -1)
        np.testing.assert_allclose(ours, weights @ losses[: t + 1] / weights.sum(), rtol=1e-12)


def test_the_smoothed_loss_of_a_constant_is_the_constant():
    np.testing.assert_allclose(smooth(np.full(9, 2.5), 0.98), 2.5, rtol=1e-12)


def test_the_suggestions_of_a_logistic_fall_are_at_its_middle():
    # 2 − 1/(1 + e^{−4u}), u = log₁₀ η + 2.5: steepest at η = 10^−2.5; then a sharp rise at 0.1.
    u = np.log10(RATES) + 2.5
    losses = 2 - 1 / (1 + np.exp(-4 * u)) + np.where(RATES > 0.1, 20 * (RATES - 0.1), 0)
    found = curve(losses)
    np.testing.assert_allclose(found.steepest, 10**-2.5, rtol=1e-9)
    # It falls from the first rate to 0.1, if ever so slowly.
    np.testing.assert_allclose(found.valley, 10**-3.5, rtol=1e-9)
    np.testing.assert_allclose(found.minimum_tenth, 0.01, rtol=1e-9)
    assert found.stopped_at is not None
    assert found.notes == ()


def test_the_curve_ends_with_its_divergence():
    found = curve([2.0] * 8 + [1.0, 3.9, 4.1, 1.0])
    assert found.stopped_at == 10
    assert found.losses[-1] == 4.1


def test_the_curve_ends_before_a_loss_that_is_not_finite():
    found = curve([2.0] * 8 + [1.0, math.nan, 1.0])
    assert found.stopped_at == 9
    assert len(found.losses) == 9


def test_negative_losses_diverge_by_their_distance_from_the_lowest():
    assert curve([-1.0, -2.0, -1.5, -1.0, 3.0, 4.5]).stopped_at == 5  # −2 + 3·2 = 4


@pytest.mark.parametrize(
    ("losses", "note"),
    [
        ([math.nan, 1.0], "loss of the first batch is not finite"),
        ([1.0, 9.0], "only 2 of 2 steps, too few for a suggestion: diverged at once: lower low"),
        ([1.0, 0.9, 0.8], "too few for a suggestion: raise steps"),
        ([1.0, 1.1, 1.2, 1.3, 1.4, 9.0], "never fell below its beginning"),
    ],
)
def test_a_curve_without_a_suggestion_says_why(losses, note):
    found = curve(losses)
    assert set(found.suggestions.values()) == {None}
    assert note in found.notes[0]


def test_a_curve_that_never_diverges_says_so_and_still_suggests():
    found = curve(np.linspace(2.0, 1.0, 30))
    assert found.stopped_at is None
    assert "never diverged up to" in found.notes[0]
    np.testing.assert_allclose(found.valley, RATES[14])


def test_noise_moves_the_valley_little():
    rng = np.random.default_rng(1)
    u = np.log10(RATES) + 2.5
    clean = 2 - 1 / (1 + np.exp(-4 * u)) + np.where(RATES > 0.1, 20 * (RATES - 0.1), 0)
    noisy = curve(clean + rng.normal(0, 0.05, len(clean)), smoothing=0.8)
    assert abs(math.log10(noisy.valley / curve(clean).valley)) < 1


@pytest.mark.parametrize("seed", range(5))
def test_the_longest_fall_is_as_long_as_brute_force_finds(seed):
    values = np.random.default_rng(seed).integers(0, 6, 9).astype(float)
    found = longest_fall(values)
    assert all(values[i] > values[j] for i, j in itertools.pairwise(found))
    assert found == sorted(found)
    longest = max(
        size
        for size in range(1, 10)
        for places in itertools.combinations(range(9), size)
        if all(values[i] > values[j] for i, j in itertools.pairwise(places))
    )
    assert len(found) == longest
