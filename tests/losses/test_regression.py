"""squared_error and huber_loss against scikit-learn, optax and torch."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics

from xentjax import huber_loss, squared_error

RNG = np.random.default_rng(0)
PREDICTIONS = jnp.asarray(RNG.normal(size=(6, 5)) * 3, jnp.float32)
TARGETS = jnp.asarray(RNG.normal(size=(6, 5)) * 3, jnp.float32)


def test_mean_squared_error_equals_scikit_learn_with_weights():
    weights = jnp.arange(1.0, 7.0)
    got = squared_error(PREDICTIONS[:, 0], TARGETS[:, 0], weights=weights, reduction="mean")
    wanted = sklearn.metrics.mean_squared_error(
        TARGETS[:, 0], PREDICTIONS[:, 0], sample_weight=weights
    )
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


@pytest.mark.parametrize("delta", [0.5, 1.0, 3.0])
def test_huber_equals_optax_in_value_and_gradient(delta):
    def total(loss):
        return jax.value_and_grad(lambda p: jnp.sum(loss(p, TARGETS, delta=delta)))(PREDICTIONS)

    got, slope = total(huber_loss)
    wanted, wanted_slope = total(optax.losses.huber_loss)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    np.testing.assert_allclose(slope, wanted_slope, rtol=1e-6, atol=1e-6)


def test_huber_gradient_is_clipped_and_finite_for_enormous_errors():
    slope = jax.grad(lambda p: jnp.sum(huber_loss(p, jnp.zeros(3), delta=2.0)))(
        jnp.array([1e30, -1e30, 0.5])
    )
    np.testing.assert_array_equal(slope, [2, -2, 0.5])


@pytest.mark.parametrize("loss", [squared_error, huber_loss])
def test_shapes_are_not_broadcast_behind_the_users_back(loss):
    with pytest.raises(ValueError, match=r"targets must have the shape of predictions: got \(6,\)"):
        loss(PREDICTIONS, TARGETS[:, 0])


def test_delta_must_be_positive():
    with pytest.raises(ValueError, match=r"delta must be positive and finite, got 0.0"):
        huber_loss(PREDICTIONS, TARGETS, delta=0.0)


@pytest.mark.parametrize("loss", [squared_error, huber_loss])
def test_masked_elements_leave_no_trace(loss):
    keep = TARGETS > 0
    predictions = jnp.where(keep, PREDICTIONS, jnp.nan)
    got, slope = jax.value_and_grad(lambda p: loss(p, TARGETS, where=keep, reduction="mean"))(
        predictions
    )
    np.testing.assert_allclose(
        got, loss(PREDICTIONS[keep], TARGETS[keep], reduction="mean"), rtol=1e-6
    )
    np.testing.assert_array_equal(slope[~keep], 0)
