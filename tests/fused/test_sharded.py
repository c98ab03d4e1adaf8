"""A loss over a mesh is the loss of one device: value, gradients, and what travels."""

import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from xentjax.fused import (
    linear_cross_entropy,
    linear_kl_divergence,
    linear_log_probs,
    sharded_linear_cross_entropy,
)

P = PartitionSpec
RNG = np.random.default_rng(0)
# 6 sequences and 29 classes: no mesh axis but 2 divides them. One label is ignored.
B, T, D, V = 6, 5, 9, 29
HIDDEN = jnp.asarray(RNG.normal(size=(B, T, D)), jnp.float32)
WEIGHT = jnp.asarray(RNG.normal(size=(D, V)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, V, (B, T)), jnp.int32).at[3, 1].set(-100)
OPERANDS = {
    "bias": jnp.asarray(RNG.normal(size=V), jnp.float32),
    "class_weights": jnp.asarray(RNG.random(V), jnp.float32),
    "logit_scale": jnp.float32(1.3),
    "weights": jnp.asarray(RNG.random((B, T)), jnp.float32),
}
KNOWN = {"label_smoothing": 0.1, "z_loss": 0.1, "soft_cap": 4.0, "ignore_index": -100, "tile": 3}

# (mesh shape, axis names, axes that share the examples, axis that shares the vocabulary)
MESHES = {
    "examples over 8": ((8,), ("x",), ("x",), None),
    "vocabulary over 8": ((8,), ("x",), (), "x"),
    "2 x 4": ((2, 4), ("data", "model"), ("data",), "model"),
    "4 x 2": ((4, 2), ("data", "model"), ("data",), "model"),
}


def close(got, wanted, terms=B * T * V):
    """Agreement to float32 rounding: another order of at most `terms` summands."""
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        scale = float(jnp.max(jnp.abs(w))) if jnp.size(w) else 1.0
        bound = 4 * math.sqrt(terms) * 2**-24 * scale
        np.testing.assert_allclose(np.asarray(g), np.asarray(w), rtol=0, atol=bound)


def both_gradients(loss):
    """Value and the gradients of all operands of a loss of (hidden, weight, operands)."""
    return jax.value_and_grad(loss, argnums=(0, 1, 2))


AUTO, EXPLICIT = AxisType.Auto, AxisType.Explicit
TELLING = [
    ("examples over 8", "mean", AUTO),
    ("vocabulary over 8", "none", EXPLICIT),
    ("2 x 4", "mean", EXPLICIT),
    ("2 x 4", "none", AUTO),
]
OTHERS = [
    pytest.param(*case, marks=pytest.mark.slow)
    for case in itertools.product(MESHES, ["mean", "none"], [AUTO, EXPLICIT])
    if case not in TELLING
]


@pytest.mark.parametrize(("name", "reduction", "axis_type"), [*TELLING, *OTHERS], ids=str)
def test_sharded_equals_single_for_sizes_the_mesh_does_not_divide(name, reduction, axis_type):
    shape, names, data_axes, vocab_axis_name = MESHES[name]
    mesh = jax.make_mesh(shape, names, axis_types=(axis_type,) * len(shape))

    def sharded(hidden, weight, operands):
        losses = sharded_linear_cross_entropy(
            hidden,
            weight,
            LABELS,
            mesh=mesh,
            data_axes=data_axes,
            vocab_axis_name=vocab_axis_name,
            reduction=reduction,
            **operands,
            **KNOWN,
        )
        return jnp.sum(losses * losses)

    def single(hidden, weight, operands):
        losses = linear_cross_entropy(
            hidden, weight, LABELS, reduction=reduction, **operands, **KNOWN
        )
        return jnp.sum(losses * losses)

    got = jax.jit(both_gradients(sharded))(HIDDEN, WEIGHT, OPERANDS)
    close(got, jax.jit(both_gradients(single))(HIDDEN, WEIGHT, OPERANDS))


@pytest.mark.parametrize("vocab_axis", [0, 1])
def test_an_uneven_vocabulary_stored_either_way_is_shared_eagerly(vocab_axis):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    weight = WEIGHT if vocab_axis else WEIGHT.T
    got = sharded_linear_cross_entropy(
        HIDDEN,
        weight,
        LABELS,
        mesh=mesh,
        vocab_axis_name="x",
        vocab_axis=vocab_axis,
        ignore_index=-100,
    )
    close(got, linear_cross_entropy(HIDDEN, WEIGHT, LABELS, ignore_index=-100))


# --- inside the user's own shard_map ----------------------------------------------------------

N = 16
ROWS = jnp.asarray(RNG.normal(size=(N, D)), jnp.float32)
COLUMNS = jnp.asarray(RNG.normal(size=(D, 24)), jnp.float32)
TARGETS = jnp.asarray(RNG.integers(0, 24, N), jnp.int32)


TYPED = [True, pytest.param(False, marks=pytest.mark.slow)]


def in_shard_map(local, mesh, out_specs, check_vma):
    specs = (P("data"), P(None, "model"), P("data"))
    return jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=out_specs, check_vma=check_vma)


@pytest.mark.parametrize("check_vma", TYPED)
@pytest.mark.parametrize(
    "shape", [(2, 4), *(pytest.param(s, marks=pytest.mark.slow) for s in [(1, 8), (4, 2), (8, 1)])]
)
def test_within_shard_map_by_axis_name(shape, check_vma):
    mesh = jax.make_mesh(shape, ("data", "model"), axis_types=(AxisType.Auto,) * 2)

    def local(hidden, weight, labels):
        loss = linear_cross_entropy(
            hidden,
            weight,
            labels,
            label_smoothing=0.1,
            z_loss=0.1,
            reduction="sum",
            vocab_axis_name="model",
            tile=3,
        )
        return jax.lax.psum(loss, "data")

    def single(hidden, weight, labels):
        return linear_cross_entropy(
            hidden, weight, labels, label_smoothing=0.1, z_loss=0.1, reduction="sum"
        )

    shared = in_shard_map(local, mesh, P(), check_vma)

    @jax.jit
    def values(hidden, weight):
        found = []
        for loss in (shared, single):
            slopes = jax.grad(loss, argnums=(0, 1))
            along = lambda h, w, slopes=slopes: slopes(h, w, TARGETS)  # noqa: E731
            found.append((loss(hidden, weight, TARGETS), jax.jvp(along, *[(hidden, weight)] * 2)))
        return found

    close(*values(ROWS, COLUMNS), terms=N * 24)


@pytest.mark.parametrize("check_vma", TYPED)
def test_log_probs_within_shard_map_have_right_gradients_for_any_cotangents(check_vma):
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    cotangents = jnp.asarray(RNG.normal(size=(3, N)), jnp.float32)

    def local(hidden, weight, labels):
        return linear_log_probs(hidden, weight, labels, vocab_axis_name="model", tile=3)

    def total(function):
        def summed(hidden, weight):
            found = function(hidden, weight, TARGETS)
            floats = jnp.stack([found.log_prob, found.logsumexp, found.entropy])
            return jnp.sum(cotangents * floats), found

        return jax.jit(jax.value_and_grad(summed, argnums=(0, 1), has_aux=True))

    shared = total(in_shard_map(local, mesh, P("data"), check_vma))(ROWS, COLUMNS)
    single = total(linear_log_probs)(ROWS, COLUMNS)
    close(shared, single, terms=N * 24)
    np.testing.assert_array_equal(shared[0][1].prediction, single[0][1].prediction)
    np.testing.assert_array_equal(shared[0][1].correct, single[0][1].correct)


@pytest.mark.parametrize("margin", [0.0, 15.0, 50.0, 85.0])
def test_a_shared_vocabulary_is_exact_at_every_margin(margin):
    mesh = jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,))
    weight = jnp.zeros((1, 8)).at[0, 5].set(margin)

    def loss(weight):
        one = jnp.ones((1, 1), jnp.float32)
        return sharded_linear_cross_entropy(
            one, weight, jnp.array([5]), mesh=mesh, vocab_axis_name="model"
        )

    value, slope = jax.jit(jax.value_and_grad(loss))(weight)
    others = 7 * math.exp(-margin)
    np.testing.assert_allclose(value, math.log1p(others), rtol=1e-6 + 6e-8 * margin)
    np.testing.assert_allclose(slope[0, 5], -others / (1 + others), rtol=1e-6 + 6e-8 * margin)


def test_bad_and_ignored_labels_on_a_shared_vocabulary():
    mesh = jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,))
    labels = LABELS.at[0, 0].set(V)  # V is padding, not a class

    @jax.jit
    def losses(hidden, labels):
        return sharded_linear_cross_entropy(
            hidden,
            WEIGHT,
            labels,
            mesh=mesh,
            vocab_axis_name="model",
            ignore_index=-100,
            reduction="none",
        )

    found = losses(HIDDEN, labels)
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 0]]
    assert found[3, 1] == 0
    slope = jax.jit(jax.grad(lambda h: jnp.sum(losses(h, labels))))(HIDDEN)
    assert bool(jnp.isnan(slope[0, 0]).all())
    assert not bool(jnp.isnan(slope[1:]).any())
    assert not slope[3, 1].any()


# --- explicit types ---------------------------------------------------------------------------

EVEN = (
    jnp.asarray(RNG.normal(size=(8, 4, D)), jnp.float32),
    jnp.asarray(RNG.normal(size=(D, 32)), jnp.float32),
    jnp.asarray(RNG.integers(0, 32, (8, 4)), jnp.int32),
)


def cross_entropy(hidden, weight, labels):
    return linear_cross_entropy(
        hidden, weight, labels, class_weights=jnp.arange(1.0, 33), label_smoothing=0.1, tile=3
    )


def log_probs(hidden, weight, labels):
    found = linear_log_probs(hidden, weight, labels, tile=3)
    return jnp.sum(jnp.sin(found.log_prob)) + jnp.sum(found.entropy * found.correct)


def divergence(hidden, weight, _):
    return linear_kl_divergence(hidden, weight, hidden / 2, weight / 3, tile=3)


def name(x):
    return getattr(x, "__name__", str(x))


SHARED = [
    (cross_entropy, P("data"), P(None, "model")),
    (cross_entropy, P("model", "data"), P()),
    (log_probs, P(None, "data"), P(None, "model")),
    (divergence, P(("data", "model")), P()),
    *(
        pytest.param(*case, marks=pytest.mark.slow)
        for case in [
            (cross_entropy, P("data"), P()),
            (cross_entropy, P(None, "data"), P(None, "model")),
            (cross_entropy, P(("data", "model")), P()),
            (cross_entropy, P("data"), P("model")),
            (log_probs, P("data"), P()),
            (log_probs, P("data"), P(None, "model")),
            (divergence, P("model", "data"), P()),
        ]
    ),
]


@pytest.mark.parametrize(("loss", "hidden_spec", "weight_spec"), SHARED, ids=name)
def test_explicitly_sharded_arrays_are_recognised(loss, hidden_spec, weight_spec):
    mesh = jax.make_mesh((2, 4), ("data", "model"))
    even = EVEN if weight_spec != P("model") else (EVEN[0][..., :8], EVEN[1][:8], EVEN[2])
    wanted = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*even)
    with jax.set_mesh(mesh):
        specs = (hidden_spec, weight_spec, P(*hidden_spec[:2]))
        arrays = [
            jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip(even, specs, strict=True)
        ]
        got = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*arrays)
        for slope, x in zip(got[1], arrays[:2], strict=True):
            assert slope.sharding.is_equivalent_to(x.sharding, x.ndim)
    close(got, wanted, terms=8 * 4 * 32)


def test_a_head_that_is_not_shared_is_no_part_of_a_vocabulary():
    mesh = jax.make_mesh((8,), ("model",), axis_types=(AxisType.Auto,))

    def local(weight):
        return linear_cross_entropy(ROWS, weight, TARGETS, vocab_axis_name="model")

    with pytest.raises(ValueError, match="the same on every device of 'model'"):
        jax.shard_map(local, mesh=mesh, in_specs=P(), out_specs=P())(COLUMNS)


def test_what_cannot_be_shared_is_refused():
    mesh = jax.make_mesh((2, 4), ("data", "model"))
    hidden, weight, labels = EVEN
    with jax.set_mesh(mesh):
        columns = jax.device_put(weight, NamedSharding(mesh, P(None, "model")))
        rows = jax.device_put(hidden, NamedSharding(mesh, P("model")))
        with pytest.raises(ValueError, match="the whole vocabulary on every device"):
            divergence(hidden, columns, None)
        with pytest.raises(ValueError, match="shares no examples"):
            linear_cross_entropy(rows, columns, labels)
    with pytest.raises(ValueError, match="'modle' is no axis of the mesh"):
        sharded_linear_cross_entropy(hidden, weight, labels, mesh=mesh, vocab_axis_name="modle")
    with pytest.raises(ValueError, match="not both"):
        sharded_linear_cross_entropy(
            hidden, weight, labels, mesh=mesh, data_axes="data", vocab_axis_name="data"
        )
    with pytest.raises(ValueError, match="call inside"):
        linear_cross_entropy(hidden, weight, labels, vocab_axis_name="model")
    with pytest.raises(ValueError, match="vocab_size=7 goes with vocab_axis_name"):
        linear_cross_entropy(hidden, weight, labels, vocab_size=7)


# --- what travels -----------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_neither_logits_nor_head_travel_and_memory_is_a_device_s_own(reduction):
    n, d, v, tile = 256, 32, 4096, 16
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)

    def loss(hidden, weight, labels):
        losses = sharded_linear_cross_entropy(
            hidden,
            weight,
            labels,
            mesh=mesh,
            data_axes="data",
            vocab_axis_name="model",
            tile=tile,
            reduction=reduction,
        )
        return jnp.sum(losses * losses)

    def like(shape, dtype, spec):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=NamedSharding(mesh, spec))

    compiled = (
        jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
        .lower(
            like((n, d), jnp.float32, P("data")),
            like((d, v), jnp.float32, P(None, "model")),
            like((n,), jnp.int32, P("data")),
        )
        .compile()
    )
    text = compiled.as_text()
    travelling = re.findall(
        r"= (.*?) (?:all-gather|all-reduce|all-to-all|collective-permute)", text
    )
    assert travelling, "no collective found: the pattern no longer fits XLA's text"
    assert "all-gather" not in text
    largest = max(
        math.prod(map(int, dims.split(","))) if dims else 1
        for shapes in travelling
        for dims in re.findall(r"\w+\[([\d,]*)\]", shapes)
    )
    # The largest is one device's gradient of the head, summed over the examples' axis.
    assert largest <= d * v // 4
    # Two tiles of one device's columns, a block of d weight, its accumulator in per-row form.
    held = compiled.memory_analysis().temp_size_in_bytes
    assert held <= 4 * (3 * tile * v // 4 + 2 * d * v // 4 + 4 * n * d)
