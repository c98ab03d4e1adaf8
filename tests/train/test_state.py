"""The state holds the whole model, and leaves the caller's own arrays alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.models import MLP, MLPConfig
from xentjax.train import TrainState


def mlp(seed=0, dropout=0.0):
    config = MLPConfig(in_features=4, hidden_features=(8,), classes=3, dropout=dropout)
    return MLP(config, rngs=nnx.Rngs(seed))


def test_to_model_gives_back_the_model_in_evaluation_mode():
    model, x = mlp(dropout=0.5), jnp.ones((2, 4))
    state = TrainState.create(model, optax.adam(0.1), key=jax.random.key(0))
    model.eval()
    np.testing.assert_array_equal(state.to_model()(x), model(x))


def test_the_model_and_the_copy_outlive_the_state():
    model = mlp()
    state = TrainState.create(model, optax.adam(0.1), key=jax.random.key(0))
    copy, rebuilt = state.copy(), state.to_model()
    for leaf in jax.tree.leaves(state):
        leaf.delete()
    np.testing.assert_array_equal(rebuilt(jnp.ones((1, 4))), model(jnp.ones((1, 4))))
    np.testing.assert_array_equal(copy.to_model()(jnp.ones((1, 4))), model(jnp.ones((1, 4))))


def test_parameter_count_is_weights_and_biases():
    state = TrainState.create(mlp(), optax.sgd(0.1), key=jax.random.key(0))
    assert state.parameter_count == (4 * 8 + 8) + (8 * 3 + 3)


def test_states_of_equal_configurations_share_their_structure():
    states = [TrainState.create(mlp(s), optax.sgd(0.1), key=jax.random.key(s)) for s in (0, 1)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])


def test_a_model_without_parameters_is_refused():
    with pytest.raises(ValueError, match=r"Dropout without any nnx.Param"):
        TrainState.create(nnx.Dropout(0.5, rngs=nnx.Rngs(0)), optax.sgd(0.1), key=jax.random.key(0))
