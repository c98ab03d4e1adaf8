"""Where options meet tiles: masked classes, padding rows, dtypes, one program for every process."""

import hashlib
import inspect
import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.fused import (
    linear_cross_entropy,
    linear_kl_divergence,
    linear_log_probs,
    plan,
    sharded_linear_cross_entropy,
)
from xentjax.losses.divergence import kl_divergence_with_logits

RNG = np.random.default_rng(0)
HIDDEN = jnp.asarray(RNG.normal(size=(7, 4)), jnp.float32)
WEIGHT = jnp.asarray(RNG.normal(size=(4, 6)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(1, 6, 7), jnp.int32)
MASKED = jnp.zeros(6).at[0].set(-jnp.inf)  # class 0, which is no label


def close(got, wanted):
    for g, w in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        # Some tens of roundings of entries of order 1.
        np.testing.assert_allclose(g, w, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_rows_that_pad_the_last_tile_say_nothing_with_a_class_masked_by_the_bias(reduction):
    def loss(operands, tile):
        losses = linear_cross_entropy(
            labels=LABELS, bias=MASKED, reduction=reduction, tile=tile, **operands
        )
        return jnp.sum(losses * losses)

    operands = {
        "hidden": HIDDEN,
        "weight": WEIGHT,
        "class_weights": jnp.arange(1.0, 7),
        "label_smoothing": jnp.float32(0.1),
        "z_loss": jnp.float32(0.1),
    }
    ragged, whole = (jax.value_and_grad(loss)(operands, tile) for tile in (3, 7))
    close(ragged, whole)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(ragged))


@pytest.mark.parametrize(
    "options", [{"soft_cap": 5.0}, {"logit_scale": 1.5}, {"logit_scale": -1.0}]
)
def test_a_class_masked_by_the_bias_stays_masked_under_cap_and_scale(options):
    name, value = next(iter(options.items()))

    def masked(value):
        return linear_cross_entropy(
            HIDDEN, WEIGHT, LABELS, bias=MASKED, label_smoothing=0.1, tile=3, **{name: value}
        )

    def cut_out(value):
        return linear_cross_entropy(
            HIDDEN, WEIGHT[:, 1:], LABELS - 1, label_smoothing=0.1, tile=3, **{name: value}
        )

    value = jnp.float32(value)
    close(jax.value_and_grad(masked)(value), jax.value_and_grad(cut_out)(value))


@pytest.mark.parametrize("vocab_axis", [0, 1])
@pytest.mark.parametrize("classes", [1024, 2500])
@pytest.mark.usefixtures("x64")
def test_d_weight_is_whole_where_it_is_updated_in_blocks(classes, vocab_axis):
    assert plan(7, 4, classes, platform="cpu").block == 1024
    weight = jnp.asarray(RNG.normal(size=(4, classes)))
    hidden, labels = HIDDEN.astype(jnp.float64), jnp.asarray(RNG.integers(0, classes, 7))

    def fused(hidden, weight):
        weight = weight if vocab_axis else weight.T
        return linear_cross_entropy(hidden, weight, labels, vocab_axis=vocab_axis, tile=3)

    def plain(hidden, weight):
        logits = jax.nn.log_softmax(hidden @ weight)
        return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], 1))

    got, wanted = (jax.grad(loss, argnums=(0, 1))(hidden, weight) for loss in (fused, plain))
    for g, w in zip(got, wanted, strict=True):
        np.testing.assert_allclose(g, w, rtol=0, atol=1e-14)


@pytest.mark.usefixtures("x64")
def test_float64_options_beside_float32_operands_change_no_dtype():
    def loss(hidden, reduction):
        return linear_cross_entropy(
            hidden,
            WEIGHT,
            LABELS,
            class_weights=np.ones(6),
            bias=np.zeros(6),
            label_smoothing=np.float64(0.1),
            reduction=reduction,
        ).sum()

    for reduction in ("mean", "none"):
        value, slope = jax.value_and_grad(loss)(HIDDEN, reduction)
        assert value.dtype == slope.dtype == np.float32


def test_float16_gradients_of_a_mean_survive_under_a_loss_scale():
    n, d, v, scale = 512, 16, 20000, 2.0**12
    hidden = jnp.asarray(RNG.normal(size=(n, d)), jnp.float16)
    weight = jnp.asarray(RNG.normal(size=(d, v)) / d, jnp.float16)
    labels = jnp.asarray(RNG.integers(0, 100, n))

    def scaled(weight, dtype):
        operands = hidden.astype(dtype), weight.astype(dtype)
        return scale * linear_cross_entropy(*operands, labels)

    ours = jax.grad(scaled)(weight, jnp.float16)[:, 100:].astype(jnp.float32)
    truth = jax.grad(scaled)(weight.astype(jnp.float32), jnp.float32)[:, 100:]
    # A float16 has 11 bits; slopes are summed over 512 rows of either sign.
    assert jnp.linalg.norm(ours - truth) <= 2**-10 * jnp.linalg.norm(truth)


def test_divergence_of_heads_with_biases_and_caps_is_the_dense_one():
    student, teacher = jnp.asarray(RNG.normal(size=(2, 6)), jnp.float32)
    caps = 2.0, 3.0

    def fused(hidden, student, teacher):
        return linear_kl_divergence(
            hidden,
            WEIGHT,
            hidden / 2,
            -WEIGHT,
            student_bias=student,
            teacher_bias=teacher,
            student_soft_cap=caps[0],
            teacher_soft_cap=caps[1],
            tile=3,
        )

    def dense(hidden, student, teacher):
        logits = caps[0] * jnp.tanh((hidden @ WEIGHT + student[None]) / caps[0])
        other = caps[1] * jnp.tanh((hidden / 2 @ -WEIGHT + teacher[None]) / caps[1])
        return kl_divergence_with_logits(logits, other, reduction="mean")

    got, wanted = (
        jax.value_and_grad(loss, argnums=(0, 1, 2))(HIDDEN, student, teacher)
        for loss in (fused, dense)
    )
    close(got, wanted)


def test_entropy_of_a_shared_vocabulary_is_exact_and_knows_no_label():
    mesh = jax.make_mesh((2,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    one, weight = jnp.ones((1, 1)), jnp.array([[12.0, 0.0, 0.0, -1.0]])
    spec = jax.sharding.PartitionSpec

    def entropy(label):
        def local(weight):
            return linear_log_probs(
                one, weight, jnp.array([label]), vocab_axis_name="model"
            ).entropy

        mapped = jax.shard_map(local, mesh=mesh, in_specs=spec(None, "model"), out_specs=spec())
        return jax.jit(mapped)(weight)[0]

    p = np.exp(np.float64([12, 0, 0, -1]) - 12)
    p /= p.sum()
    for label in (0, 1, 3, 99):
        np.testing.assert_allclose(entropy(label), -(p * np.log(p)).sum(), rtol=2e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"soft_cap": np.inf},
        {"z_loss": np.inf},
        {"logit_scale": np.inf},
        {"class_weights": np.float32([1, 1, np.inf, 1, 1, 1])},
        {"label_smoothing": True},
        {"tile": True},
        {"vocab_axis": True},
        {"ignore_index": 2**40},
        {"ignore_index": True},
    ],
    ids=str,
)
def test_nonsense_is_refused_by_name(options):
    unchecked = inspect.unwrap(linear_cross_entropy)
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        unchecked(HIDDEN, WEIGHT, LABELS, **options)


def test_plan_refuses_nonsense_and_is_kept_as_it_was_given():
    unchecked = inspect.unwrap(plan)
    with pytest.raises(TypeError, match=r"got n=8\.5"):
        unchecked(8.5, 8, 8)
    with pytest.raises(ValueError, match="'abacus'"):
        unchecked(8, 8, 8, platform="abacus")
    with pytest.raises(TypeError, match="float8_e4m3fn"):
        linear_cross_entropy(HIDDEN.astype(jnp.float8_e4m3fn), WEIGHT, LABELS)
    hidden, weight = jnp.ones((8, 2)), jnp.ones((2, 4096))
    labels = jnp.zeros(8, int)
    for platform, blocked in (("cpu", True), ("gpu", False)):
        found = plan(8, 2, 4096, platform=platform)
        loss = partial(linear_cross_entropy, tile=found)
        text = str(jax.make_jaxpr(jax.grad(loss, argnums=1))(hidden, weight, labels))
        assert ("length=4" in text) == blocked


def test_a_small_vocabulary_is_one_tile():
    assert plan(65536, 64, 10, platform="cpu").tiles == 1


def test_labels_that_wrap_in_32_bits_are_nan_even_under_a_traced_mask():
    labels = np.array([2**32 + 1, *[2] * 6])
    losses = jax.jit(
        lambda where: linear_cross_entropy(
            HIDDEN, WEIGHT, labels, where=where, reduction="none", tile=3
        )
    )(jnp.ones(7, bool))
    assert np.isnan(losses).tolist() == [True, *[False] * 6]


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_backward_pass_keeps_the_precision_of_the_call(reduction):
    def loss(hidden):
        return jnp.sum(linear_cross_entropy(hidden, WEIGHT, LABELS, reduction=reduction, tile=3))

    with jax.default_matmul_precision("highest"):
        _, pull = jax.vjp(loss, HIDDEN)
    text = str(jax.make_jaxpr(pull)(jnp.float32(1)))
    # The mean's gradient exists already; "none" recomputes its products, all at that precision.
    assert text.count("HIGHEST") >= text.count("dot_general[")


@pytest.mark.parametrize(
    "loss",
    [
        lambda h: linear_cross_entropy(h, WEIGHT, LABELS, tile=3),
        lambda h: linear_cross_entropy(h, WEIGHT, LABELS, reduction="none", tile=3).sum(),
        lambda h: linear_log_probs(h, WEIGHT, LABELS, tile=3).entropy.sum(),
        lambda h: linear_kl_divergence(h, WEIGHT, h * 2, WEIGHT, reduction="none", tile=3).sum(),
    ],
    ids=["mean", "none", "log_probs", "divergence"],
)
def test_an_eager_gradient_compiles_once(loss):
    compiled = []

    def listen(event, *_, **__):
        if "backend_compile" in event:
            compiled.append(event)

    other = HIDDEN + 1
    jax.grad(loss)(HIDDEN)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.grad(loss)(other)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert compiled == []


PROGRAM = """
import jax, jax.numpy as jnp
from xentjax import linear_cross_entropy
f = lambda h, w, b: linear_cross_entropy(h, w, jnp.zeros(4, int), bias=b, z_loss=0.1)
args = jnp.ones((4, 2), jnp.bfloat16), jnp.ones((2, 8), jnp.bfloat16), jnp.ones(8)
print(jax.jit(jax.grad(f, argnums=(0, 1, 2))).lower(*args).as_text())
"""


def test_the_program_is_the_same_in_every_process():
    texts = {
        hashlib.sha256(
            subprocess.run(
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
            ).stdout
        ).hexdigest()
        for seed in ("1", "2")
    }
    assert len(texts) == 1


def test_sharded_example_of_a_single_device_is_the_same_number():
    mesh = jax.make_mesh((1,), ("model",), axis_types=(jax.sharding.AxisType.Auto,))
    got = sharded_linear_cross_entropy(HIDDEN, WEIGHT, LABELS, mesh=mesh, vocab_axis_name="model")
    close(got, linear_cross_entropy(HIDDEN, WEIGHT, LABELS))
