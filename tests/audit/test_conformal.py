"""Conformal sets are those of the papers, and cover as often as theory says they must."""

import math

import jax
import numpy as np
import pytest
from scipy import stats

from xentjax.audit.conformal import conformal_quantile, fit_aps, fit_classwise_aps, fit_raps
from xentjax.audit.coverage import chance_of_coverage, set_coverage


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def draw(rng, n, classes=4):
    """Overconfident logits, for the promise asks nothing of the model."""
    logits = rng.normal(scale=1.5, size=(n, classes))
    below = softmax(logits).cumsum(axis=1) < rng.random((n, 1))
    return 3 * logits, np.minimum(below.sum(axis=1), classes - 1)


def paper_scores(logits, u, penalty=0.0, free=0):
    """Romano et al. and Angelopoulos et al., class by class."""
    p = softmax(logits)
    scores = np.empty_like(p)
    for i, row in enumerate(p):
        for c, own in enumerate(row):
            before = [j for j in range(len(row)) if row[j] > own or (row[j] == own and j < c)]
            price = penalty * max(0, len(before) + 1 - free)
            scores[i, c] = sum(row[j] for j in before) + u[i] * own + price
    return scores


@pytest.mark.parametrize("randomized", [False, True])
@pytest.mark.parametrize(("penalty", "free"), [(0.0, 0), (0.1, 1)])
def test_sets_are_those_of_the_papers(randomized, penalty, free):
    rng = np.random.default_rng(0)
    (logits, labels), (others, _) = draw(rng, 37), draw(rng, 11)
    key, other_key = jax.random.split(jax.random.key(1)) if randomized else (None, None)

    def scores(logits, key):
        u = np.zeros(len(logits))
        if key is not None:
            u = np.asarray(jax.random.uniform(key, (len(logits),)), np.float64)
        return paper_scores(logits, u, penalty, free)

    found = fit_raps(logits, labels, alpha=0.2, penalty=penalty, free=free, key=key)
    true = np.sort(scores(logits, key)[np.arange(37), labels])
    wanted = true[math.ceil(38 * 0.8) - 1]
    np.testing.assert_allclose(found.thresholds, wanted, rtol=1e-12)
    # A margin around the threshold leaves no row to a rounding.
    theirs = scores(others, other_key)
    assert np.abs(theirs - wanted).min() > 1e-9
    np.testing.assert_array_equal(found.sets(others, key=other_key), theirs <= wanted)


def test_raps_without_a_price_is_aps():
    logits, labels = draw(np.random.default_rng(1), 50)
    aps, raps = fit_aps(logits, labels), fit_raps(logits, labels, penalty=0.0)
    np.testing.assert_array_equal(aps.thresholds, raps.thresholds)


def test_classwise_thresholds_are_those_of_their_rows():
    logits, labels = draw(np.random.default_rng(2), 200)
    found = fit_classwise_aps(logits, labels, alpha=0.2)
    for c in range(4):
        own = labels == c
        wanted = fit_aps(logits[own], labels[own], alpha=0.2).thresholds[0]
        assert found.thresholds[c] == wanted
        assert found.rows[c] == own.sum()


@pytest.mark.parametrize(
    ("n", "alpha", "rank"), [(9, 0.1, 9), (99, 0.29, 71), (100, 0.05, 96), (8, 0.1, None)]
)
def test_the_quantile_is_the_papers(n, alpha, rank):
    found = conformal_quantile(np.arange(1.0, n + 1), alpha)
    assert found == (math.inf if rank is None else rank)


@pytest.mark.parametrize("fit", [fit_aps, fit_raps])
def test_coverage_is_beta_over_exchangeable_draws(fit):
    """Randomized scores are all different, so coverage is Beta(n + 1 − l, l) exactly."""
    rng = np.random.default_rng(3)
    n, m, alpha = 49, 400, 0.1
    covered = []
    for i in range(100):
        logits, labels = draw(rng, n + m)
        keys = jax.random.split(jax.random.key(i))
        found = fit(logits[:n], labels[:n], alpha=alpha, key=keys[0])
        sets = found.sets(logits[n:], key=keys[1])
        covered.append(set_coverage(sets, labels[n:]).covered)
    wanted = stats.betabinom(m, n + 1 - 5, 5)
    # The mean of 100, within 4 of its standard errors (0.006 %).
    assert abs(np.mean(covered) - wanted.mean()) < 4 * wanted.std() / 10
    # 95 % of the draws within the central interval: Bin(100, ≥ 0.95) is below 88 in 0.2 %.
    low, high = wanted.interval(0.95)
    assert np.sum((low <= covered) & (covered <= high)) >= 88
    # And no narrower than theory: the variance's own relative error is about √(2/100).
    assert 0.5 < np.var(covered) / wanted.var() < 1.7


def test_plain_sets_cover_at_least_as_often():
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(100):
        logits, labels = draw(rng, 149)
        found = fit_aps(logits[:49], labels[:49], alpha=0.1)
        covered.append(set_coverage(found.sets(logits[49:]), labels[49:]).covered)
    wanted = stats.betabinom(100, 45, 5)
    assert np.mean(covered) > wanted.mean() - 4 * wanted.std() / 10


def test_each_class_is_covered_where_each_was_promised():
    rng = np.random.default_rng(5)
    logits, labels = draw(rng, 6000, classes=3)
    # Class 2 is rare, and the model denies it.
    keep = (labels != 2) | (rng.random(6000) < 0.2)
    logits, labels = logits[keep] - np.array([[0, 0, 6.0]]), labels[keep]
    half = len(labels) // 2
    plain = fit_aps(logits[:half], labels[:half], alpha=0.1).sets(logits[half:])
    fair = fit_classwise_aps(logits[:half], labels[:half], alpha=0.1).sets(logits[half:])
    assert set_coverage(plain, labels[half:]).by_class.high[2] < 0.85
    found = set_coverage(fair, labels[half:]).by_class
    # With n ≥ 150 rows behind each threshold its coverage has sd ≤ 0.025, and Wilson's own.
    assert np.all(found.high > 0.9 - 3 * 0.025)


def test_plain_sets_are_never_empty_and_end_with_the_class_that_fills_them():
    logits, labels = draw(np.random.default_rng(7), 200)
    found = fit_aps(logits[:100], labels[:100], alpha=0.3)
    sets, p = found.sets(logits[100:]), softmax(logits[100:])
    assert sets.any(axis=1).all()
    for row, chosen in zip(p, sets, strict=True):
        ordered = np.sort(row)[::-1]
        # The smallest number of classes whose probability exceeds the threshold.
        wanted = np.flatnonzero(np.cumsum(ordered) > found.thresholds[0])
        assert chosen.sum() == (wanted[0] + 1 if wanted.size else 4)


def test_too_few_rows_put_every_class_into_every_set():
    found = fit_aps(np.eye(3), np.arange(3), alpha=0.1)
    assert found.unbounded == (0, 1, 2)
    assert found.sets(np.zeros((2, 3))).all()
    assert fit_classwise_aps(np.eye(3)[[0] * 9], np.zeros(9, int)).unbounded == (1, 2)


def test_coverage_counts():
    sets = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
    found = set_coverage(sets, np.array([1, 1, 2, 2]))
    assert found.covered == 2
    np.testing.assert_array_equal(found.by_class.count, [0, 2, 2])
    np.testing.assert_array_equal(found.by_class.value, [np.nan, 0.5, 0.5])
    np.testing.assert_array_equal(found.by_size.count, [1, 2, 1, 0])
    np.testing.assert_array_equal(found.by_size.value, [0, 0.5, 1, np.nan])
    assert found.mean_size == 1


@pytest.mark.parametrize(("n", "alpha"), [(49, 0.1), (270, 0.05), (5, 0.5)])
def test_the_chance_of_coverage_is_scipys(n, alpha):
    missed = math.floor((n + 1) * alpha + 1e-9)
    for covered in (0, 60, 80, 100):
        wanted = stats.betabinom.cdf(covered, 100, n + 1 - missed, missed)
        found = chance_of_coverage(covered, 100, calibration_rows=n, alpha=alpha)
        np.testing.assert_allclose(found, wanted, rtol=1e-8)


def test_an_infinite_threshold_leaves_no_chance_to_miss():
    assert chance_of_coverage(10, 10, calibration_rows=5, alpha=0.1) == 1
    assert chance_of_coverage(9, 10, calibration_rows=5, alpha=0.1) == 0


def test_a_key_goes_with_a_randomized_predictor_only():
    logits, labels = draw(np.random.default_rng(6), 20)
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="key must be given"):
        fit_aps(logits, labels, key=key).sets(logits)
    with pytest.raises(ValueError, match="key must be given"):
        fit_aps(logits, labels).sets(logits, key=key)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.0}, "alpha must lie"),
        ({"alpha": 1.0}, "alpha must lie"),
        ({"penalty": -1.0}, "penalty must be"),
        ({"free": -1}, "free must be"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_raps(np.eye(3), np.arange(3), **options)


def test_quantiles_that_nobody_can_mean_are_refused():
    for alpha in (0.0, 1.0, 1.5):
        with pytest.raises(ValueError, match="alpha must lie"):
            conformal_quantile(np.arange(9.0), alpha)
    with pytest.raises(ValueError, match="without NaN"):
        conformal_quantile(np.array([1.0, np.nan, 2.0]), 0.4)
    with pytest.raises(ValueError, match="without NaN, got shape"):
        conformal_quantile(np.ones((3, 2)), 0.4)


def test_bad_rows_are_named():
    with pytest.raises(ValueError, match="must have 3 classes"):
        fit_aps(np.eye(3), np.arange(3)).sets(np.eye(4))
    with pytest.raises(ValueError, match="logits must be finite"):
        fit_aps(np.full((2, 2), np.nan), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\)"):
        set_coverage(np.ones((1, 2), bool), np.array([2]))
    with pytest.raises(TypeError, match="sets must be boolean"):
        set_coverage(np.ones((1, 2)), np.array([1]))
    with pytest.raises(ValueError, match="covered"):
        chance_of_coverage(3, 2, calibration_rows=5, alpha=0.1)
