"""A trace is listened to without touching the model, its class or the memory."""

import jax
import jax.numpy as jnp
from flax import nnx

from xentjax.models.layer_calls import trace_calls
from xentjax.models.mlp import MLP, MLPConfig

X = jax.ShapeDtypeStruct((2, 4), jnp.float32)


class Twice(nnx.Module):
    """One layer called twice, and one that returns what it was given."""

    def __init__(self):
        self.shared = nnx.Linear(4, 4, rngs=nnx.Rngs(0))
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(0))

    def __call__(self, x):
        return self.dropout(self.shared(self.shared(x)))


def test_calls_come_in_order_and_an_array_counts_for_whoever_returned_it_first():
    _, calls = trace_calls(Twice(), (X,), {})
    assert [call.path for call in calls] == [(), ("shared",), ("dropout",)]
    assert [call.new_bytes for call in calls] == [0, 2 * (2 * 4 * 4), 0]
    assert all(call.shapes == ((2, 4),) for call in calls)


def test_the_model_and_its_class_are_as_before():
    model = MLP(MLPConfig(in_features=4, dropout=0.5), rngs=nnx.Rngs(0))
    before = [(type(module), vars(module).keys()) for _, module in nnx.iter_modules(model)]
    state = jax.tree.map(jnp.copy, nnx.state(model))
    graphdef = nnx.graphdef(model)
    trace_calls(model, (X,), {})
    after = [(type(module), vars(module).keys()) for _, module in nnx.iter_modules(model)]
    assert before == after
    assert graphdef == nnx.graphdef(model)
    assert all(map(jnp.array_equal, jax.tree.leaves(state), jax.tree.leaves(nnx.state(model))))
    assert not model.dropouts[0].deterministic
