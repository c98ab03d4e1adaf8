"""What every metric keeps: one value however the data is split, batched, scanned or sharded.

Weights are quarters, so sums are exact and the states can be compared bit by bit.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from xentjax.metrics import Mean, merge, merge_devices, tally
from xentjax.metrics.confusion import ConfusionMatrix
from xentjax.metrics.histogram import ScoreHistogram
from xentjax.metrics.multilabel import MultiLabelConfusion
from xentjax.metrics.sequences import ErrorRate, ExactMatch, TokenAccuracy
from xentjax.metrics.top_k import TopKAccuracy

N, T, C = 64, 5, 3
RNG = np.random.default_rng(0)
LABELS, GUESSES = RNG.integers(0, C, (2, N))
TOKENS, GUESSED = RNG.integers(0, C, (N, T)), RNG.integers(0, C, (N, T))
GUESSED[::2] = TOKENS[::2]
SCORES = RNG.random((N, C)).astype(np.float32)
LENGTHS = RNG.integers(0, T + 1, N)
WHERE = RNG.random(N) < 0.8
WEIGHTS = (RNG.integers(0, 8, N) / 4).astype(np.float32)

BATCHES = {
    "mean": (Mean(), (np.round(SCORES[:, 0] * 8) / 8,)),
    "confusion": (ConfusionMatrix(C), (GUESSES, LABELS)),
    "multi-label": (MultiLabelConfusion(C), (SCORES > 0.5, TOKENS[:, :C] % 2)),
    "top-k": (TopKAccuracy(2), (SCORES, LABELS)),
    "histogram": (ScoreHistogram(bins=16), (SCORES[:, 0], LABELS == 0)),
    "exact match": (ExactMatch(), (GUESSED, TOKENS)),
    "error rate": (ErrorRate(), (GUESSED, TOKENS, LENGTHS[::-1], LENGTHS)),
    # Its examples are tokens: a mask of rows has to be spread over them.
    "tokens": (TokenAccuracy(), (GUESSED[:, 0], TOKENS[:, 0])),
}
NAMES = [*BATCHES]


def updated(states, batches, where, weights=None):
    return {
        name: metric.update(states[name], *batches[name], where=where, weights=weights)
        for name, (metric, _) in BATCHES.items()
    }


def empty():
    return {name: metric.init() for name, (metric, _) in BATCHES.items()}


def data():
    return {name: batch for name, (_, batch) in BATCHES.items()}


@jax.jit
def in_one_pass(batches, where, weights):
    return updated(empty(), batches, where, weights)


@jax.jit
def by_scan(batches, where, weights):
    cut = jax.tree.map(lambda x: x.reshape(8, N // 8, *x.shape[1:]), (batches, where, weights))
    return jax.lax.scan(lambda states, part: (updated(states, *part), None), empty(), cut)[0]


MESH = Mesh(np.array(jax.devices()), ("data",))


@jax.jit
@partial(jax.shard_map, mesh=MESH, in_specs=P("data"), out_specs=P())
def on_devices(batches, where, weights):
    states = updated(empty(), batches, where, weights)
    return {name: merge_devices(state, "data") for name, state in states.items()}


@pytest.fixture(scope="module")
def whole():
    return in_one_pass(data(), WHERE, WEIGHTS)


@pytest.fixture(scope="module")
def ways():
    everything = (data(), WHERE, WEIGHTS)
    parts = np.searchsorted([5, 6, 40], np.arange(N), side="right")
    uneven = [in_one_pass(data(), WHERE & (parts == i), WEIGHTS) for i in (2, 0, 3, 1, 4)]
    states = uneven[0]
    for other in uneven[1:]:  # the last part is empty
        states = {name: merge(states[name], other[name]) for name in NAMES}
    placed = jax.device_put(everything, NamedSharding(MESH, P("data")))
    return {
        "uneven parts": states,
        "scan": by_scan(*everything),
        "shard_map": on_devices(*everything),
        "sharded arrays": in_one_pass(*placed),
    }


def assert_same_state(got, wanted):
    exact = partial(jax.tree.map, tally.exact, is_leaf=lambda x: isinstance(x, tally.Tally))
    jax.tree.map(np.testing.assert_array_equal, exact(got), exact(wanted))


@pytest.mark.parametrize("way", ["uneven parts", "scan", "shard_map", "sharded arrays"])
@pytest.mark.parametrize("name", NAMES)
def test_every_way_through_the_data_gives_the_same_state(name, way, whole, ways):
    assert_same_state(ways[way][name], whole[name])
    assert np.isfinite(jax.tree.leaves(BATCHES[name][0].compute(whole[name]))[0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_eager_update_is_the_jitted_one(name, whole):
    metric, batch = BATCHES[name]
    eager = metric.update(metric.init(), *batch, where=WHERE, weights=WEIGHTS)
    assert_same_state(eager, whole[name])


@pytest.mark.parametrize("name", NAMES)
def test_counts_stay_exact_past_two_to_the_31(name, whole):
    """Merging a state with itself 33 times counts all of it 2³³ times, and one more is seen."""
    double = jax.jit(lambda s: jax.lax.scan(lambda a, _: (merge(a, a), None), s, length=33)[0])
    many = merge(double(whole[name]), whole[name])
    for got, one in zip(tallies(many), tallies(whole[name]), strict=True):
        np.testing.assert_array_equal(tally.exact(got), (2**33 + 1) * tally.exact(one))


def tallies(state):
    return jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, tally.Tally))


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_frozen_hashable_options(name):
    metric, _ = BATCHES[name]
    assert hash(metric) == hash(dataclasses.replace(metric))
    assert metric == dataclasses.replace(metric)
    update = jax.jit(lambda m, s: m.compute(s), static_argnums=0)
    assert jax.tree.structure(update(metric, metric.init()))


def test_weights_that_cannot_be_are_refused_or_make_nan():
    confusion, labels = ConfusionMatrix(2), jnp.array([0, 1])
    weights = np.array([1.0, -2.0])
    with pytest.raises(
        ValueError, match=r"weights must be non-negative and finite, got -2.0 at position \(1,\)"
    ):
        confusion.update(confusion.init(), labels, labels, weights=weights)
    jitted = jax.jit(confusion.update)
    for wrong in (weights, np.array([np.inf, 1])):
        state = jitted(confusion.init(), labels, labels, weights=wrong)
        assert np.isnan(confusion.compute(state)).all()
    kept = confusion.update(
        confusion.init(), labels, labels, weights=weights, where=np.array([True, False])
    )
    np.testing.assert_array_equal(confusion.compute(kept), [[1, 0], [0, 0]])


def test_indices_that_cannot_be_are_refused_or_make_nan():
    confusion = ConfusionMatrix(3)
    update = partial(confusion.update, confusion.init())
    good = np.array([0, 2])
    with pytest.raises(ValueError, match=r"predictions must lie in \[0, 3\), got 3 at position"):
        update(np.array([0, 3]), good)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got -1 at position \(1,\)"):
        update(good, np.array([0, -1]))
    with pytest.raises(ValueError, match=r"labels must lie in .* got 4294967297"):
        update(good, np.array([0, 2**32 + 1]))
    with pytest.raises(TypeError, match=r"predictions must be .* write jnp.argmax\(logits, -1\)"):
        update(np.zeros(2, np.float32), good)
    with pytest.raises(TypeError, match=r"labels must be .* got bool; write labels.astype\(int\)"):
        update(good, good > 0)
    with pytest.raises(ValueError, match=r"labels must have shape \(2,\) beside predictions, got"):
        update(good, good[:1])
    with pytest.raises(TypeError, match="where must be boolean"):
        update(good, good, where=good)
    state = jax.jit(update)(good, np.array([0, -1]))
    assert np.isnan(confusion.compute(state)).all()
    # What was counted once cannot be trusted again.
    assert np.isnan(confusion.compute(merge(state, update(good, good)))).all()
