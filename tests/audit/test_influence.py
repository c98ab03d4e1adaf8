"""Influence is what retraining without an example does, and what a loop of gradients says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from flax import nnx

from xentjax.audit.faithfulness import spearman
from xentjax.audit.influence import gradient_influence, head_influence
from xentjax.models import MLP, MLPConfig

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3)).astype(np.float32)
Y = (X[:, 0] + 0.8 * RNG.normal(size=60) > 0).astype(np.int64)
TESTS = RNG.normal(size=(4, 3)).astype(np.float32)
TEST_Y = (TESTS[:, 0] > 0).astype(np.int64)
DECAY = 0.1


def fitted(x, y):
    """Softmax regression with a little decay, to its optimum in float64 (scipy)."""

    def loss(flat):
        w = flat.reshape(4, 2)
        inputs = np.c_[x, np.ones(len(x))].astype(np.float64)
        logits = inputs @ w
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        value = -np.log(p[np.arange(len(y)), y]).mean() + DECAY / 2 * (flat**2).sum()
        gradient = inputs.T @ (p - np.eye(2)[y]) / len(y) + DECAY * w
        return value, gradient.ravel()

    return scipy.optimize.minimize(loss, np.zeros(8), jac=True, tol=1e-12).x.reshape(4, 2)


def losses(w, x, y):
    logits = np.c_[x, np.ones(len(x))].astype(np.float64) @ w
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]


def as_model(w):
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    model.kernel[...] = jnp.asarray(w[:3], jnp.float32)
    assert model.bias is not None
    model.bias[...] = jnp.asarray(w[3], jnp.float32)
    return model


@pytest.fixture(scope="module")
def net():
    shape = MLPConfig(in_features=3, hidden_features=(7,), classes=3, dropout=0.5)
    model = MLP(shape, rngs=nnx.Rngs(1))
    model.eval()
    return model


def test_influence_orders_examples_as_retraining_without_them_does():
    w = fitted(X, Y)
    found = gradient_influence(as_model(w), X, Y, TESTS, TEST_Y)
    before = losses(w, TESTS, TEST_Y)
    without = [fitted(np.delete(X, i, 0), np.delete(Y, i)) for i in range(60)]
    harm = np.array([losses(one, TESTS, TEST_Y) - before for one in without])
    agreement = [spearman(found.dot[t], harm[:, t]) for t in range(4)]
    # Of 60 unrelated numbers 1/√59 = 0.13 is one standard deviation: five of them.
    assert min(agreement) > 0.65
    assert np.mean(agreement) > 0.8


def test_a_copy_of_the_test_example_comes_first_and_with_another_label_last(net):
    x, y = np.concatenate([X, TESTS[:1], TESTS[:1]]), np.concatenate([Y, [0, 1]])
    found = gradient_influence(net, x, y, TESTS[:1], np.array([0]))
    assert found.most(0, 1).tolist() == [60]
    np.testing.assert_allclose(found.cosine[0, 60], 1, atol=1e-5)
    assert found.dot[0, 61] < 0
    assert np.abs(found.cosine).max() <= 1 + 1e-5


def test_it_equals_a_loop_of_gradients_whatever_is_held_at_once(net):
    graph, params, rest = nnx.split(net, nnx.Param, ...)

    def gradient(x, y):
        def loss(params):
            return -jax.nn.log_softmax(nnx.merge(graph, params, rest)(jnp.asarray(x)[None]))[0, y]

        return np.concatenate([np.ravel(g) for g in jax.tree.leaves(jax.grad(loss)(params))])

    rows = np.array([gradient(x, y) for x, y in zip(X[:5], Y[:5], strict=True)], np.float64)
    tests = np.array([gradient(x, y) for x, y in zip(TESTS, TEST_Y, strict=True)], np.float64)
    lengths = np.linalg.norm(tests, axis=1)[:, None] * np.linalg.norm(rows, axis=1)[None]
    for together in (1, 2, 16):
        found = gradient_influence(net, X[:5], Y[:5], TESTS, TEST_Y, together=together)
        np.testing.assert_allclose(found.dot, tests @ rows.T, atol=1e-5)
        np.testing.assert_allclose(found.cosine, tests @ rows.T / lengths, atol=1e-5)


def test_of_the_head_alone_it_is_the_full_one_of_a_linear_model():
    model = nnx.Linear(3, 4, rngs=nnx.Rngs(3))
    labels = RNG.integers(0, 4, 60)
    full = gradient_influence(model, X, labels, TESTS, TEST_Y)
    head = head_influence(
        X,
        np.asarray(model(jnp.asarray(X))),
        labels,
        TESTS,
        np.asarray(model(jnp.asarray(TESTS))),
        TEST_Y,
    )
    np.testing.assert_allclose(head.dot, full.dot, atol=1e-5)
    np.testing.assert_allclose(head.cosine, full.cosine, atol=1e-5)


def test_an_example_without_gradient_has_no_influence():
    sure = np.array([[200.0, -200.0]], np.float32)
    one, label = np.ones((1, 1), np.float32), np.array([0])
    found = head_influence(one, sure, label, one, sure, label)
    assert found.dot.tolist() == [[0.0]]
    assert found.cosine.tolist() == [[0.0]]


def test_what_does_not_fit_is_refused(net):
    with pytest.raises(ValueError, match=r"test_labels must lie in \[0, 3\), got 3 at position 0"):
        gradient_influence(net, X, Y, TESTS[:1], np.array([3]))
    with pytest.raises(ValueError, match="together must be at least 1"):
        gradient_influence(net, X, Y, TESTS, TEST_Y, together=0)
    with pytest.raises(TypeError, match=r"wanted a flax\.nnx module"):
        gradient_influence(lambda x: x, X, Y, TESTS, TEST_Y)
    with pytest.raises(ValueError, match="gradients must be finite"):
        head_influence(X * np.float32(1e38), X, Y, X * np.float32(1e38), X, Y)


def test_directions_of_sure_answers_do_not_underflow():
    """Margins of 50 and 60 nats: the squares of the gradients are below float32."""
    hidden = np.ones((2, 3), np.float32)
    logits, labels = np.array([[50.0, 0.0], [60.0, 0.0]], np.float32), np.zeros(2, int)
    found = head_influence(hidden, logits, labels, hidden, logits, labels)
    # All gradients point the same way.
    np.testing.assert_allclose(found.cosine, 1, rtol=1e-5)
