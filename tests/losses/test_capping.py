"""Soft capping: its limit, its bound, masked classes, dtypes, and the fused option of that name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax import fused, softmax_cross_entropy
from xentjax.losses.capping import soft_cap

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 5)) * 20, jnp.float32)
EPS = 1.2e-7


def test_equals_the_formula_in_float64_with_its_slope():
    x, cap = np.asarray(LOGITS, np.float64), 30.0
    np.testing.assert_allclose(soft_cap(LOGITS, cap), cap * np.tanh(x / cap), rtol=8 * EPS)
    slope = jax.grad(lambda x: jnp.sum(soft_cap(x, cap)))(LOGITS)
    # 1 − tanh² is a difference from 1: right to some eps, absolutely.
    np.testing.assert_allclose(slope, 1 / np.cosh(x / cap) ** 2, atol=4 * EPS)


def test_a_large_cap_is_the_identity_and_no_logit_passes_a_small_one():
    # The relative distance is (x / cap)² / 3: below eps here.
    np.testing.assert_allclose(soft_cap(LOGITS, 1e6), LOGITS, rtol=8 * EPS)
    traced = jax.jit(soft_cap)
    np.testing.assert_allclose(traced(LOGITS, 1e6), LOGITS, rtol=8 * EPS)
    ends = jnp.array([1e4, -1e4, jnp.inf, 3e38, 0.0])
    np.testing.assert_array_equal(traced(ends, 5.0), [5.0, -5.0, 5.0, 5.0, 0.0])
    slope = jax.vmap(jax.grad(soft_cap), in_axes=(0, None))(ends, 5.0)
    np.testing.assert_array_equal(slope, [0.0, 0.0, 0.0, 0.0, 1.0])


def test_a_masked_class_stays_masked():
    masked = LOGITS.at[:, 1].set(-jnp.inf)
    labels = jnp.array([0, 2, 3, 4, 0, 2])

    def total(x):
        return jnp.sum(softmax_cross_entropy(soft_cap(x, 30.0), labels))

    value, slope = jax.value_and_grad(total)(masked)
    wanted = total_of_the_others(labels)
    np.testing.assert_allclose(value, wanted, rtol=8 * EPS)
    assert not np.any(slope[:, 1])
    assert np.isfinite(slope).all()
    tangent = jax.jvp(total, (masked,), (jnp.ones_like(masked),))[1]
    assert np.isfinite(tangent)


def total_of_the_others(labels):
    """The loss without class 1."""
    fewer = jnp.delete(LOGITS, 1, axis=1)
    return jnp.sum(softmax_cross_entropy(soft_cap(fewer, 30.0), labels - (labels > 1)))


def test_it_is_the_soft_cap_of_the_fused_loss():
    rng = np.random.default_rng(1)
    hidden = jnp.asarray(rng.normal(size=(6, 3)), jnp.float32)
    weight = jnp.asarray(rng.normal(size=(3, 5)) * 4, jnp.float32)
    bias = jnp.array([0.0, -jnp.inf, 1.0, 0.0, 2.0])
    labels = jnp.array([0, 2, 3, 4, 0, 2])
    fused_losses = fused.linear_cross_entropy(
        hidden, weight, labels, bias=bias, soft_cap=5.0, reduction="none"
    )
    dense = softmax_cross_entropy(soft_cap(hidden @ weight + bias[None], 5.0), labels)
    np.testing.assert_allclose(fused_losses, dense, rtol=5**0.5 * 8 * EPS)


def test_dtypes_are_kept_and_rounded_once():
    for dtype in (jnp.bfloat16, jnp.float16):
        narrow = LOGITS.astype(dtype)
        got = soft_cap(narrow, 30.0)
        assert got.dtype == dtype
        wide = soft_cap(narrow.astype(jnp.float32), 30.0)
        np.testing.assert_array_equal(got, wide.astype(dtype))
    with jax.enable_x64(True):
        assert soft_cap(np.ones(1, np.float64), 30.0).dtype == jnp.float64


def test_bad_input_is_refused_or_nan():
    for cap in (0.0, -1.0, float("inf")):
        with pytest.raises(ValueError, match="cap must be positive and finite"):
            soft_cap(LOGITS, cap)
    with pytest.raises(TypeError, match="logits must be floating point, got int32"):
        soft_cap(jnp.arange(3), 30.0)
    assert np.isnan(jax.jit(soft_cap)(LOGITS, 0.0)).all()
