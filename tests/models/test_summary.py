"""Totals are those of the model's own leaves, and FLOPs those of a count by hand."""

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from xentjax.models.cnn import CNN, CNNConfig
from xentjax.models.gpt import GPT, GPTConfig
from xentjax.models.mlp import MLP, MLPConfig
from xentjax.models.rnn import RNN, RNNConfig
from xentjax.models.summary import summarize


def shape(*dims, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(dims, dtype)


def mlp():
    model = MLP(MLPConfig(in_features=6, hidden_features=(16, 8), classes=3), rngs=nnx.Rngs(0))
    return model, shape(5, 6), 2 * 5 * (6 * 16 + 16 * 8 + 8 * 3)


def cnn():
    config = CNNConfig(in_channels=2, widths=(4, 6), classes=3)
    model = nnx.eval_shape(lambda: CNN(config, rngs=nnx.Rngs(0)))  # shapes will do
    # Per pixel of the first stage: stem, two convolutions; of the second: 3×3, 3×3 and 1×1.
    first, second = 8 * 5, 4 * 3
    terms = first * 9 * (2 * 4 + 2 * 4 * 4) + second * (9 * (4 * 6 + 6 * 6) + 4 * 6) + 6 * 3
    return model, shape(7, 8, 5, 2), 2 * 7 * terms


def rnn():
    config = RNNConfig(vocab_size=9, classes=3, embedding=5, width=8, bidirectional=True)
    # Per token and direction: input and hidden to four gates; then the head.
    return (
        RNN(config, rngs=nnx.Rngs(0)),
        shape(2, 6, dtype=jnp.int32),
        2 * 12 * (2 * (5 * 32 + 8 * 32) + 16 * 3),
    )


def gpt():
    config = GPTConfig(vocab_size=50, block_size=16, layers=2, heads=2, width=8)
    model = GPT(config, rngs=nnx.Rngs(0))
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    # Each matrix once a token, the tied embedding as the head; scores and mixture in attention.
    matrices = sum(leaf.size for leaf in leaves if leaf.ndim == 2)
    return model, shape(3, 16, dtype=jnp.int32), 2 * 48 * matrices + 2 * 4 * 3 * 16 * 16 * 8


@pytest.mark.parametrize("make", [mlp, cnn, rnn, gpt])
def test_totals_are_the_models_leaves_and_flops_a_count_by_hand(make):
    model, example, flops = make()
    summary = summarize(model, example)
    leaves = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert summary.parameters == sum(leaf.size for leaf in leaves)
    assert summary.parameter_bytes == 4 * summary.parameters  # float32
    assert summary.flops == flops
    assert not summary.has_unbounded_loop


def test_rows_say_where_what_shape_and_how_much():
    model, example, _ = mlp()
    rows = [
        (row.path, row.type, row.output_shapes, row.parameters, row.flops, row.output_bytes)
        for row in summarize(model, example).layers
    ]
    hidden = [row for row in rows if not row[0].startswith("dropouts")]
    assert hidden == [
        ("", "MLP", ((5, 3),), 0, 0, 0),
        ("layers.0", "Linear", ((5, 16),), 6 * 16 + 16, 2 * 5 * 6 * 16, 4 * 5 * 16),
        ("layers.1", "Linear", ((5, 8),), 16 * 8 + 8, 2 * 5 * 16 * 8, 4 * 5 * 8),
        ("head", "Linear", ((5, 3),), 8 * 3 + 3, 2 * 5 * 8 * 3, 4 * 5 * 3),
    ]


def test_arrays_do_as_well_as_shapes_and_keywords_as_well_as_positions():
    model, _, flops = rnn()
    tokens = jnp.zeros((2, 6), jnp.int32)
    assert summarize(model, tokens, lengths=jnp.array([6, 2])).flops == flops


def test_a_layer_never_called_still_has_its_parameters():
    class Spare(nnx.Module):
        def __init__(self):
            self.used = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
            self.spare = nnx.Linear(4, 5, rngs=nnx.Rngs(0))

        def __call__(self, x):
            return self.used(x)

    last = summarize(Spare(), shape(1, 2)).layers[-1]
    assert (last.path, last.output_shapes, last.parameters, last.flops) == ("spare", (), 25, 0)


def test_text_is_a_table_with_totals():
    model, example, flops = mlp()
    lines = str(summarize(model, example)).splitlines()
    assert lines[0].split()[:3] == ["layer", "type", "output"]
    assert lines[1].split()[:3] == ["(model)", "MLP", "[5,"]
    assert lines[-1].split()[:3] == ["total", "275", f"{flops:,}"]
    assert len({len(line) for line in lines}) == 1


def test_what_is_no_nnx_module_is_refused():
    with pytest.raises(TypeError, match=r"flax\.nnx module, got function"):
        summarize(lambda x: x)
