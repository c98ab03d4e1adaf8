"""Class weights against 50-digit arithmetic and their two limits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.class_balance import class_balanced_weights

COUNTS = np.array([5000, 997, 40, 3, 1])
EPS = 1.2e-7


def truth(counts, beta):
    """The paper's weights in 50 digits, with sum C."""
    with mpmath.workdps(50):
        beta = mpmath.mpf(beta)
        weights = [(1 - beta) / (1 - beta ** int(n)) for n in counts]
        return [float(w * len(counts) / mpmath.fsum(weights)) for w in weights]


@pytest.mark.parametrize("beta", [0.5, 0.9, 0.999, 0.9999, 1 - 1e-8, 1 - 1e-12])
def test_weights_are_those_of_the_paper(beta):
    got = class_balanced_weights(COUNTS, beta=beta)
    np.testing.assert_allclose(got, truth(COUNTS, beta), rtol=6 * EPS)
    assert got.dtype == jnp.float32


def test_beta_zero_weighs_alike_and_beta_one_by_inverse_frequency():
    np.testing.assert_array_equal(class_balanced_weights(COUNTS, beta=0.0), np.ones(5))
    inverse = 1 / COUNTS
    for beta in (1.0, 1, jnp.asarray(1.0)):
        got = class_balanced_weights(COUNTS, beta=beta)
        np.testing.assert_allclose(got, 5 * inverse / inverse.sum(), rtol=4 * EPS)


def test_beta_and_counts_may_be_traced():
    betas = jnp.array([0.0, 0.5, 0.9375, 1.0, 1.5])  # exact in float32
    got = jax.jit(jax.vmap(lambda b: class_balanced_weights(jnp.asarray(COUNTS), beta=b)))(betas)
    for weights, beta in zip(got[:4], betas, strict=False):
        np.testing.assert_allclose(
            weights, class_balanced_weights(COUNTS, beta=float(beta)), rtol=6 * EPS
        )
    assert np.isnan(got[4]).all()
    assert np.isnan(jax.jit(class_balanced_weights)(jnp.array([3, 0]))).all()


def test_counts_beyond_32_bits_are_not_wrapped():
    got = class_balanced_weights(np.array([3 * 2**31, 2**31]), beta=1.0)
    np.testing.assert_allclose(got, [0.5, 1.5], rtol=4 * EPS)


@pytest.mark.usefixtures("x64")
def test_doubles_stay_doubles():
    got = class_balanced_weights(COUNTS.astype(np.float64), beta=0.999)
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, truth(COUNTS, 0.999), rtol=1e-14)
    assert class_balanced_weights(COUNTS).dtype == jnp.float32


def test_the_weighted_mean_counts_each_class_as_often_as_its_weight():
    logits = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2)), jnp.float32)
    labels = np.array([0, 0, 0, 0, 0, 1])
    weights = class_balanced_weights(np.bincount(labels), beta=1.0)
    got = softmax_cross_entropy(logits, labels, class_weights=weights, reduction="mean")
    each = np.asarray(softmax_cross_entropy(logits, labels))
    np.testing.assert_allclose(got, (each[:5].mean() + each[5]) / 2, rtol=4 * EPS)


def test_bad_input_is_refused():
    cases = [
        (
            np.array([3, 0]),
            0.9,
            "class_counts must be positive and finite, got 0 for class 1; leave",
        ),
        (np.array([3.0, np.inf]), 0.9, "class_counts must be positive and finite, got inf"),
        (np.ones((2, 2)), 0.9, r"one count per class: got shape \(2, 2\), wanted \(C,\)"),
        (COUNTS, 1.5, r"beta must lie in \[0, 1\], got 1.5"),
    ]
    for counts, beta, message in cases:
        with pytest.raises(ValueError, match=message):
            class_balanced_weights(counts, beta=beta)
