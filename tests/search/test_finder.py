"""The finder trains a copy, rises by a constant factor and stops where the quadratic diverges."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax import optim
from xentjax.models import MLP, MLPConfig
from xentjax.search.finder import lr_find
from xentjax.train import TrainState, from_apply

ONES = [{"x": np.ones(1, np.float32)}] * 100


def quadratic(model, batch, key):
    """w² / 2 for w = model(): gradient descent multiplies w by 1 − η."""
    del batch, key
    return model() ** 2 / 2, jnp.float32(1.0), {}


def test_the_losses_are_those_of_gradient_descent_at_the_rising_rates():
    model = from_apply(lambda w: w, jnp.float32(1.0))
    found = lr_find(
        model, ONES, quadratic, optimizer="sgd", low=1e-3, high=100.0, steps=51, smoothing=0.0
    )
    rates = 1e-3 * 1e5 ** (np.arange(51) / 50)
    kept = len(found.rates)
    # exp of a float32 exponent up to 12 is off by 12 roundings.
    np.testing.assert_allclose(found.rates, rates[:kept], rtol=16 * np.finfo(np.float32).eps)
    w = np.concatenate([[1.0], np.cumprod(1 - rates)])
    # Relative to the first loss: near η = 1 the loss nearly vanishes.
    np.testing.assert_allclose(found.losses, w[:kept] ** 2 / 2, atol=1e-5)
    # It diverges from η = 2 on, and is given up soon after.
    assert 2 < found.rates[-1] < 10
    assert found.stopped_at == kept - 1


def test_the_state_passed_is_not_changed_and_its_parameters_are_used():
    rng = np.random.default_rng(0)
    data = {
        "features": rng.normal(size=(64, 4)).astype(np.float32),
        "labels": rng.integers(0, 3, 64).astype(np.int32),
    }
    model = MLP(MLPConfig(in_features=4, hidden_features=(), classes=3), rngs=nnx.Rngs(0))
    state = TrainState.create(model, optax.adam(0.1), key=jax.random.key(1))
    before = jax.tree.map(np.asarray, state.params)
    found = lr_find(state, data, optimizer=optim.adam, steps=20, batch_size=32, seed=2)
    for ours, theirs in zip(jax.tree.leaves(state.params), jax.tree.leaves(before), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = lr_find(model, data, optimizer="adam", steps=20, batch_size=32, seed=2)
    np.testing.assert_array_equal(found.losses, again.losses)
    other = lr_find(model, data, optimizer="adam", steps=20, batch_size=32, seed=3)
    assert not np.array_equal(found.losses[:5], other.losses[:5])


def test_a_gradient_that_is_not_finite_ends_the_test():
    def broken(model, batch, key):
        del key
        return jnp.sqrt(model() - batch["x"][0]), jnp.float32(1.0), {}  # √0: the slope is infinite

    model = from_apply(lambda w: w, jnp.float32(1.0))
    found = lr_find(model, ONES, broken, optimizer="sgd")
    assert found.stopped_at == 0
    assert "loss of the first batch is not finite" in found.notes[0]


def test_batches_that_end_are_used_up():
    def constant(model, batch, key):  # it never diverges
        del batch, key
        return 0 * model() + 1, jnp.float32(1.0), {}

    model = from_apply(lambda w: w, jnp.float32(1.0))
    with pytest.raises(ValueError, match="batches ended after 100 of 200 steps"):
        lr_find(model, iter(ONES), constant, optimizer="sgd", steps=200)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"low": 0.0}, ValueError, "0 < low < high, got 0.0 and 10.0"),
        ({"low": 1.0, "high": 0.1}, ValueError, "0 < low < high"),
        ({"steps": 4}, ValueError, "steps must be at least 5"),
        ({"smoothing": 1.0}, ValueError, r"smoothing must be in \[0, 1\), got 1.0"),
        ({"divergence": 1.0}, ValueError, "divergence must be above 1, got 1.0"),
        ({"steps_per_call": 0}, ValueError, "steps_per_call must be at least 1"),
        ({"optimizer": optax.sgd(0.1)}, TypeError, "a function from a learning rate to an optim"),
        ({"optimizer": "adamm"}, ValueError, "did you mean 'adam'"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, error, message):
    # A constant: it never diverges, and the batches are used up.
    def constant(model, batch, key):
        del batch, key
        return 0 * model() + 1, jnp.float32(1.0), {}

    with pytest.raises(error, match=message):
        lr_find(
            from_apply(lambda w: w, jnp.float32(1.0)),
            ONES,
            constant,
            **{"optimizer": "sgd"} | options,
        )
