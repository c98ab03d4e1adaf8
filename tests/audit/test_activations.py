"""Sigmoids vanish, large weights explode, shut relus are dead; a good start is none of these."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.activations import gradient_ratio, layer_sizes
from xentjax.models import CNN, MLP, CNNConfig, MLPConfig

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 40)


def net(activation="relu", depth=3, gain=1.0):
    shape = MLPConfig(
        in_features=6, hidden_features=(16,) * depth, classes=3, activation=activation
    )
    model = MLP(shape, rngs=nnx.Rngs(0))
    for layer in model.layers:
        layer.kernel[...] = layer.kernel[...] * gain
    return model


def test_sizes_and_gradients_equal_those_by_hand():
    model = net(depth=1)
    w, b = (np.asarray(v[...], np.float64) for v in (model.layers[0].kernel, model.layers[0].bias))
    v = np.asarray(model.head.kernel[...], np.float64)
    before = X @ w + b
    hidden = np.maximum(before, 0)
    logits = hidden @ v + np.asarray(model.head.bias[...])
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    miss = p - np.eye(3)[Y]
    back = (miss @ v.T) * (before > 0)
    first, last = layer_sizes(model, X, Y)
    assert (first.name, last.name) == ("layers.0", "head")
    np.testing.assert_allclose(first.reads_std, X.std(), rtol=1e-5)
    np.testing.assert_allclose(
        [last.reads_mean, last.reads_std], [hidden.mean(), hidden.std()], rtol=1e-5
    )
    assert last.dead == (hidden == 0).all(axis=0).mean()
    np.testing.assert_allclose(last.gradient_by_row, np.linalg.norm(miss, axis=1), rtol=1e-4)
    np.testing.assert_allclose(first.gradient_by_row, np.linalg.norm(back, axis=1), rtol=1e-4)
    np.testing.assert_allclose(
        first.weight_gradient,
        np.sqrt(((X.T @ back / 40) ** 2).sum() + (back.mean(axis=0) ** 2).sum()),
        rtol=1e-4,
    )
    np.testing.assert_allclose(last.weight_size, np.sqrt((v**2).sum()), rtol=1e-5)


def test_a_deep_sigmoid_net_vanishes_and_a_good_start_does_not():
    vanished = gradient_ratio(layer_sizes(net("sigmoid", depth=8), X, Y, bounds=(0.0, 1.0)))
    # Eight times at most 1/4, and weights of this start that do not make up for it.
    assert vanished.high < 0.25**8 * 100
    assert 0.1 < gradient_ratio(layer_sizes(net("relu", depth=3, gain=2**0.5), X, Y)).value < 10


def test_a_start_with_large_weights_explodes():
    exploded = gradient_ratio(layer_sizes(net("relu", depth=8, gain=5.0), X, Y))
    assert exploded.low > 100


def test_a_layer_shut_by_its_bias_is_dead_and_only_that():
    model = net(depth=3)
    model.layers[1].bias[...] = model.layers[1].bias[...] - 1000.0
    dead = {layer.name: layer.dead for layer in layer_sizes(model, X, Y)}
    assert dead["layers.0"] is None
    assert dead["layers.2"] == 1
    assert dead["layers.1"] is not None
    assert dead["layers.1"] < 0.5
    assert layer_sizes(model, X, Y)[0].gradient == 0


@pytest.mark.parametrize(("activation", "bounds"), [("sigmoid", (0.0, 1.0)), ("tanh", (-1.0, 1.0))])
def test_large_weights_saturate_what_is_bounded(activation, bounds):
    loose, tight = (
        layer_sizes(net(activation, depth=1, gain=gain), X, Y, bounds=bounds)[1].saturated
        for gain in (0.1, 1000.0)
    )
    assert loose == 0
    assert tight > 0.95


@pytest.mark.slow
def test_a_cnn_is_listened_to_block_by_block_and_is_not_changed():
    model = CNN(CNNConfig(widths=(2, 3), classes=3), rngs=nnx.Rngs(0))
    images = RNG.normal(size=(5, 4, 4, 1)).astype(np.float32)
    before = jax.tree.leaves(nnx.state(model))
    found = layer_sizes(model, images, Y[:5])
    names = [layer.name for layer in found]
    assert names[0] == "stem"
    assert names[-1] == "head"
    assert "blocks.1.shortcut" in names
    for old, new in zip(before, jax.tree.leaves(nnx.state(model)), strict=True):
        np.testing.assert_array_equal(old, new)
    assert type(model.head) is nnx.Linear


def test_a_layer_called_twice_is_there_twice():
    class Twice(nnx.Module):
        def __init__(self, rngs):
            self.layer = nnx.Linear(6, 6, rngs=rngs)
            self.head = nnx.Linear(6, 3, rngs=rngs)

        def __call__(self, x):
            return self.head(self.layer(jnp.tanh(self.layer(x))))

    found = layer_sizes(Twice(nnx.Rngs(0)), X, Y)
    assert [layer.name for layer in found] == ["layer", "layer", "head"]


def test_what_does_not_fit_is_refused():
    class Bare(nnx.Module):
        def __init__(self):
            self.scale = nnx.Param(jnp.ones(3))

        def __call__(self, x):
            return x[:, :3] * self.scale[...][None]

    with pytest.raises(ValueError, match="calls no layer with a weight"):
        layer_sizes(Bare(), X, Y)
    with pytest.raises(TypeError, match=r"must be a flax\.nnx module"):
        layer_sizes("model", X, Y)  # pyright: ignore
    with pytest.raises(ValueError, match="at least two to compare"):
        gradient_ratio(layer_sizes(net(depth=0), X, Y))
    with pytest.raises(ValueError, match="finite"):
        layer_sizes(net(), X * np.nan, Y)
    still = [
        dataclasses.replace(layer, gradient_by_row=np.zeros(3))
        for layer in layer_sizes(net(), X, Y)
    ]
    with pytest.raises(ValueError, match="is 0 for every row"):
        gradient_ratio(still)
