"""Reliability tables and calibration errors against scikit-learn and the definitions in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from xentjax.metrics.calibration import (
    debiased_calibration_error,
    expected_calibration_error,
    maximum_calibration_error,
    rms_calibration_error,
)
from xentjax.metrics.reliability import ClasswiseReliability, Reliability, equal_mass_reliability

N, C, BINS, COUNT = 60, 3, 5, 24
ERRORS = (
    expected_calibration_error,
    maximum_calibration_error,
    rms_calibration_error,
    debiased_calibration_error,
)


@jax.jit
def errors_of(table):
    return [error(table) for error in ERRORS]


def binned(cells, confidences, hits, weights, bins=BINS):
    """The four errors by their definitions, in float64, bin by bin."""
    shares, gaps, noises = [], [], []
    for b in range(bins):
        w, conf, hit = (x[cells == b].astype(np.float64) for x in (weights, confidences, hits))
        if w.sum() == 0:
            continue
        accuracy = np.average(hit, weights=w)
        examples = w.sum() ** 2 / (w**2).sum()
        shares.append(w.sum() / weights.astype(np.float64).sum())
        gaps.append(abs(accuracy - np.average(conf, weights=w)))
        single = examples < 1 + 1e-9
        noises.append(gaps[-1] ** 2 if single else accuracy * (1 - accuracy) / (examples - 1))
    shares, gaps, noises = map(np.asarray, (shares, gaps, noises))
    squares = np.sum(shares * (gaps**2 - noises))
    return [
        np.sum(shares * gaps),
        gaps.max(),
        np.sqrt(np.sum(shares * gaps**2)),
        np.sqrt(max(squares, 0)),
    ]


def equal_width(confidences, bins=BINS):
    # Bin b is (b/B, (b + 1)/B].
    return np.maximum(np.ceil(confidences.astype(np.float64) * bins - 1e-6) - 1, 0)


def draw(i):
    """Random cases: mild and sharp, one class alone, weights of 0, most masked, all confident."""
    rng = np.random.default_rng(i)
    logits = (rng.normal(size=(N, C)) * [0.5, 2.0, 10.0][i % 3]).astype(np.float32)
    probabilities = np.asarray(jax.nn.softmax(logits))
    labels = rng.integers(C, size=N) if i % 4 else np.full(N, i % C)
    where = rng.random(N) < [1.0, 0.5, 0.1][(i // 3) % 3]
    where[0] = True
    # Not so unequal that a bin tells as much as 1.0001 examples, whose noise float32 cannot.
    weights = (0.25 + rng.random(N)).astype(np.float32) * (rng.random(N) < 0.7 if i % 2 else 1)
    weights[0] = 1
    return probabilities, labels.astype(np.int32), where, weights


@jax.jit
def ours(probabilities, labels, where, weights):
    """Top-label and class-wise errors of one draw, in one program."""
    top, classwise = Reliability(BINS), ClasswiseReliability(C, BINS)
    batch, options = (probabilities, labels), {"where": where, "weights": weights}
    return (
        errors_of(top.compute(top.update(top.init(), *batch, **options))),
        errors_of(classwise.compute(classwise.update(classwise.init(), *batch, **options))),
    )


def test_errors_are_those_of_the_definitions(report_figure):
    for i in range(COUNT):
        p, labels, where, weights = draw(i)
        top, classwise = ours(p, labels, where, weights)
        p, labels, w = p[where], labels[where], weights[where]
        confidences, hits = p.max(-1), p.argmax(-1) == labels
        assert_errors(top, binned(equal_width(confidences), confidences, hits, w))
        for c in range(C):
            one = binned(equal_width(p[:, c]), p[:, c], labels == c, w)
            assert_errors([error[c] for error in classwise], one)
    report_figure(f"calibration errors: {COUNT} random and adversarial cases as defined")


def assert_errors(got, wanted):
    # The root of a difference near 0 knows half its digits: its square is compared.
    got, wanted = ([*errors[:3], float(errors[3]) ** 2] for errors in (got, wanted))
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-6)


TENTHS = Reliability(bins=10)


@jax.jit
def padded_table(said, happened, where):
    return TENTHS.compute(TENTHS.update(TENTHS.init(), said, happened, where=where))


def table_of(said, happened, size=205):
    """The table of an event in tenths; all examples padded to one size."""
    rest = size - len(said)
    return padded_table(
        np.pad(np.asarray(said, np.float32), (0, rest)),
        np.pad(np.asarray(happened, bool), (0, rest)),
        np.arange(size) < len(said),
    )


def test_the_diagram_is_scikit_learns():
    rng = np.random.default_rng(1)
    said = np.concatenate([rng.random(202).astype(np.float32), [0.0, 0.5, 1.0]])
    happened = rng.random(205) < said
    table = table_of(said, happened)
    accuracy, confidence = calibration_curve(happened, said, n_bins=10)
    np.testing.assert_allclose(table.accuracy, accuracy, rtol=2e-7)
    np.testing.assert_allclose(table.confidence, confidence, rtol=1e-6)
    assert np.sum(table.weight) == 205
    np.testing.assert_array_equal(table.examples, table.weight)


def test_decimals_fall_into_the_bin_they_end():
    tenths = np.arange(11) / 10
    np.testing.assert_array_equal(table_of(tenths, tenths > 2).weight, [2] + 9 * [1])


def test_empty_bins_are_nan_in_the_table_and_nothing_in_the_errors():
    table = table_of([0.95, 0.85], [1, 0])
    assert np.isnan(table.accuracy[:8]).all()
    np.testing.assert_allclose(errors_of(table)[0], 0.45, rtol=1e-6)
    assert np.isnan(errors_of(table_of([], []))).all()


def equal_mass(p, hits, where, weights):
    table = equal_mass_reliability(p, hits, bins=BINS, where=where, weights=weights)
    return table, errors_of(table)


def test_equal_mass_bins_hold_equal_shares_whatever_the_order():
    found = jax.jit(equal_mass)
    for i in range(8):
        rng = np.random.default_rng(i)
        said = rng.permutation(N).astype(np.float32) / N  # distinct, so bins are exact
        where = np.ones(N, bool) if i % 2 else rng.random(N) < 0.5
        hits = rng.random(N) < said
        order = np.argsort(said[where])
        rank = np.argsort(order)
        cells = rank * BINS // where.sum()
        wanted = binned(cells, said[where], hits[where], np.ones(where.sum()))
        table, errors = found(said, hits, where, np.ones(N, np.float32))
        np.testing.assert_array_equal(table.weight, np.bincount(cells, minlength=BINS))
        np.testing.assert_allclose(errors[:3], wanted[:3], rtol=2e-6, atol=2e-6)
        # A weight of 2 is the example twice, but for what counts as an example.
        table, _ = found(said, hits, where, 2 * np.ones(N, np.float32))
        np.testing.assert_array_equal(table.weight, 2 * np.bincount(cells, minlength=BINS))


def test_equal_confidences_share_a_bin():
    said = np.repeat(np.float32([0.2, 0.6, 0.9]), [10, 30, 20])
    hits = np.arange(N) % 3 == 0
    shuffled = np.random.default_rng(0).permutation(N)
    one = equal_mass_reliability(said, hits, bins=BINS)
    other = equal_mass_reliability(said[shuffled], hits[shuffled], bins=BINS)
    # Shares below: 0, 1/6 and 4/6 of all, times 5.
    np.testing.assert_array_equal(one.weight, [40, 0, 0, 20, 0])
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_debiasing_takes_out_what_noise_puts_in():
    bins, n, draws = 10, 200, 400
    reliability = Reliability(bins)

    @jax.jit
    @jax.vmap
    def squares(key):
        """Of a perfectly calibrated forecaster, whose true error is 0 (bins hide nothing)."""
        said = (jnp.arange(n) % bins + 0.5) / bins
        happened = jax.random.uniform(key, (n,)) < said
        table = reliability.compute(reliability.update(reliability.init(), said, happened))
        noise = table.accuracy * (1 - table.accuracy) / (table.examples - 1)
        gap = (table.accuracy - table.confidence) ** 2
        _, _, rms, debiased = errors_of(table)
        return jnp.mean(gap - noise), rms**2, debiased**2

    unbiased, plain, clipped = squares(jax.random.split(jax.random.key(0), draws))
    # Bins of 20 examples: the noise that the plain error shows.
    said = (np.arange(bins) + 0.5) / bins
    expected = np.mean(said * (1 - said)) / 20
    error = np.std(plain) / np.sqrt(draws)
    assert abs(np.mean(plain) - expected) < 4 * error
    assert abs(np.mean(unbiased)) < 4 * error
    np.testing.assert_allclose(clipped, np.maximum(unbiased, 0), atol=1e-7)


@pytest.mark.parametrize("labels", [jnp.array([0, 1, 2, 5]), jnp.array([0, 1, -1, 0])])
def test_bad_labels_are_refused_or_make_equal_mass_nan(labels):
    p = jnp.full((4, 4), 0.25)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\)"):
        equal_mass_reliability(p, labels)
    table = jax.jit(equal_mass_reliability)(p, labels)
    assert np.isnan(table.weight).all()
    assert np.isnan(errors_of(table)).all()


def test_equal_mass_bins_hold_equally_many_of_millions():
    # The number of examples times that of bins is 3·10⁹, which no int32 holds.
    n, bins = 300_000, 10_000
    said = np.linspace(0, 1, n, dtype=np.float32)
    table = equal_mass_reliability(said, np.zeros(n, bool), bins=bins)
    order = np.searchsorted(said, said)  # equal confidences share a bin
    wanted = np.bincount(order * bins // n, minlength=bins)
    np.testing.assert_array_equal(table.weight, wanted)
    with pytest.raises(ValueError, match="bins of equal mass must be at most 32768, got 32769"):
        equal_mass_reliability(said[:9], np.zeros(9, bool), bins=2**15 + 1)
