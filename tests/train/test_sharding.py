"""A mesh changes where numbers lie, never which: eight devices train as one does."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from xentjax import sharded_linear_cross_entropy
from xentjax.models import GPT, MLP, GPTConfig, MLPConfig
from xentjax.train import (
    TrainState,
    cross_entropy,
    make_evaluate,
    make_step,
    padded_batches,
    stack_batches,
    train_loop,
)
from xentjax.train.sharded_batches import local_part, place_batch, place_local_batch
from xentjax.train.sharding import create_sharded, place_state, state_shardings

RNG = np.random.default_rng(0)
STEPS, ROWS = 6, 16
CONFIG = GPTConfig(vocab_size=64, block_size=8, layers=1, heads=2, width=32, dropout=0.1)
# Adam moves a number by at most the learning rate a step, whatever its gradient's scale: a
# gradient rounded otherwise (1e-6 of itself) moves the sum by 1e-6 of that, but where it is
# nearly 0 by more. SGD has no such point, so the bound is eps of parameters and updates.
OPTIMIZER = optax.sgd(0.5, momentum=0.9)
TOLERANCE = 64 * np.finfo(np.float32).eps


def make_mesh(*shape):
    names = ("data", "model")[: len(shape)]
    return jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(shape))


def make_gpt(optimizer=OPTIMIZER):
    return TrainState.create(GPT(CONFIG, rngs=nnx.Rngs(0)), optimizer, key=jax.random.key(1))


def make_tokens(steps=STEPS):
    tokens = RNG.integers(0, CONFIG.vocab_size, (steps, ROWS, 9)).astype(np.int32)
    return {"tokens": tokens[..., :-1], "labels": tokens[..., 1:]}


TOKENS = make_tokens()


@functools.cache
def on_one_device(accumulate):
    step = make_step(cross_entropy(), OPTIMIZER, accumulate=accumulate)
    return jax.device_get(step(make_gpt(), TOKENS))


def assert_same_numbers(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * max(1, np.abs(b).max()))


def gpt_step(mesh, data_axes, vocab_axis_name, accumulate=1):
    loss = functools.partial(
        sharded_linear_cross_entropy,
        mesh=mesh,
        data_axes=data_axes,
        vocab_axis_name=vocab_axis_name,
    )
    objective = cross_entropy(fused=True, linear_loss=loss)
    return make_step(objective, OPTIMIZER, accumulate=accumulate)


def held(tree):
    """Numbers held by the first device, and numbers in all."""
    leaves = jax.tree.leaves(tree)
    return sum(x.addressable_shards[0].data.size for x in leaves), sum(x.size for x in leaves)


LAYOUTS = {
    "data parallel": ((8,), ("data",), None, "replicated", None, 1),
    "FSDP": ((8,), ("data",), None, "fsdp", None, 2),
    "FSDP within groups of replicas": ((4, 2), ("data", "model"), None, "fsdp", "model", 1),
    "data parallel, vocabulary": ((2, 4), ("data",), "model", "replicated", None, 1),
    "FSDP, vocabulary": ((4, 2), ("data",), "model", "fsdp", None, 2),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_gpt_on_eight_devices_trains_as_on_one_by_one_program(layout, caplog):
    shape, data_axes, vocab_axis_name, shard, shard_axes, accumulate = layout
    mesh = make_mesh(*shape)
    specs = {"embedding": P(vocab_axis_name)} if vocab_axis_name else None
    step = gpt_step(mesh, data_axes, vocab_axis_name, accumulate)
    with jax.set_mesh(mesh), jax.log_compiles():
        state = place_state(
            make_gpt(), mesh, shard=shard, shard_axes=shard_axes, specs=specs, min_size=256
        )
        lies = [leaf.sharding for leaf in jax.tree.leaves(state)]
        for part in (slice(0, 3), slice(3, 6)):
            before = state
            stacked = {name: array[part] for name, array in TOKENS.items()}
            state, metrics = step(before, place_batch(stacked, mesh, data_axes=data_axes))
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
            for leaf, sharding in zip(jax.tree.leaves(state), lies, strict=True):
                assert leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
    compiled = [r.message for r in caplog.records if "XLA compilation of jit(step)" in r.message]
    assert len(compiled) == 1, caplog.text
    wanted, sums = on_one_device(accumulate)
    assert_same_numbers((state.params, state.opt_state), (wanted.params, wanted.opt_state))
    np.testing.assert_allclose(metrics["loss_total"], sums["loss_total"][3:], rtol=TOLERANCE)
