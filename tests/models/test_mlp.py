"""The MLP computes its formula, drops units in training only, and works functionally."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.models import MLP, MLPConfig

CONFIG = MLPConfig(in_features=6, hidden_features=(16, 8), classes=3, activation="tanh")
X = jax.random.normal(jax.random.key(1), (5, 6))


def test_logits_are_the_head_of_the_hidden_states_by_numpy():
    model = MLP(CONFIG, rngs=nnx.Rngs(0))
    h = np.asarray(X, np.float64)
    for layer in model.layers:
        h = np.tanh(h @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...]))
    # Sums of at most 16 terms of order 1 in float32.
    tolerance = {"rtol": 0, "atol": 32 * np.finfo(np.float32).eps}
    np.testing.assert_allclose(model.hidden(X), h, **tolerance)
    logits = h @ np.asarray(model.head_weight) + np.asarray(model.head.bias[...])
    np.testing.assert_allclose(model(X), logits, **tolerance)


def test_leading_dimensions_pass_through():
    model = MLP(CONFIG, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(
        model(X.reshape(1, 5, 6))[0], model(X), rtol=0, atol=16 * np.finfo(np.float32).eps
    )
    assert model.hidden(X[0]).shape == (8,)


def test_without_hidden_layers_it_is_softmax_regression():
    model = MLP(MLPConfig(in_features=6, hidden_features=(), classes=3), rngs=nnx.Rngs(0))
    np.testing.assert_array_equal(model.hidden(X), X)
    assert model.head.kernel.shape == (6, 3)


def test_dropout_drops_its_share_in_training_and_nothing_in_evaluation():
    config = MLPConfig(in_features=6, hidden_features=(4096,), activation="sigmoid", dropout=0.25)
    model = MLP(config, rngs=nnx.Rngs(0))
    model.eval()
    kept = model.hidden(X[:1])
    np.testing.assert_array_equal(model.hidden(X[:1]), kept)
    model.train()
    first, second = model.hidden(X[:1]), model.hidden(X[:1])
    assert not np.array_equal(first, second)
    # Sigmoids are never 0. 4096 draws: standard error 0.0068; five of them.
    assert abs(np.mean(first == 0) - 0.25) < 0.034
    np.testing.assert_allclose(first[first != 0], (kept / 0.75)[first != 0], rtol=1e-6)


def test_split_merge_jit_and_grad_work_with_dropout_in_a_pure_function():
    """The shape of a functional train step: state in, state out, dropout's counter with it."""
    config = MLPConfig(in_features=6, hidden_features=(64,), classes=3, dropout=0.5)
    model = MLP(config, rngs=nnx.Rngs(0))
    model.train()
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, rest, x):
        model = nnx.merge(graphdef, params, rest, copy=True)
        return jnp.sum(model(x) ** 2), nnx.split(model, nnx.Param, ...)[2]

    step = jax.jit(jax.value_and_grad(loss, has_aux=True))
    (first, next_rest), grads = step(params, rest, X)
    (again, _), _ = step(params, rest, X)
    (second, _), _ = step(params, next_rest, X)
    assert first == again  # a function of its arguments
    assert first != second  # and of dropout's counter, which moves on
    assert all(np.any(np.asarray(grad)) for grad in jax.tree.leaves(grads))
    assert jax.tree.structure(grads) == jax.tree.structure(params)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_features": 0}, "in_features, hidden_features and classes must be at least 1"),
        ({"hidden_features": (8, 0)}, r"\(8, 0\)"),
        ({"classes": 0}, "and 0"),
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"activation": "relu6"}, "did you mean 'relu'"),
    ],
)
def test_impossible_configs_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        MLPConfig(**{"in_features": 6, **options})


def test_rows_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"in_features = 6, got shape \(5, 7\)"):
        MLP(CONFIG, rngs=nnx.Rngs(0))(jnp.ones((5, 7)))
