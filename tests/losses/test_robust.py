"""Bounded losses against 50-digit arithmetic, their limits and their ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.robust import generalized_cross_entropy, symmetric_cross_entropy

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
MARGINS = np.array([-200.0, -30.0, -1.0, 0.0, 2.0, 14.0, 17.0, 30.0], np.float32)
TINY = float(np.finfo(np.float32).tiny)  # what is below it is flushed to 0
EPS = 1.2e-7


def pairs(margins):
    return jnp.stack([margins, jnp.zeros_like(margins)], -1)


def truth(of_nll):
    """Losses and slopes by the margin x_0 − x_1, label 0, in 50 digits."""
    with mpmath.workdps(50):

        def loss(m):
            return of_nll(mpmath.log1p(mpmath.exp(-m)))

        margins = [mpmath.mpf(float(m)) for m in MARGINS]
        return [[float(loss(m)) for m in margins], [float(mpmath.diff(loss, m)) for m in margins]]


def losses_and_slopes(loss):
    """The same of a loss of ours."""
    labels = jnp.zeros(len(MARGINS), jnp.int32)
    return jax.jvp(lambda m: loss(pairs(m), labels), (MARGINS,), (np.ones_like(MARGINS),))


@pytest.mark.parametrize("q", [1e-6, 0.3, 0.7, 1.0])
def test_generalized_is_exact_at_every_margin(q):
    got = losses_and_slopes(jax.jit(lambda x, y: generalized_cross_entropy(x, y, q=jnp.float32(q))))
    # n has 2 roundings and 1 of the margin; p^q rounds q·n ≤ 200 once more.
    exact = truth(lambda n: -mpmath.expm1(-mpmath.mpf(float(np.float32(q))) * n) / np.float32(q))
    np.testing.assert_allclose(got[0], exact[0], rtol=8 * EPS, atol=TINY)
    np.testing.assert_allclose(got[1], exact[1], rtol=(8 + 200 * q) * EPS, atol=TINY)


def test_q_zero_is_cross_entropy():
    expected = softmax_cross_entropy(LOGITS, LABELS)
    for q in (0, 0.0, jnp.asarray(0.0)):
        np.testing.assert_array_equal(generalized_cross_entropy(LOGITS, LABELS, q=q), expected)
    # −expm1(−q n) / q = n − q n² / 2 + …: near q = 0 it differs from n by q n / 2 of it.
    near = generalized_cross_entropy(LOGITS, LABELS, q=jnp.asarray(1e-6))
    np.testing.assert_allclose(near, expected, rtol=4e-6)


def test_q_one_is_the_mean_absolute_error_of_the_paper():
    p = np.exp(np.asarray(LOGITS, np.float64))
    p /= p.sum(-1, keepdims=True)
    halves = np.abs(p - np.eye(4)[np.asarray(LABELS)]).sum(-1) / 2
    got = generalized_cross_entropy(LOGITS, LABELS, q=1.0)
    np.testing.assert_allclose(got, halves, rtol=8 * EPS)


@pytest.mark.parametrize(("alpha", "beta", "log_zero"), [(0.1, 1.0, -4.0), (6.0, 0.1, -9.0)])
def test_symmetric_is_exact_at_every_margin(alpha, beta, log_zero):
    options = {"alpha": alpha, "beta": beta, "log_zero": log_zero}
    got = losses_and_slopes(jax.jit(lambda x, y: symmetric_cross_entropy(x, y, **options)))
    a, b = (mpmath.mpf(float(np.float32(v))) for v in (alpha, beta * log_zero))
    exact = truth(lambda n: a * n + b * mpmath.expm1(-n))
    np.testing.assert_allclose(got[0], exact[0], rtol=8 * EPS, atol=TINY)
    np.testing.assert_allclose(got[1], exact[1], rtol=8 * EPS, atol=TINY)


def test_symmetric_is_the_sum_of_both_cross_entropies():
    p = np.exp(np.asarray(LOGITS, np.float64))
    p /= p.sum(-1, keepdims=True)
    labels = np.eye(4)[np.asarray(LABELS)]
    log_labels = np.where(labels > 0, 0.0, -4.0)
    expected = -0.1 * (labels * np.log(p)).sum(-1) - (p * log_labels).sum(-1)
    np.testing.assert_allclose(symmetric_cross_entropy(LOGITS, LABELS), expected, rtol=8 * EPS)


def test_symmetric_without_the_reverse_is_cross_entropy():
    got = symmetric_cross_entropy(LOGITS, LABELS, alpha=1, beta=0)
    np.testing.assert_array_equal(got, softmax_cross_entropy(LOGITS, LABELS))


def test_an_impossible_label_costs_a_bounded_amount_and_pulls_nowhere():
    logits, label = jnp.array([-jnp.inf, 1.0, 0.0]), jnp.array(0)
    value, slope = jax.value_and_grad(generalized_cross_entropy)(logits, label, q=0.5)
    assert value == 2
    assert not np.any(slope)
    value, slope = jax.value_and_grad(symmetric_cross_entropy)(logits, label, alpha=0.0)
    assert value == 4
    assert not np.any(slope)


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"q must lie in \[0, 1\], got 1.5"):
        generalized_cross_entropy(LOGITS, LABELS, q=1.5)
    with pytest.raises(ValueError, match=r"alpha must be non-negative and finite, got -1.0"):
        symmetric_cross_entropy(LOGITS, LABELS, alpha=-1.0)
    with pytest.raises(ValueError, match=r"log_zero must be negative and finite, got 4.0"):
        symmetric_cross_entropy(LOGITS, LABELS, log_zero=4.0)
    for loss in (generalized_cross_entropy, symmetric_cross_entropy):
        with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got 4"):
            loss(LOGITS, jnp.array([0, 4, 1, 1, 1]))
        value, slope = jax.jit(jax.vmap(jax.value_and_grad(loss)))(LOGITS, LABELS.at[1].set(-1))
        assert np.isnan(value[1])
        assert np.isnan(slope[1]).all()
        assert np.isfinite(np.delete(slope, 1, 0)).all()


def test_masked_and_ignored_rows_count_nothing():
    logits, labels = LOGITS.at[1].set(jnp.nan), LABELS.at[1].set(-100)
    keep = np.array([True, False, True, True, True])
    for loss in (generalized_cross_entropy, symmetric_cross_entropy):
        expected = np.mean(loss(LOGITS, LABELS)[keep])
        value, slope = jax.value_and_grad(loss)(logits, labels, ignore_index=-100, reduction="mean")
        np.testing.assert_allclose(value, expected, rtol=2 * EPS)
        assert not np.any(slope[1])
