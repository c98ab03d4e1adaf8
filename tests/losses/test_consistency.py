"""Consistency losses against float64 and 50 digits, their limits and their ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax.losses.consistency import jensen_shannon_consistency, r_drop
from xentjax.losses.divergence import js_divergence, kl_divergence_with_logits
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
VIEWS = jnp.asarray(RNG.normal(size=(4, 3, 5)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2])
EPS = 2.0**-23


def truth(views):
    """(1/M) Σ_v KL(p_v ‖ m) in 50 digits."""
    with mpmath.workdps(50):
        rows = [[mpmath.exp(mpmath.mpf(float(x))) for x in row] for row in views]
        p = [[e / sum(row) for e in row] for row in rows]
        mean = [sum(column) / len(p) for column in zip(*p, strict=True)]
        terms = (
            q * mpmath.log(q / m) for row in p for q, m in zip(row, mean, strict=True) if q > 0
        )
        return float(sum(terms) / len(p))


@jax.jit
def consistency(views):
    losses, pull = jax.vjp(jensen_shannon_consistency, views)
    return losses, pull(jnp.ones_like(losses))[0]


@pytest.mark.parametrize("spread", [1e-5, 1e-2, 0.3, 1.0, 5.0])
def test_consistency_matches_50_digits_however_close_the_views_are(spread):
    views = VIEWS[:, :1] + spread * VIEWS
    got, slope = consistency(views)
    # d = log p_v − log m is rounded relative to the spread, and enters squared.
    np.testing.assert_allclose(got, [truth(v) for v in views], rtol=64 * EPS)
    np.testing.assert_allclose(np.sum(slope, -1), 0, atol=16 * EPS * np.abs(slope).max())


def test_two_views_are_js_divergence():
    pairs = VIEWS[:, :2]
    wanted = js_divergence(pairs[:, 0], pairs[:, 1])
    np.testing.assert_allclose(jensen_shannon_consistency(pairs), wanted, rtol=16 * EPS)


def test_equal_views_cost_nothing_and_permuted_ones_the_same():
    equal = jnp.broadcast_to(VIEWS[:, :1], VIEWS.shape)
    losses, slope = consistency(equal)
    assert not np.any(losses)
    assert not np.any(slope)
    losses, slope = consistency(VIEWS)
    assert np.abs(slope).reshape(-1, 5).max(-1).min() > 1e-3  # no view is a constant
    order = jnp.array([2, 0, 1])
    others, permuted = consistency(VIEWS[:, order])
    np.testing.assert_allclose(others, losses, rtol=16 * EPS)
    np.testing.assert_allclose(permuted, slope[:, order], rtol=0, atol=8 * EPS)


@pytest.mark.slow
def test_axes_may_stand_anywhere_and_a_mask_hides_nan():
    wanted, _ = consistency(VIEWS)
    moved = jnp.transpose(VIEWS, (1, 2, 0))  # [M, C, batch]
    np.testing.assert_array_equal(jensen_shannon_consistency(moved, views_axis=0, axis=1), wanted)
    broken = VIEWS.at[1].set(jnp.nan)
    keep = np.arange(4) != 1
    value, slope = jax.value_and_grad(jensen_shannon_consistency)(
        broken, where=keep, reduction="mean"
    )
    np.testing.assert_allclose(value, np.mean(np.asarray(wanted)[keep]), rtol=4 * EPS)
    assert not np.any(slope[1])
    assert np.isfinite(slope).all()


def test_views_with_nothing_in_common_cost_log_m():
    views = jnp.stack([jnp.where(jnp.eye(3) == 1, 0.0, -jnp.inf), 1e4 * jnp.eye(3)])
    losses, slope = consistency(views)
    np.testing.assert_allclose(losses, np.log(3), rtol=2 * EPS)
    assert np.isfinite(slope).all()
    one_sided = jnp.array([[[0.0, 1.0, -jnp.inf], [0.0, 1.0, 2.0]]])
    losses, slope = consistency(one_sided)
    np.testing.assert_allclose(losses[0], truth(one_sided[0]), rtol=8 * EPS)
    assert np.isfinite(slope).all()


def test_r_drop_is_the_sum_the_paper_writes():
    a, b = VIEWS[:, 0], VIEWS[:, 1]
    apart = kl_divergence_with_logits(a, b) + kl_divergence_with_logits(b, a)
    sure = softmax_cross_entropy(a, LABELS) + softmax_cross_entropy(b, LABELS)
    for alpha in (0.7, jnp.float32(0.7)):
        got = r_drop(a, b, LABELS, alpha=alpha)
        np.testing.assert_allclose(got, sure + 0.35 * apart, rtol=8 * EPS)
    for alpha in (0, jnp.float32(0)):
        np.testing.assert_array_equal(r_drop(a, b, LABELS, alpha=alpha), sure)
    np.testing.assert_allclose(r_drop(a, a, LABELS), 2 * softmax_cross_entropy(a, LABELS))
    p, q = (np.asarray(jax.nn.softmax(np.float64(x)), np.float64) for x in (a, b))
    rows = np.arange(4)
    by_hand = -np.log(p[rows, LABELS] * q[rows, LABELS])
    by_hand += 0.5 * np.sum((p - q) * np.log(p / q), -1)
    np.testing.assert_allclose(r_drop(a, b, LABELS), by_hand, rtol=16 * EPS)


def test_r_drop_takes_several_class_axes_as_one():
    first, second = np.random.default_rng(4).normal(size=(2, 3, 5, 2)).astype(np.float32)
    labels = np.array([0, 5, 3, 4, 2])
    got = r_drop(first, second, labels, axis=(0, 2))
    flat = [np.moveaxis(x, 1, 0).reshape(5, 6) for x in (first, second)]
    np.testing.assert_array_equal(got, r_drop(*flat, labels))


def test_r_drop_keeps_the_digits_of_passes_that_nearly_agree():
    a, step = VIEWS[:, 0], jnp.float32(2.0**-12)
    b = a.at[:, 0].add(step)
    exact = b[:, 0] - a[:, 0]
    p = np.asarray(jax.nn.softmax(a, -1), np.float64)[:, 0]
    sure = r_drop(a, b, LABELS, alpha=0)
    # KL + KL = (q_0 − p_0) · step; q_0 = p_0 eˢ / (1 + p_0 (eˢ − 1)).
    e = np.expm1(np.float64(exact))
    wanted = np.float64(exact) * p * e * (1 - p) / (1 + p * e)
    big = 2.0**20
    got = (r_drop(a, b, LABELS, alpha=big) - sure) / (big / 2)
    # The cross-entropies, some ones, are subtracted again from 2²⁰ · 10⁻⁸.
    np.testing.assert_allclose(got, wanted, rtol=32 * EPS, atol=64 * EPS / big)


def test_bad_input_is_refused_or_nan():
    a, b = VIEWS[:, 0], VIEWS[:, 1]
    with pytest.raises(ValueError, match="logits need at least two views on views_axis -2"):
        jensen_shannon_consistency(VIEWS[:, :1])
    with pytest.raises(ValueError, match="names an axis of logits twice"):
        jensen_shannon_consistency(VIEWS, views_axis=-1)
    with pytest.raises(ValueError, match="other_logits must have the shape of logits"):
        r_drop(a, b[:, :4], LABELS)
    with pytest.raises(ValueError, match="alpha must be non-negative"):
        r_drop(a, b, LABELS, alpha=-1.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 5\), got 5 at position \(1,\)"):
        r_drop(a, b, LABELS.at[1].set(5))
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(r_drop, (0, 1))))(a, b, LABELS.at[1].set(5))
    assert np.isnan(value[1])
    assert all(np.isnan(s[1]).any() and np.isfinite(s[2:]).all() for s in slope)
    one_sided = jnp.where(jnp.arange(5) == 4, -jnp.inf, a)
    assert np.all(np.asarray(r_drop(one_sided, b, LABELS)) == np.inf)
    both = jnp.where(jnp.arange(5) == 4, -jnp.inf, b)
    np.testing.assert_allclose(
        r_drop(one_sided, both, LABELS), r_drop(a[:, :4], b[:, :4], LABELS), rtol=8 * EPS
    )
