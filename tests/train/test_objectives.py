"""The objectives are the formula, with masks, weights, smoothing and ignored labels."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax import sigmoid_cross_entropy
from xentjax.models import GPT, MLP, GPTConfig, MLPConfig
from xentjax.train import cross_entropy, supervised
from xentjax.train import objectives as module

RNG = np.random.default_rng(0)


def expected(logits, labels, scale, smoothing):
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    nll = -np.take_along_axis(log_p, labels[..., None], -1)[..., 0]
    losses = (1 - smoothing) * nll - smoothing * log_p.mean(-1)
    return (losses * scale).sum(), (logits.argmax(-1) == labels) & (scale > 0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("shape", [(7,), (3, 5)])
def test_an_objective_sums_the_kept_losses_and_counts_the_kept_hits(shape, smoothing):
    logits = RNG.normal(size=(*shape, 4))
    labels = RNG.integers(0, 4, shape).astype(np.int32)
    where = RNG.random(shape) < 0.6
    batch = {"x": logits.astype(np.float32), "labels": labels, "where": where}
    total, weight, sums = cross_entropy(label_smoothing=smoothing)(lambda x: x, batch, None)
    wanted_total, hits = expected(logits, labels, where, smoothing)
    np.testing.assert_allclose(total, wanted_total, rtol=2e-6)
    assert float(weight) == where.sum() == int(sums["count"])
    assert int(sums["correct"]) == hits.sum()
    del batch["where"]
    _, weight, sums = cross_entropy()(lambda x: x, batch, None)
    assert float(weight) == labels.size == int(sums["count"])


def test_ignored_labels_and_class_weights_are_in_the_loss_and_in_the_weight():
    logits = RNG.normal(size=(6, 3))
    labels = np.array([0, 1, 2, -100, 1, -100], np.int32)
    class_weights, weights = np.array([1.0, 2.0, 4.0]), np.array([1, 1, 2, 5, 3, 5.0])
    batch = {"x": logits.astype(np.float32), "labels": labels, "weights": weights}
    objective = cross_entropy(ignore_index=-100, class_weights=class_weights)
    total, weight, _ = objective(lambda x: x, batch, None)
    scale = np.where(labels < 0, 0, weights * class_weights[np.maximum(labels, 0)])
    wanted, _ = expected(logits, np.where(labels < 0, 0, labels), scale, 0.0)
    np.testing.assert_allclose(total, wanted, rtol=2e-6)
    np.testing.assert_allclose(weight, scale.sum(), rtol=1e-6)


def models():
    tokens = jnp.asarray(RNG.integers(0, 11, (2, 8)).astype(np.int32))
    yield GPT(GPTConfig(vocab_size=11, block_size=8, layers=1, width=16), rngs=nnx.Rngs(0)), tokens
    features = jnp.asarray(RNG.normal(size=(2, 4)).astype(np.float32))
    yield MLP(MLPConfig(in_features=4, classes=11), rngs=nnx.Rngs(0)), features


@pytest.mark.parametrize("which", [0, 1], ids=["gpt", "mlp"])
def test_the_fused_head_gives_the_dense_loss(which):
    model, x = list(models())[which]
    shape = x.shape if which == 0 else x.shape[:1]
    labels = RNG.integers(0, 11, shape).astype(np.int32)
    labels.flat[0] = -100
    weights = RNG.uniform(0.5, 2, shape).astype(np.float32)
    batch = {"x": x, "labels": labels, "weights": weights}
    fused, dense = (
        cross_entropy(fused=choice, ignore_index=-100, label_smoothing=0.1)(model, batch, None)
        for choice in (True, False)
    )
    np.testing.assert_allclose(fused[0], dense[0], rtol=2e-6)
    np.testing.assert_allclose(fused[1], dense[1], rtol=1e-6)


def test_the_head_is_fused_where_its_logits_would_be_large(monkeypatch):
    model, x = next(models())
    batch = {"tokens": x, "labels": x}
    assert "count" in cross_entropy()(model, batch, None)[2]
    monkeypatch.setattr(module, "_LARGE_LOGITS", x.size * 11)
    assert cross_entropy()(model, batch, None)[2] == {}


def test_any_loss_of_outputs_and_labels_does():
    x, labels = RNG.normal(size=(5, 3)), RNG.integers(0, 2, (5, 3)).astype(np.float64)
    batch = {"x": x.astype(np.float32), "labels": labels.astype(np.float32)}
    total, weight, sums = supervised(sigmoid_cross_entropy)(lambda x: x, batch, None)
    wanted = np.logaddexp(0, x) - labels * x
    np.testing.assert_allclose(total, wanted.sum(), rtol=2e-6)
    assert (float(weight), sums) == (15.0, {})


def test_what_cannot_be_meant_is_refused():
    batch = {"x": jnp.ones((2, 3)), "labels": jnp.zeros(2, jnp.int32)}
    with pytest.raises(ValueError, match="one loss an example, got a single number"):
        supervised(lambda outputs, _: outputs.mean())(lambda x: x, batch, None)
    with pytest.raises(ValueError, match=r"holds \['labels', 'x', 'y'\].* not clear"):
        cross_entropy()(lambda x: x, {**batch, "y": batch["x"]}, None)
    with pytest.raises(ValueError, match="to be 'z'; name it"):
        cross_entropy(inputs="z")(lambda x: x, batch, None)
    with pytest.raises(ValueError, match="fused=True wants a model with hidden"):
        cross_entropy(fused=True)(lambda x: x, batch, None)
    with pytest.raises(ValueError, match="must hold 'labels'"):
        cross_entropy()(lambda x: x, {"x": batch["x"]}, None)
