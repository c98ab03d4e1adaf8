"""Contestants of the benches agree at tiny sizes, on every row that has a peer."""

import dataclasses

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

    for name, score in metrics.SCORES.items():
        ready = prepare(metrics.lineup(score, 200, 7), None, 1e-5)
        assert ready.left_out == {}, name
        assert len(ready.lineup) > 1


CNN_CONFIG = CNNConfig(widths=(4, 8))


def make_cnn():
    return CNN(CNN_CONFIG, rngs=nnx.Rngs(0))


def test_the_cnns_of_flax_layers_and_of_torch_are_the_same_function():
    torch = pytest.importorskip("torch", reason='a contestant: pip install "xentjax[bench]"')
    from bench.flax_cnn import with_flax_layers
    from bench.torch_cnn import TorchCNN, load_weights
    from bench.training_loops import weights_of

    images = np.random.default_rng(0).standard_normal((6, 8, 8, 1), np.float32)
    called = nnx.jit(lambda model, x: model(x))
    expected = called(make_cnn(), jnp.asarray(images))
    flax = with_flax_layers(make_cnn())
    assert isinstance(flax.blocks[1].shortcut, nnx.Conv)
    torch_cnn = load_weights(TorchCNN(CNN_CONFIG), weights_of(make_cnn()))
    found = torch_cnn(torch.from_numpy(np.moveaxis(images, -1, 1).copy())).detach().numpy()
    # Sums of at most 9 · 8 products, five layers deep, each normalised: a few hundred eps.
    for logits in (called(flax, jnp.asarray(images)), found):
        np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=5e-5)
    with pytest.raises(ValueError, match="no place for"):
        load_weights(TorchCNN(CNN_CONFIG), weights_of(make_cnn()) | {"more.bias": jnp.zeros(1)})


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
