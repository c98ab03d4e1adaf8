"""A mesh changes where numbers lie, never which: eight devices train as one does."""

import functools
import math
import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from xentjax import sharded_linear_cross_entropy
from xentjax.models import GPT, GPTConfig
from xentjax.models.dropout import Dropout
from xentjax.train import (
    TrainState,
    cross_entropy,
    from_apply,
    make_evaluate,
    make_step,
    padded_batches,
    train_loop,
)
from xentjax.train.sharded_batches import local_part, place_batch, place_local_batch
from xentjax.train.sharding import create_sharded, place_state, state_shardings

RNG = np.random.default_rng(0)
STEPS, ROWS, TIME = 6, 16, 10
# No product of rows with a width is the size of a parameter, so that what travels can be told.
CONFIG = GPTConfig(vocab_size=64, block_size=TIME, layers=1, heads=2, width=32, dropout=0.1)
OPTIMIZER = optax.sgd(0.5, momentum=0.9)
# Sums over the batch are rounded in another order: some eps of the largest number, for each step.
TOLERANCE = 16 * STEPS * np.finfo(np.float32).eps


def make_mesh(*shape):
    names = ("data", "model")[: len(shape)]
    return jax.make_mesh(shape, names, axis_types=(AxisType.Auto,) * len(shape))


def make_tokens():
    tokens = RNG.integers(0, CONFIG.vocab_size, (STEPS, ROWS, TIME + 1)).astype(np.int32)
    return {"tokens": tokens[..., :-1], "labels": tokens[..., 1:]}


TOKENS = make_tokens()


@functools.cache
def gpt():
    """One state for all tests, which placing it must leave as it was."""
    model = GPT(CONFIG, rngs=nnx.Rngs(0))
    return TrainState.create(model, OPTIMIZER, key=jax.random.key(1))


@functools.cache
def gpt_on_one_device(accumulate):
    step = make_step(cross_entropy(), OPTIMIZER, accumulate=accumulate)
    return jax.device_get(step(gpt().copy(), TOKENS))


def assert_same_numbers(ours, theirs):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE * max(1, np.abs(b).max()))


def lies_as(state, shardings):
    return all(
        leaf.sharding.is_equivalent_to(sharding, leaf.ndim)
        for leaf, sharding in zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True)
    )


def gathered_sizes(compiled):
    """The size of every array that a program brings together from several devices."""
    travelling = re.findall(
        r"= (.*?) (all-gather|all-to-all|collective-permute)", compiled.as_text()
    )
    return {
        math.prod(map(int, dims.split(","))) if dims else 1
        for shapes, _ in travelling
        for dims in re.findall(r"\w+\[([\d,]*)\]", shapes)
    }


slow = pytest.mark.slow
BOTH = ("data", "model")
# mesh, axes of the batch and of the loss's examples, vocabulary's axis, where parameters lie, by
# which axes in parts, micro-batches
LAYOUTS = [
    pytest.param((8,), "data", "data", None, "fsdp", None, 2, id="FSDP", marks=slow),
    pytest.param((4, 2), BOTH, "data", "model", "fsdp", None, 2, id="FSDP, vocabulary"),
    pytest.param(
        (2, 4), "data", "data", "model", "replicated", None, 2, id="data, vocabulary", marks=slow
    ),
    pytest.param((8,), "data", "data", None, "replicated", None, 2, id="data", marks=slow),
    pytest.param((4, 2), BOTH, BOTH, None, "fsdp", "model", 1, id="replicas", marks=slow),
    pytest.param((2, 4), BOTH, "data", "model", "fsdp", "data", 1, id="2 by 4", marks=slow),
]


@pytest.mark.parametrize(
    ("shape", "batch", "data", "vocabulary", "shard", "by", "accumulate"), LAYOUTS
)
def test_a_gpt_on_eight_devices_trains_as_on_one_and_only_parameters_are_gathered(
    shape, batch, data, vocabulary, shard, by, accumulate
):
    mesh = make_mesh(*shape)
    layout = {
        "shard": shard,
        "shard_axes": by,
        "specs": {"embedding": P(vocabulary)} if vocabulary else None,
        "min_size": 256,
    }
    loss = functools.partial(
        sharded_linear_cross_entropy, mesh=mesh, data_axes=data, vocab_axis_name=vocabulary
    )
    step = make_step(cross_entropy(fused=True, linear_loss=loss), OPTIMIZER, accumulate=accumulate)
    halves = [{k: v[part] for k, v in TOKENS.items()} for part in (slice(0, 3), slice(3, 6))]
    with jax.set_mesh(mesh):
        state = place_state(gpt(), mesh, **layout)
        halves = [place_batch(half, mesh, data_axes=batch) for half in halves]
        compiled = step.lower(state, halves[0]).compile()
        for half in halves:
            before = state
            # A compiled program refuses arrays that lie otherwise than the first call's.
            state, metrics = compiled(before, half)
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(before))
            assert lies_as(state, state_shardings(state, mesh, **layout))
    used = zip(state.architecture.used, jax.tree.leaves(state.params), strict=True)
    parameters = {math.prod(sharding.shard_shape(leaf.shape)) for sharding, leaf in used}
    allowed = parameters if shard == "fsdp" else set()
    if batch != data:
        # Devices that share a vocabulary tell each other their tokens, labels and hidden states,
        # and all of them look up rows of the shared embedding.
        tokens = ROWS * TIME // mesh.shape["data"] // accumulate
        allowed |= {tokens, tokens * CONFIG.width, CONFIG.vocab_size * CONFIG.width}
    assert gathered_sizes(compiled) <= allowed
    wanted, sums = gpt_on_one_device(accumulate)
    assert_same_numbers((state.params, state.opt_state), (wanted.params, wanted.opt_state))
    np.testing.assert_allclose(metrics["loss_total"], sums["loss_total"][3:], rtol=TOLERANCE)


class Normed(nnx.Module):
    """What a model may carry beside its parameters: batch statistics, dropout's keys."""

    def __init__(self, rngs):
        self.inward = nnx.Linear(4, 32, rngs=rngs)
        self.norm = nnx.BatchNorm(32, rngs=rngs)
        self.dropout = Dropout(0.25, rngs=rngs)
        self.outward = nnx.Linear(32, 3, rngs=rngs)

    def __call__(self, x):
        return self.outward(self.dropout(jax.nn.relu(self.norm(self.inward(x)))))


@functools.cache
def normed():
    return TrainState.create(Normed(nnx.Rngs(0)), OPTIMIZER, key=jax.random.key(0))


def make_rows(*shape):
    return {
        "features": RNG.normal(1.0, 2.0, size=(*shape, 4)).astype(np.float32),
        "labels": RNG.integers(0, 3, shape).astype(np.int32),
        "weights": RNG.uniform(0, 2, shape).astype(np.float32),
    }


def test_batch_statistics_are_those_of_the_global_batch_and_one_program_does_all_calls(caplog):
    mesh, rows = make_mesh(8), make_rows(STEPS, 32)
    step = make_step(cross_entropy(), OPTIMIZER, accumulate=2)
    wanted, _ = step(normed().copy(), rows)
    state = place_state(normed(), mesh, shard="replicated")
    caplog.clear()
    with jax.log_compiles():
        for first in (0, 2, 4):
            part = {name: array[first : first + 2] for name, array in rows.items()}
            state, _ = step(state, place_batch(part, mesh))
    done = [r for r in caplog.records if "XLA compilation of jit(step)" in r.getMessage()]
    assert len(done) == 1, [r.getMessage() for r in caplog.records]

    def floats(tree):
        return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]

    assert len(floats(wanted.rest)) == 2  # mean and variance
    assert_same_numbers(
        (state.params, state.opt_state, floats(state.rest)),
        (wanted.params, wanted.opt_state, floats(wanted.rest)),
    )


@pytest.mark.slow
def test_a_loop_over_a_mesh_validates_and_keeps_the_best_as_on_one_device():
    mesh, rows, held_out = make_mesh(4, 2), make_rows(STEPS, 32), make_rows(21)
    step, evaluate = make_step(cross_entropy(), OPTIMIZER), make_evaluate(cross_entropy())
    padded = padded_batches(held_out, batch_size=16)
    batches = [{name: array[i] for name, array in rows.items()} for i in range(STEPS)]

    def fit(state, place, validation):
        return train_loop(
            state,
            step,
            batches,
            steps=STEPS,
            steps_per_call=3,
            validate_every=3,
            place=place,
            validate=lambda state: evaluate(state, validation),
        )

    alone = fit(normed(), lambda batch: batch, padded)
    shared = fit(
        place_state(normed(), mesh, min_size=0),
        functools.partial(place_batch, mesh=mesh),
        [place_batch(batch, mesh, batch_axis=0) for batch in padded],
    )
    for ours, theirs in zip(shared.records, alone.records, strict=True):
        assert (ours.step, ours.split, ours.items) == (theirs.step, theirs.split, theirs.items)
        np.testing.assert_allclose(ours.loss_nats, theirs.loss_nats, rtol=TOLERANCE)
    assert shared.best_step == alone.best_step
    x = jnp.asarray(held_out["features"])
    np.testing.assert_allclose(
        shared.best.to_model()(x), alone.best.to_model()(x), atol=8 * TOLERANCE
    )


def held(tree):
    """Numbers that each device holds, and numbers in all."""
    leaves = jax.tree.leaves(tree)
    each = [sum(x.addressable_shards[device].data.size for x in leaves) for device in range(8)]
    return each, sum(x.size for x in leaves)


@pytest.mark.parametrize("shape", [(8,), (4, 2), (2, 4)])
def test_each_of_eight_devices_holds_an_eighth_of_parameters_and_moments(shape):
    params = {"in": jnp.ones((24, 40)), "out": {"kernel": jnp.ones((40, 9)), "bias": jnp.ones(9)}}
    state = TrainState.create(
        from_apply(lambda p, x: x @ p["in"], params), optax.adam(0.1), key=jax.random.key(0)
    )
    placed = place_state(state, make_mesh(*shape), min_size=16)
    for tree in (placed.params, placed.opt_state[0].mu, placed.opt_state[0].nu):
        each, total = held(tree)
        # All but the bias of nine, which stays whole.
        assert each == [(total - 9) // 8 + 9] * 8


def test_a_state_is_created_in_parts_with_the_numbers_it_would_have_whole():
    mesh = make_mesh(8)

    def create():
        return TrainState.create(Normed(nnx.Rngs(0)), OPTIMIZER, key=jax.random.key(0))

    created, placed = (
        create_sharded(create, mesh, min_size=0),
        place_state(normed(), mesh, min_size=0),
    )
    assert jax.tree.structure(created) == jax.tree.structure(placed)
    assert lies_as(created, jax.tree.map(lambda leaf: leaf.sharding, placed))
    assert_same_numbers(created.params, placed.params)


def test_moments_lie_as_their_parameters_under_any_optimizer():
    params = {"kernel": jnp.ones((16, 256)), "bias": jnp.ones(16)}
    labels = {"kernel": "factored", "bias": "plain"}
    optimizer = optax.partition(
        {"factored": optax.adafactor(0.1, min_dim_size_to_factor=8), "plain": optax.adam(0.1)},
        labels,
    )
    model = from_apply(lambda p, x: x @ p["kernel"], params)
    state = TrainState.create(model, optimizer, key=jax.random.key(0))
    mesh = make_mesh(4, 2)
    found = state_shardings(state, mesh, shard_axes="data", specs={"bias": P("model")}, min_size=16)
    assert found.params["kernel"].spec == P(None, "data")
    specs = {
        jax.tree_util.keystr(path, simple=True, separator="/"): sharding.spec
        for path, sharding in jax.tree_util.tree_leaves_with_path(found.opt_state)
    }
    moments = {name: spec for name, spec in specs.items() if name.endswith(("mu/bias", "nu/bias"))}
    assert list(moments.values()) == [P("model")] * 2
    # What is a factor has a length of its own: 256 columns are cut, 16 rows too.
    factors = {name: spec for name, spec in specs.items() if "v_row" in name or "v_col" in name}
    assert P("data") in factors.values()


@pytest.mark.slow
def test_placing_leaves_the_state_usable_and_replaces_an_earlier_layout():
    mesh, other = make_mesh(8), make_mesh(2, 4)
    state = normed()
    placed = place_state(place_state(state, mesh, min_size=0), other, min_size=0, shard_axes="data")
    assert placed.architecture.inner == state.architecture
    step = make_step(cross_entropy(), OPTIMIZER)
    step(placed, place_batch(make_rows(1, 32), other))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    again = place_state(state, other, min_size=0, shard_axes="data")
    assert_same_numbers(again.params, state.params)


def test_one_process_gives_the_whole_batch_as_its_part():
    mesh, rows = make_mesh(4, 2), make_rows(3, 8)
    np.testing.assert_array_equal(local_part(rows, mesh)["labels"], rows["labels"])
    for place in (place_batch, place_local_batch):
        placed = place(rows, mesh, data_axes="data")["features"]
        np.testing.assert_array_equal(placed, rows["features"])
        assert {shard.data.shape for shard in placed.addressable_shards} == {(3, 2, 4)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shard": "zero"}, "shard must be 'fsdp' or 'replicated', got 'zero'"),
        ({"shard_axes": "fsdp"}, "shard_axes: the mesh has no axis 'fsdp'"),
        ({"specs": {"inward/kernl": P("model")}}, "did you mean 'inward/kernel'"),
        ({"specs": {"outward/kernel": P(None, "model")}}, r"does not divide its shape \(32, 3\)"),
        ({"specs": {"inward/kernel": P("modle")}}, "the mesh has no axis 'modle'"),
        ({"specs": {"inward/kernel": P("model")}, "shard_axes": "model"}, "both use"),
    ],
)
def test_a_layout_that_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        state_shardings(normed(), make_mesh(2, 4), **options)


def test_explicit_axes_and_batches_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="must have Auto axes, got data: Explicit"):
        place_state(normed(), jax.make_mesh((8,), ("data",)))
    with pytest.raises(ValueError, match=r"'features'.*12 examples, which its 8 devices"):
        place_batch(make_rows(2, 12), make_mesh(8))
    with pytest.raises(ValueError, match="no axis batch_axis = 1; use batch_axis=0"):
        place_batch({"labels": np.ones(8)}, make_mesh(8))


@pytest.mark.slow
def test_the_script_in_the_docs_trains_on_eight_devices(tmp_path, capsys):
    text = (Path(__file__).parents[2] / "docs" / "launching.md").read_text()
    script = {"__name__": "train"}
    exec(text.split("```python\n")[1].split("```")[0], script)
    main: Any = script["main"]
    result = main(str(tmp_path / "run"), steps=2, vocabulary_devices=2)
    assert capsys.readouterr().out == "all steps taken, step 2\n"
    # 256 equally likely bytes cost log 256 = 5.55 nats; two steps take little of it.
    assert 5 < result.records[-1].loss_nats < 5.7
