"""Good attributions beat random ones, random ones do not, and ranks agree as scipy says."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from xentjax.audit.faithfulness import deletion_curve, rank_agreement, spearman

RNG = np.random.default_rng(1)
W = RNG.normal(size=(12, 3)).astype(np.float32)
X = RNG.normal(size=(80, 12)).astype(np.float32)
Y = (X @ W).argmax(axis=1)


def linear(x):
    return x @ W


def test_the_true_attribution_beats_random_orders_and_its_opposite_loses():
    truth = W.T[Y] * X
    good = deletion_curve(linear, X, Y, truth)
    bad = deletion_curve(linear, X, Y, -truth)
    assert good.low > 0.05
    assert bad.high < -0.02
    np.testing.assert_allclose(good.attributed[0], good.random[0], atol=1e-6)
    np.testing.assert_allclose(good.attributed[-1], 1 / 3, atol=1e-6)  # nothing is left


def test_random_attributions_have_no_advantage():
    # 20 independent nulls: more than 4 of 20 intervals of 95 % without 0 has probability 0.003.
    missed = 0
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(size=X.shape).astype(np.float32)
        found = deletion_curve(linear, X, Y, noise, seed=seed, steps=6, orders=2)
        missed += not found.low <= 0 <= found.high
    assert missed <= 4


def test_an_attribution_without_any_difference_is_a_random_order():
    found = deletion_curve(linear, X, Y, np.zeros_like(X))
    assert found.low <= 0 <= found.high


def test_the_curve_equals_a_loop_over_rows():
    truth = W.T[Y] * X
    found = deletion_curve(linear, X, Y, truth, steps=12, fill=0.5)
    at = X.copy()
    for step, column in enumerate(np.argsort(-truth, axis=1).T):
        at[np.arange(80), column] = 0.5
        logits = at.astype(np.float64) @ W
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(
            found.attributed[step + 1], p[np.arange(80), Y].mean(), atol=1e-5
        )


def test_ranks_agree_as_scipy_says_with_ties():
    a, b = RNG.integers(0, 5, (2, 7, 30)).astype(np.float64)
    found = rank_agreement(a, b)
    wanted = [scipy.stats.spearmanr(*pair).statistic for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(found.by_row, wanted, atol=1e-12)
    assert found.low <= found.mean <= found.high


def test_independent_attributions_do_not_agree_and_equal_ones_do():
    a, b = RNG.normal(size=(2, 100, 64))
    null = rank_agreement(a, b)
    # The mean of 100 correlations of standard deviation 1/√63: four standard errors.
    assert abs(null.mean) < 4 / np.sqrt(63 * 100)
    assert rank_agreement(a, np.exp(a)).low == pytest.approx(1)


def test_rows_without_spread_are_left_out():
    found = rank_agreement(np.ones((2, 3)), RNG.normal(size=(2, 3)))
    assert np.isnan(found.mean)
    assert np.isnan(spearman(np.ones(3), np.arange(3.0)))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="attributions must have the shape of features"):
        deletion_curve(linear, X, Y, X[:3])
    with pytest.raises(ValueError, match="attributions must be finite"):
        deletion_curve(linear, X, Y, X * np.inf)
    with pytest.raises(ValueError, match="of the same shape"):
        rank_agreement(X, X[:2])
    with pytest.raises(ValueError, match="probabilities must be finite"):
        deletion_curve(lambda x: x @ W * jnp.nan, X, Y, X)
