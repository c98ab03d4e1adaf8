"""Sampled softmax: what a sample estimates, and whether it is drawn as it says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec
from scipy import stats

from xentjax.losses.sampled_softmax import (
    ClassSample,
    log_uniform_sample,
    sampled_softmax_cross_entropy,
)
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(4, 3)).astype(np.float32)
WEIGHT = RNG.normal(size=(3, 6)).astype(np.float32)
BIAS = RNG.normal(size=6).astype(np.float32)
LABELS = np.array([5, 0, 2, 2])
EPS = float(np.finfo(np.float32).eps)


def full(hidden, weight, bias, labels):
    return softmax_cross_entropy(hidden @ weight + bias[None], labels)


def tensorflow(hidden, weight, bias, labels, classes, label_count, sampled_count):
    """tf.nn.sampled_softmax_loss with its accidental hits removed, in float64."""
    hidden, weight, bias = (x.astype(np.float64) for x in (hidden, weight, bias))
    own = np.sum(hidden * weight[:, labels].T, 1) + bias[labels] - np.log(label_count)
    others = hidden @ weight[:, classes] + bias[classes] - np.log(sampled_count)
    others[labels[:, None] == classes] = -np.inf
    return np.logaddexp.reduce(np.concatenate([own[:, None], others], 1), axis=1) - own


def test_every_class_once_without_correction_is_cross_entropy():
    everything = ClassSample(jnp.array([3, 1, 0, 5, 4, 2]), jnp.zeros(6))

    def sampled(hidden, weight, bias):
        return sampled_softmax_cross_entropy(hidden, weight, LABELS, everything, bias=bias)

    def both(loss):
        value, vjp = jax.vjp(loss, HIDDEN, WEIGHT, BIAS)
        return value, vjp(jnp.array([1.0, -2.0, 0.5, 3.0]))

    got = jax.jit(lambda: both(sampled))()
    wanted = jax.jit(lambda: both(lambda *args: full(*args, LABELS)))()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=8 * EPS, atol=8 * EPS), got, wanted
    )


def test_the_estimate_of_the_sum_is_unbiased():
    # E e^l = E Ẑ / e^(x_y), over all 6² samples of two classes with their probabilities.
    share = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04], np.float32)
    pairs = jnp.array(list(itertools.product(range(6), repeat=2)))
    samples = ClassSample(pairs, jnp.log(2 * share[pairs]))
    losses = jax.jit(
        jax.vmap(lambda s: sampled_softmax_cross_entropy(HIDDEN, WEIGHT, LABELS, s, bias=BIAS))
    )(samples)
    mean = np.sum(np.prod(share[pairs], 1)[:, None] * np.exp(losses), 0)
    np.testing.assert_allclose(mean, np.exp(full(HIDDEN, WEIGHT, BIAS, LABELS)), rtol=16 * EPS)


def test_loss_and_gradient_tend_to_the_full_ones():
    def mean(hidden, weight, sampled):
        return sampled_softmax_cross_entropy(
            hidden, weight, LABELS, sampled, bias=BIAS, reduction="mean"
        )

    sampled = log_uniform_sample(jax.random.key(1), count=200_000, classes=6)
    got = jax.jit(jax.value_and_grad(mean, argnums=(0, 1)))(HIDDEN, WEIGHT, sampled)
    wanted = jax.value_and_grad(lambda h, w: jnp.mean(full(h, w, BIAS, LABELS)), argnums=(0, 1))(
        HIDDEN, WEIGHT
    )
    # 1/√200,000 is 0.0022, times the spread of e^x / Q, which is below 5 here.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=0.01), got, wanted)


def test_losses_are_tensorflows_with_the_label_counted_once():
    classes, count = np.array([4, 2, 2, 1, 5]), np.array([0.3, 2.0, 2.0, 0.7, 0.1], np.float32)
    sampled = ClassSample(jnp.asarray(classes), jnp.log(count))
    got = sampled_softmax_cross_entropy(HIDDEN, WEIGHT, LABELS, sampled, bias=BIAS)
    wanted = tensorflow(HIDDEN, WEIGHT, BIAS, LABELS, classes, 1, count)
    np.testing.assert_allclose(got, wanted, rtol=8 * EPS, atol=8 * EPS)


def test_tensorflows_correction_of_the_label_is_a_bias():
    classes, count = np.array([4, 2, 2, 1, 5]), np.array([3, 2, 1, 0.7, 0.3, 0.1], np.float32)
    uncorrected = ClassSample(jnp.asarray(classes), jnp.zeros(5))
    got = sampled_softmax_cross_entropy(
        HIDDEN, WEIGHT, LABELS, uncorrected, bias=BIAS - np.log(count)
    )
    wanted = tensorflow(HIDDEN, WEIGHT, BIAS, LABELS, classes, count[LABELS], count[classes])
    np.testing.assert_allclose(got, wanted, rtol=8 * EPS, atol=8 * EPS)


def test_a_sample_of_the_label_alone_says_nothing():
    sampled = ClassSample(jnp.array([2, 2]), jnp.zeros(2))

    def total(hidden):
        return sampled_softmax_cross_entropy(hidden, WEIGHT, jnp.array(2), sampled)

    value, slope = jax.value_and_grad(total)(HIDDEN[0])
    assert value == 0
    assert not np.any(slope)


def test_only_a_few_columns_of_the_weight_are_read():
    vocabulary, count = 10**6, 5
    weight = jax.ShapeDtypeStruct((3, vocabulary), jnp.bfloat16)

    def loss(hidden, weight, key):
        sampled = log_uniform_sample(key, count=count, classes=vocabulary)
        return sampled_softmax_cross_entropy(hidden, weight, LABELS, sampled)

    program = jax.make_jaxpr(loss)(HIDDEN, weight, jax.random.key(0))
    # What reads the weight are gathers, and nothing made on the way has a vocabulary in it.
    assert f"{vocabulary}" in str(program)
    assert max(v.aval.size for e in equations(program.jaxpr) for v in e.outvars) < 1000


def equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(list(equation.params.values()), is_leaf=is_program):
            if is_program(inner):
                yield from equations(getattr(inner, "jaxpr", inner))


def is_program(x):
    return hasattr(x, "eqns") or hasattr(x, "jaxpr")


def test_masked_rows_and_sixteen_bits():
    sampled = ClassSample(jnp.array([3, 1, 0]), jnp.array([0.1, -0.5, 0.3]))
    hidden = jnp.asarray(HIDDEN, jnp.bfloat16)
    keep = np.array([True, False, True, True])

    def total(hidden, labels, **options):
        losses = sampled_softmax_cross_entropy(hidden, WEIGHT, labels, sampled, **options)
        return jnp.sum(losses), losses

    slope = jax.jit(jax.grad(total, has_aux=True), static_argnames="ignore_index")
    got, losses = slope(hidden.at[1].set(jnp.nan), jnp.array([5, -100, 2, 2]), where=keep)
    ignored, _ = slope(hidden.at[1].set(jnp.nan), jnp.array([5, -100, 2, 2]), ignore_index=-100)
    wanted, plain = slope(hidden, jnp.asarray(LABELS))
    assert losses.dtype == jnp.float32
    assert got.dtype == jnp.bfloat16
    assert losses[1] == 0
    np.testing.assert_array_equal(losses[keep], plain[keep])
    np.testing.assert_array_equal(np.float32(got), np.float32(np.where(keep[:, None], wanted, 0)))
    np.testing.assert_array_equal(np.float32(got), np.float32(ignored))


def test_bad_input_is_refused_or_nan():
    def loss(labels=LABELS, classes=(1, 2), log_count=(0.0, 0.0), **options):
        sampled = ClassSample(jnp.asarray(classes), jnp.asarray(log_count))
        return sampled_softmax_cross_entropy(HIDDEN, WEIGHT, labels, sampled, **options)

    with pytest.raises(ValueError, match=r"labels must lie in \[0, 6\), got 6 at position \(0,\)"):
        loss(np.array([6, 0, 0, 0]))
    with pytest.raises(ValueError, match=r"sampled.classes must lie in \[0, 6\), got 7"):
        loss(classes=(1, 7))
    with pytest.raises(ValueError, match="log_expected_count must be finite, got -inf"):
        loss(log_count=(0.0, -np.inf))
    with pytest.raises(ValueError, match="with S of at least 1: got shapes"):
        loss(log_count=(0.0,))
    with pytest.raises(ValueError, match="bias must hold one number per class"):
        loss(bias=BIAS[:5])
    with pytest.raises(ValueError, match=r"hidden must be .* got shapes"):
        sampled_softmax_cross_entropy(
            HIDDEN, WEIGHT.T, LABELS, ClassSample(jnp.array([1]), jnp.zeros(1))
        )
    with pytest.raises(ValueError, match="count must be at least 1, got 0"):
        log_uniform_sample(jax.random.key(0), count=0, classes=5)
    with pytest.raises(ValueError, match=r"classes must be at most 2\*\*31"):
        log_uniform_sample(jax.random.key(0), count=1, classes=2**31 + 1)

    def total(hidden, labels, classes):
        sampled = ClassSample(classes, jnp.zeros(2))
        return jnp.sum(sampled_softmax_cross_entropy(hidden, WEIGHT, labels, sampled))

    slope = jax.jit(jax.value_and_grad(total))
    value, bad_label = slope(HIDDEN, jnp.array([5, -1, 2, 6]), jnp.array([1, 2]))
    assert np.isnan(value)
    np.testing.assert_array_equal(np.isnan(bad_label).all(1), [False, True, False, True])
    assert np.isfinite(bad_label[jnp.array([0, 2])]).all()
    value, bad_class = slope(HIDDEN, jnp.asarray(LABELS), jnp.array([1, 6]))
    assert np.isnan(value)
    assert np.isnan(bad_class).all()


# --- the sampler ------------------------------------------------------------------------------


def probabilities(classes):
    edges = np.log(np.arange(1, classes + 2, dtype=np.float64))
    return np.diff(edges) / edges[-1]


def require_expected_counts(sampled, classes):
    """log(S · P(c)) of the classes that were drawn, in float64."""
    drawn = np.asarray(sampled.classes, np.float64)
    wanted = np.log(len(drawn) * np.log1p(1 / (drawn + 1)) / np.log(classes + 1.0))
    # Three roundings of numbers up to log 2³¹ = 21.5.
    np.testing.assert_allclose(sampled.log_expected_count, wanted, atol=3 * 21.5 * EPS)


@pytest.mark.parametrize("classes", [3, 100])
def test_classes_are_drawn_by_the_log_uniform_law(classes):
    sampled = log_uniform_sample(jax.random.key(classes), count=100_000, classes=classes)
    found = np.bincount(sampled.classes, minlength=classes)
    assert len(found) == classes
    edges = np.log(np.arange(1, classes + 2))
    # Drawn once with a fixed seed: one in a thousand seeds would fail a right sampler.
    assert stats.chisquare(found, 100_000 * np.diff(edges) / edges[-1]).pvalue > 1e-3
    require_expected_counts(sampled, classes)


def test_the_largest_vocabularies_are_drawn_class_by_class():
    count, classes = 200_000, 2**31
    sampled = log_uniform_sample(jax.random.key(0), count=count, classes=classes)
    require_expected_counts(sampled, classes)
    ranks = np.asarray(sampled.classes, np.int64) + 1
    assert ranks.min() >= 1
    assert ranks.max() <= classes
    # log n is uniform; in a hundred bins of log n, wide enough to hold many classes each.
    bins = np.bincount((np.log(ranks[ranks >= 2**10] / 2**10) / np.log(2**21) * 100).astype(int))
    assert stats.chisquare(bins[:100]).pvalue > 1e-3
    # A rank above 2²⁸ made from a float32 would be a multiple of 16.
    low_bits = np.bincount(ranks[ranks >= 2**28] % 16, minlength=16)
    assert stats.chisquare(low_bits).pvalue > 1e-3


def test_the_sampler_works_under_jit_vmap_and_over_devices():
    keys = jax.random.split(jax.random.key(0), 4)

    def draw(key):
        return log_uniform_sample(key, count=50, classes=1000).classes

    drawn = jax.jit(jax.vmap(draw))(keys)
    assert len({*map(tuple, np.asarray(drawn))}) == 4
    np.testing.assert_array_equal(drawn[1], draw(keys[1]))
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    spec = PartitionSpec("data")
    over_devices = jax.jit(jax.shard_map(jax.vmap(draw), mesh=mesh, in_specs=spec, out_specs=spec))
    np.testing.assert_array_equal(over_devices(keys), drawn)
