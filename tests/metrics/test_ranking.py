"""ROC AUC and average precision against scikit-learn: exact, and from histograms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from tests.metrics.labelled import Agreement, masks_and_weights, quietly
from xentjax.metrics.histogram import ScoreHistogram
from xentjax.metrics.ranking import average_precision, roc_auc

CASES, N = 160, 40
HISTOGRAM = ScoreHistogram(bins=8, low=-2, high=2.0)


def case_of(i, rng):
    """Scores and labels [N]: random, tied, all tied, separable either way, one class only, rare."""
    scores, labels = rng.normal(size=N), rng.random(N) < rng.choice([0.1, 0.5, 0.9])
    kind = i % 8
    if kind == 1:
        scores = np.round(scores)
    if kind == 2:
        scores[:] = 0.25
    if kind in (3, 4):
        scores = np.where(labels, 1, -1) * np.abs(scores) * (1 if kind == 3 else -1)
    if kind == 5:
        labels[:] = i % 16 == 5
    if kind == 6:
        labels[:] = False
        labels[rng.integers(N)] = True
    if kind == 7:
        scores = np.exp(20 * scores) * rng.choice([-1, 1], N)  # over forty orders of magnitude
    return scores, labels


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(0)
    pairs = [case_of(i, rng) for i in range(CASES)]
    scores, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    scores = scores.astype(np.float32)
    where, weights = masks_and_weights(rng, CASES, N)
    weights[3::4, ::5] = 0
    return scores, labels, where, weights


def kept(problems, i):
    scores, labels, where, weights = (x[i] for x in problems)
    share = weights[where].astype(np.float64)
    scores, labels, share = scores[where][share > 0], labels[where][share > 0], share[share > 0]
    return labels, scores, share


def truths(labels, scores, share):
    """Both scores by scikit-learn; NaN where it only warns."""
    both = [
        quietly(score, labels, scores, sample_weight=share)
        for score in (sk.roc_auc_score, sk.average_precision_score)
    ]
    return both if labels.any() else (np.nan, np.nan)


@jax.jit
@jax.vmap
def ranked(scores, labels, where, weights):
    options = {"where": where, "weights": weights}
    state = HISTOGRAM.update(HISTOGRAM.init(), scores, labels, **options)
    exact = roc_auc(scores, labels, **options), average_precision(scores, labels, **options)
    return exact, HISTOGRAM.compute(state)


@pytest.fixture(scope="module")
def found(problems):
    return jax.tree.map(np.asarray, ranked(*problems))


def test_exact_scores_equal_those_of_scikit_learn(problems, found, report_figure):
    agreement, (auc, precision) = Agreement(), found[0]
    for i in range(CASES):
        truth = truths(*kept(problems, i))
        agreement.add(auc[i], truth[0], ("auc", i))
        agreement.add(precision[i], truth[1], ("average precision", i))
    report_figure(f"ROC AUC and average precision against scikit-learn: {agreement}")


def test_histograms_bound_the_truth_and_are_exact_of_binned_scores(problems, found, report_figure):
    agreement, inside, bounds = Agreement(), 0, found[1]
    for i in range(CASES):
        labels, scores, share = kept(problems, i)
        binned = np.clip(np.floor((scores - np.float32(-2)) * np.float32(2)), 0, 7)
        for bounded, truth, coarse in zip(
            bounds, truths(labels, scores, share), truths(labels, binned, share), strict=True
        ):
            value, low, high = (x[i] for x in bounded)
            agreement.add(value, coarse, i)
            if np.isnan(truth):
                assert np.isnan([value, low, high]).all()
                continue
            assert low - 1e-6 <= truth <= high + 1e-6, (i, low, truth, high)
            assert low <= value <= high
            inside += 1
    assert np.nanmax(bounds.roc_auc.high - bounds.roc_auc.low) > 0.5  # 1 when all share one bin
    report_figure(f"histograms against scikit-learn of binned scores: {agreement}")
    report_figure(f"histograms: the exact value within the bounds in {inside} of {inside} cases")


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_a_million_examples_keep_six_digits(weighted, report_figure):
    rng, n = np.random.default_rng(0), 1_000_000
    labels = rng.random(n) < 0.01
    scores = np.round(rng.normal(size=n) + labels, 3).astype(np.float32)  # ties by the thousand
    weights = rng.lognormal(size=n).astype(np.float32) if weighted else None
    agreement = Agreement()
    auc = roc_auc(scores, labels, weights=weights)
    share = None if weights is None else weights.astype(np.float64)
    agreement.add(auc, sk.roc_auc_score(labels, scores, sample_weight=share))
    precision = average_precision(scores, labels, weights=weights)
    agreement.add(precision, sk.average_precision_score(labels, scores, sample_weight=share))
    report_figure(f"ranking {n} {'weighted ' * weighted}examples: {agreement}")


def test_several_classes_are_a_vmap():
    rng, c = np.random.default_rng(2), 4
    scores = jax.nn.softmax(rng.normal(size=(N, c)).astype(np.float32))
    labels = rng.integers(0, c, N)
    against_rest = jax.vmap(roc_auc, in_axes=(1, 1))
    found = against_rest(scores, jax.nn.one_hot(labels, c, dtype=bool)).mean()
    truth = sk.roc_auc_score(labels, np.asarray(scores), multi_class="ovr")
    np.testing.assert_allclose(found, truth, atol=1e-6)


def test_infinite_scores_huge_weights_and_no_examples():
    labels = np.array([True, False, True, False])
    scores = np.array([np.inf, -np.inf, np.inf, np.inf], np.float32)
    huge = np.full(4, 1e38, np.float32)
    assert roc_auc(scores, labels, weights=huge) == 0.75
    np.testing.assert_allclose(average_precision(scores, labels, weights=huge), 2 / 3, rtol=1e-6)
    nothing = np.zeros(4, bool)
    assert np.isnan(roc_auc(scores, labels, where=nothing))
    assert np.isnan(average_precision(scores, labels, where=nothing))
    assert np.isnan(roc_auc(scores[:0], labels[:0]))
    assert np.isnan(average_precision(scores[:0], labels[:0]))


@pytest.mark.parametrize("score", [roc_auc, average_precision])
def test_bad_input_is_refused_or_nan(score):
    scores, labels = np.array([0.1, 0.2, np.nan], np.float32), np.array([0, 1, 1])
    with pytest.raises(ValueError, match=r"scores must not be NaN, got nan at position \(2,\)"):
        score(scores, labels)
    with pytest.raises(TypeError, match="labels must be boolean or integers 0 and 1, got float32"):
        score(scores[:2], np.ones(2, np.float32))
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\), got 2 at position \(1,\)"):
        score(scores[:2], np.array([0, 2]))
    with pytest.raises(ValueError, match=r"weights must be non-negative and finite, got -1.0"):
        score(scores[:2], labels[:2], weights=np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"labels must have shape \(3,\) beside scores"):
        score(scores, labels[:2])
    jitted = jax.jit(score)
    clean = jnp.array([0.1, 0.2, 0.3])
    assert np.isnan(jitted(scores, labels))
    assert np.isnan(jitted(clean, np.array([0, 1, 2])))
    assert np.isnan(jitted(clean, labels, weights=np.array([1.0, -1.0, 1.0])))
    masked = jitted(scores, np.array([0, 1, 5]), where=np.array([True, True, False]))
    assert masked == 1


def test_histograms_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="bins must be at least 1, got 0"):
        ScoreHistogram(bins=0)
    with pytest.raises(ValueError, match=r"low must be below high, both finite, got 1\.0, 1\.0"):
        ScoreHistogram(low=1.0)
    update = functools.partial(HISTOGRAM.update, HISTOGRAM.init())
    with pytest.raises(ValueError, match="scores must not be NaN"):
        update(np.array([np.nan]), np.array([1]))
    bad = HISTOGRAM.compute(jax.jit(update)(np.array([np.nan, 0.5]), np.array([1, 0])))
    assert np.isnan(jax.tree.leaves(bad)).all()
