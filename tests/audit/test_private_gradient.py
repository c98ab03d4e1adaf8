"""No row moves the sum by more than the clip, and the noise is as wide as accounted for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.stats import binom

from xentjax.audit.private_gradient import poisson_batch, private_aggregate


def aggregated(gradients, noise, seed=0):
    rule = private_aggregate(0.5, noise, 4, 8, jax.random.key(seed))
    return rule.update(gradients, rule.init(gradients))[0]


def per_row_gradients(seed, scale):
    rng = np.random.default_rng(seed)
    return {
        "a": jnp.asarray(scale * rng.normal(size=(8, 3, 2)), jnp.float32),
        "b": jnp.asarray(scale * rng.normal(size=(8, 5)), jnp.float32),
    }


def norm_of_difference(one, other):
    return float(optax.tree.norm(jax.tree.map(jnp.subtract, one, other)))


@pytest.mark.parametrize("row", [1e-3, 1.0, 1e6, 1e30, np.inf, np.nan])
def test_one_row_moves_the_mean_by_no_more_than_the_clip(row):
    gradients = per_row_gradients(1, 1.0)
    without = jax.tree.map(lambda leaf: leaf.at[3].set(0), gradients)
    changed = jax.tree.map(lambda leaf: leaf.at[3].multiply(row), gradients)
    # The same key, so that the noise is the same; C / B, and float32's roundings of a sum of 8.
    moved = norm_of_difference(aggregated(changed, 1.0), aggregated(without, 1.0))
    assert moved <= 0.5 / 4 * (1 + 1e-5)
    if row == 1e6:
        assert moved == pytest.approx(0.5 / 4, rel=1e-5)


def test_small_gradients_are_averaged_over_the_expected_rows():
    gradients = per_row_gradients(2, 1e-2)
    wanted = jax.tree.map(lambda leaf: leaf.sum(axis=0) / 4, gradients)
    found = aggregated(gradients, 0.0)
    jax.tree.map(lambda f, w: np.testing.assert_allclose(f, w, rtol=1e-5, atol=1e-9), found, wanted)


def test_the_noise_is_as_wide_as_accounted_for():
    zeros = jax.tree.map(jnp.zeros_like, per_row_gradients(0, 1.0))
    drawn = jax.vmap(lambda key: _noise(zeros, key))(jax.random.split(jax.random.key(3), 400))
    # σ C / B = 3 · 0.5 / 4; of 4400 normals the deviation wavers by 1 / √8800, times 3.3.
    assert np.std(drawn) == pytest.approx(0.375, rel=3.3 / np.sqrt(8800))
    assert abs(np.mean(drawn)) < 3.3 * 0.375 / np.sqrt(4400)
    # No two numbers share their noise.
    correlations = np.corrcoef(np.asarray(drawn).T) - np.eye(11)
    assert np.abs(correlations).max() < 4.5 / np.sqrt(400)


def _noise(gradients, key):
    rule = private_aggregate(0.5, 3.0, 4, 8, key)
    found, _ = rule.update(gradients, rule.init(gradients))
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(found)])


def test_rows_are_drawn_independently_and_large_draws_are_cut_at_random():
    keys = jax.random.split(jax.random.key(4), 2000)
    numbers, drawn, counts = jax.vmap(lambda key: poisson_batch(key, 40, 0.25, 12))(keys)
    numbers, drawn, counts = (np.asarray(x) for x in (numbers, drawn, counts))
    np.testing.assert_array_equal(drawn.sum(axis=1), np.minimum(counts, 12))
    # The counts of independent rows are Binomial(40, ¼): mean 10 and variance 7.5.
    assert counts.mean() == pytest.approx(10, abs=3.3 * np.sqrt(7.5 / 2000))
    assert counts.var() == pytest.approx(7.5, rel=3.3 * np.sqrt(2 / 2000))
    # Every row is in as often as any other, cut draws included.
    share = binom(40, 0.25).expect(lambda k: np.minimum(k, 12)) / 40
    often = np.bincount(numbers[drawn], minlength=40)
    assert np.abs(often - 2000 * share).max() < 4 * np.sqrt(2000 * share * (1 - share))
    assert all(len(set(row)) == 12 for row in numbers[:50])
