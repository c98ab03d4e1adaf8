"""What every metric of predicted probabilities owes: parts merge, masks hide, bad labels show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from xentjax.metrics import merge, merge_devices, tally
from xentjax.metrics.likelihood import BitsPerByte, BrierScore, LogScore, Perplexity, Sharpness
from xentjax.metrics.reliability import ClasswiseReliability, Reliability

RNG = np.random.default_rng(0)
N, C = 24, 3
LOSSES = jnp.asarray(RNG.gamma(1.0, size=N), jnp.float32)
LOGITS = jnp.asarray(2 * RNG.normal(size=(N, C)), jnp.float32)
PROBABILITIES = jax.nn.softmax(LOGITS)
LABELS = jnp.asarray(RNG.integers(C, size=N))
WHERE = jnp.asarray(RNG.random(N) < 0.8).at[0].set(False).at[1].set(True)
WEIGHTS = jnp.asarray(RNG.random(N), jnp.float32)
# A metric, its batch, and what a masked example may hold in each array.
CASES = {
    "perplexity": (Perplexity(), (LOSSES,), (np.nan,)),
    "bits per byte": (BitsPerByte(), (LOSSES, LABELS + 1), (np.nan, -5)),
    "log score": (LogScore(), (LOGITS, LABELS), (np.nan, C)),
    "Brier": (BrierScore(), (PROBABILITIES, LABELS), (np.nan, C)),
    "Brier of an event": (BrierScore(), (PROBABILITIES[:, 0], LABELS == 0), (np.nan, True)),
    "sharpness": (Sharpness(), (PROBABILITIES,), (np.nan,)),
    "reliability": (Reliability(bins=4), (PROBABILITIES, LABELS), (np.inf, -1)),
    "class-wise": (ClasswiseReliability(C, bins=4), (PROBABILITIES, LABELS), (np.nan, C)),
}
UPDATES = {name: jax.jit(case[0].update) for name, case in CASES.items()}
every_metric = pytest.mark.parametrize("name", CASES)


def counted(state):
    """All sums in float64, as they are in the state's two floats."""
    found = jax.tree.map(tally.exact, state, is_leaf=lambda x: isinstance(x, tally.Tally))
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(found)])


# Class-wise counting is that of the top label in more cells.
SLOW = [pytest.param(n, marks=[pytest.mark.slow] if n == "class-wise" else []) for n in CASES]


@pytest.mark.parametrize("name", SLOW)
def test_uneven_parts_and_devices_give_the_state_of_the_whole(name):
    metric, batch, _ = CASES[name]
    whole = UPDATES[name](metric.init(), *batch, where=WHERE, weights=WEIGHTS)
    parts = None
    for some in np.split(np.arange(N), [1, 18]):
        # Padded to one shape: what is out of the part is masked.
        inside = jnp.zeros(N, bool).at[some].set(True)
        part = UPDATES[name](metric.init(), *batch, where=WHERE & inside, weights=WEIGHTS)
        parts = part if parts is None else merge(parts, part)
    # A batch's own sum rounds as a float32 sum of 24.
    np.testing.assert_allclose(counted(parts), counted(whole), rtol=24 * 1.2e-7)

    @jax.jit
    @jax.shard_map(mesh=Mesh(np.array(jax.devices()), ("data",)), in_specs=P("data"), out_specs=P())
    def sharded(where, weights, *batch):
        own = metric.update(metric.init(), *batch, where=where, weights=weights)
        return merge_devices(own, "data")

    np.testing.assert_allclose(
        counted(sharded(WHERE, WEIGHTS, *batch)), counted(whole), rtol=24 * 1.2e-7
    )


@every_metric
def test_what_is_masked_may_hold_anything(name):
    metric, batch, fills = CASES[name]
    spoilt = [x.at[~WHERE].set(fill) for x, fill in zip(batch, fills, strict=True)]
    weights = WEIGHTS.at[0].set(jnp.nan)
    got = metric.update(metric.init(), *spoilt, where=WHERE, weights=weights)
    wanted = UPDATES[name](metric.init(), *batch, where=WHERE, weights=WEIGHTS)
    np.testing.assert_allclose(counted(got), counted(wanted), rtol=24 * 1.2e-7)


def value(metric, state):
    found = metric.compute(state)
    return found.weight if isinstance(found, tuple) else found


@every_metric
def test_nothing_counted_is_nan(name):
    metric, batch, _ = CASES[name]
    nothing = UPDATES[name](metric.init(), *batch, where=WHERE & False, weights=WEIGHTS)
    if "reliability" in type(metric).__name__.lower():
        assert not np.any(value(metric, nothing))
    else:
        assert np.isnan(value(metric, nothing))


@pytest.mark.parametrize(
    ("name", "position", "bad", "message"),
    [
        (
            "bits per byte",
            1,
            -1,
            r"n_bytes must lie in \[0, 2\*\*31 - 1\), got -1 at position \(2,\)",
        ),
        ("log score", 1, C, r"labels must lie in \[0, 3\), got 3 at position \(2,\)"),
        ("Brier", 1, -1, r"labels must lie in \[0, 3\), got -1 at position \(2,\)"),
        ("Brier", 0, 0.7, "probabilities must sum to 1 over the classes, got"),
        ("Brier of an event", 0, 1.5, r"probabilities must lie in \[0, 1\], got 1.5 at"),
        ("sharpness", 0, -0.2, "probabilities must be finite and non-negative, got -0"),
        ("reliability", 1, C, r"labels must lie in \[0, 3\)"),
        ("class-wise", 1, C, r"labels must lie in \[0, 3\)"),
    ],
)
def test_bad_values_are_refused_or_poison_the_state(name, position, bad, message):
    metric, batch, _ = CASES[name]
    spoilt = list(batch)
    spoilt[position] = spoilt[position].at[2].set(bad)
    with pytest.raises(ValueError, match=message):
        metric.update(metric.init(), *spoilt)
    state = UPDATES[name](metric.init(), *spoilt, where=WHERE.at[2].set(True), weights=WEIGHTS)
    good = UPDATES[name](metric.init(), *batch, where=WHERE, weights=WEIGHTS)
    assert np.isnan(value(metric, merge(state, good))).all()


def test_shapes_and_dtypes_are_checked():
    brier = BrierScore()
    with pytest.raises(ValueError, match="labels must be one class index for each row of prob"):
        brier.update(brier.init(), PROBABILITIES, LABELS[:-1])
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        brier.update(brier.init(), PROBABILITIES, LABELS * 1.0)
    with pytest.raises(TypeError, match="labels must be boolean or integers 0 and 1, got float32"):
        brier.update(brier.init(), LOSSES / 100, LOSSES)
    with pytest.raises(TypeError, match="probabilities must be floating point, got int32"):
        brier.update(brier.init(), LABELS, LABELS == 0)
    with pytest.raises(ValueError, match="weights must be non-negative and finite, got -1"):
        brier.update(brier.init(), PROBABILITIES, LABELS, weights=WEIGHTS.at[0].set(-1))
    with pytest.raises(ValueError, match="n_bytes must have shape"):
        BitsPerByte().update(BitsPerByte().init(), LOSSES, LABELS[:1])
    with pytest.raises(ValueError, match=r"probabilities must be \[\*batch, 4\] with class ind"):
        ClasswiseReliability(4).update(ClasswiseReliability(4).init(), PROBABILITIES, LABELS)
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        Reliability(bins=0)
