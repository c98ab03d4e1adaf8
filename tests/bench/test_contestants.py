"""Contestants of the benches agree at tiny sizes, on every row that has a peer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from bench import growth, search, sharded
from bench.growth_picture import draw_growth
from bench.lineup import DisagreementError, prepare
from bench.search import EACH, ONCE, SWEEP, Cost
from tests.bench.records import contest, memory
from xentjax.fused.cases import Case
from xentjax.models import CNN, CNNConfig


def test_a_loss_over_eight_devices_is_that_of_one():
    ready = prepare(sharded.lineup(Case(16, 8, 64), sharded.Split(2, 4)), None, sharded.TOLERANCE)
    assert len(ready.lineup) == 3
    assert ready.left_out == {}


def test_memory_grows_with_n_for_dense_logits_and_not_for_tiles():
    figures = {}
    for n in (1024, 4096):
        heat = growth.Heat("memory", str(n), growth.planned_memory)
        found = growth.planned_memory(Case(n, 16, 4096), heat, growth.Effort())
        figures |= {(entry.name, n): entry.samples[0] for entry in found.entries}
    logits = 4 * 4096 * 4096
    assert figures[growth.OPTAX, 4096] >= logits
    # Four times the tokens: a tile stays, and only arrays of [N] grow.
    assert figures[growth.XENTJAX, 4096] - figures[growth.XENTJAX, 1024] < logits / 50


def test_growth_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    curves = [
        dataclasses.replace(row, table=growth.table(what, axis, growth.CENTRE), case=str(size))
        for what, row in (("memory", memory()), ("time", contest()))
        for axis in "nv"
        for size in (64, 128)
    ]
    draw_growth(curves, tmp_path / "docs" / "growth.png")
    assert (tmp_path / "docs" / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_every_metric_equals_its_peers():
    pytest.importorskip("sklearn")
    from bench import metrics

    predictions = metrics.drawn(200, 7)
    for name, score in metrics.SCORES.items():
        ready = prepare(metrics.lineup(score, predictions), None, 1e-5)
        assert ready.left_out == {}, name
        assert len(ready.lineup) > 1


@pytest.fixture
def cnn():
    config = CNNConfig(widths=(4, 8))
    images = np.random.default_rng(0).standard_normal((6, 8, 8, 1), np.float32)
    return config, images, lambda: CNN(config, rngs=nnx.Rngs(0))


def test_the_cnn_of_flax_layers_is_the_same_function(cnn):
    from bench.flax_cnn import with_flax_layers

    _, images, make = cnn
    theirs = with_flax_layers(make())
    assert not any(isinstance(m, type(make().stem)) for _, m in nnx.iter_modules(theirs))
    expected = jax.jit(make())(jnp.asarray(images))
    # Sums of at most 9 · 8 products, five layers deep.
    np.testing.assert_allclose(theirs(jnp.asarray(images)), expected, rtol=1e-4, atol=1e-5)


def test_the_cnn_of_torch_is_the_same_function(cnn):
    torch = pytest.importorskip("torch", reason='a contestant: pip install "xentjax[bench]"')
    from bench.torch_cnn import TorchCNN, load_weights
    from bench.training_loops import weights_of

    config, images, make = cnn
    theirs = load_weights(TorchCNN(config), weights_of(make()))
    found = theirs(torch.from_numpy(np.moveaxis(images, -1, 1).copy())).detach().numpy()
    np.testing.assert_allclose(found, make()(jnp.asarray(images)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="no place for"):
        load_weights(TorchCNN(config), weights_of(make()) | {"more.bias": jnp.zeros(1)})


def test_searches_must_reach_the_same_losses():
    costs = {
        SWEEP: Cost(1, 1, (0.1,)),
        ONCE: Cost(1, 1, (0.3, 0.1)),
        EACH: Cost(1, 1, (0.3,)),
    }
    assert search.agreement(costs) == "validation losses differ by at most 0.0e+00"
    for name in (SWEEP, EACH):
        with pytest.raises(DisagreementError):
            search.agreement(costs | {name: Cost(1, 1, (0.2,))})
