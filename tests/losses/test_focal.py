"""Focal loss against 50-digit arithmetic, its limit and its ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax import focal_loss, softmax_cross_entropy

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
TINY = float(np.finfo(np.float32).tiny)  # what is below it is flushed to 0


def truth(margin, gamma):
    """The loss and its slope by the margin x_0 − x_1, label 0, in 50 digits."""
    with mpmath.workdps(50):

        def loss(m):
            nll = mpmath.log1p(mpmath.exp(-m))
            return (1 - mpmath.exp(-nll)) ** gamma * nll

        return float(loss(mpmath.mpf(margin))), float(mpmath.diff(loss, margin))


def test_gamma_zero_is_cross_entropy():
    for gamma in (0, jnp.asarray(0.0)):
        np.testing.assert_array_equal(
            focal_loss(LOGITS, LABELS, gamma=gamma), softmax_cross_entropy(LOGITS, LABELS)
        )


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("margin", [-30.0, -1.0, 0.0, 2.0, 14.0, 17.0])
def test_loss_and_slope_are_exact_at_every_margin(margin, gamma):
    def loss(m):
        return focal_loss(jnp.stack([m, jnp.zeros_like(m)]), jnp.array(0), gamma=gamma)

    got = jax.value_and_grad(loss)(jnp.float32(margin))
    # (1 − p)^γ repeats the rounding of 1 − p γ times.
    np.testing.assert_allclose(got, truth(margin, gamma), rtol=(4 + 4 * gamma) * 1.2e-7, atol=TINY)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_a_certain_label_costs_nothing_and_pulls_nowhere(gamma):
    logits = jnp.array([200.0, 0.0])  # e⁻²⁰⁰ is 0 in float32: 1 − p is exactly 0
    value, slope = jax.value_and_grad(focal_loss)(logits, jnp.array(0), gamma=gamma)
    assert value == 0
    assert not np.any(slope)


def test_rows_of_many_classes_on_any_axis_are_the_same():
    # 600 classes take the path that sums by blocks and zeroes the label in place.
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(2, 600)), jnp.float32)
    labels = jnp.array([3, 599])
    gradient = jax.jit(
        jax.grad(lambda x, axis: focal_loss(x, labels, axis=axis, reduction="sum")),
        static_argnums=1,
    )
    np.testing.assert_array_equal(gradient(logits, -1), gradient(logits, 1))
    np.testing.assert_allclose(gradient(logits, -1), gradient(logits.T, 0).T, atol=2e-7)


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="gamma must be non-negative"):
        focal_loss(LOGITS, LABELS, gamma=-1.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got 4 at position \(1,\)"):
        focal_loss(LOGITS, jnp.array([0, 4, 1, 1, 1]))
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        focal_loss(LOGITS, jax.nn.one_hot(LABELS, 4))
    value, slope = jax.jit(jax.value_and_grad(lambda x, y: focal_loss(x, y, reduction="sum")))(
        LOGITS, jnp.array([0, -1, 1, 2, 2])
    )
    assert np.isnan(value)
    assert np.isnan(slope[1]).all()
    assert np.isfinite(slope[2:]).all()
    ignored = focal_loss(LOGITS, LABELS.at[1].set(-100), ignore_index=-100, reduction="mean")
    keep = np.array([True, False, True, True, True])
    np.testing.assert_allclose(
        ignored, focal_loss(LOGITS, LABELS, where=keep, reduction="mean"), rtol=2e-7
    )
