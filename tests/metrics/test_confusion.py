"""The confusion matrix and its scores against scikit-learn."""

import functools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from tests.metrics.labelled import KINDS, Agreement, classes_of, masks_and_weights, quietly
from xentjax.metrics import merge, tally
from xentjax.metrics.agreement import (
    accuracy,
    balanced_accuracy,
    cohen_kappa,
    matthews_correlation,
)
from xentjax.metrics.confusion import ConfusionMatrix, normalized_confusion
from xentjax.metrics.scores import f_beta, precision, recall, specificity

CASES, N, C = 120, 30, 5
CONFUSION = ConfusionMatrix(C)
AVERAGES = (None, "micro", "macro", "weighted")
ZEROS = (0, 1, np.nan)
WHOLE = {
    "accuracy": accuracy,
    "balanced": balanced_accuracy,
    "adjusted": functools.partial(balanced_accuracy, adjusted=True),
    "kappa": cohen_kappa,
    "linear": functools.partial(cohen_kappa, weights="linear"),
    "quadratic": functools.partial(cohen_kappa, weights="quadratic"),
    "matthews": matthews_correlation,
}
PER_LABEL = {
    "precision": precision,
    "recall": recall,
    "f1": f_beta,
    "f2": functools.partial(f_beta, beta=2),
    "specificity": specificity,
}


@jax.jit
@jax.vmap
def all_scores(matrix):
    whole = {name: score(matrix) for name, score in WHOLE.items()}
    per_label = {
        (name, str(average), str(zero)): score(matrix, average=average, zero_division=zero)
        for name, score in PER_LABEL.items()
        for average in AVERAGES
        for zero in ZEROS
    }
    normalized = {over: normalized_confusion(matrix, over=over) for over in ("labels", "all")}
    return whole, per_label, normalized


@jax.jit
def counted(predictions, labels, where, weights):
    state = CONFUSION.update(CONFUSION.init(), predictions, labels, where=where, weights=weights)
    return CONFUSION.compute(state)


@pytest.fixture(scope="module")
def problems():
    rng = np.random.default_rng(0)
    pairs = [classes_of(KINDS[i % len(KINDS)], rng, N, C) for i in range(CASES)]
    predictions, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    where, weights = masks_and_weights(rng, CASES, N)
    matrices = jax.vmap(counted)(predictions, labels, where, weights)
    scores = jax.tree.map(np.asarray, all_scores(matrices))
    # What is masked may hold anything.
    bad = np.where(where, labels, -7)
    np.testing.assert_array_equal(
        matrices, jax.vmap(counted)(predictions, bad, where, np.where(where, weights, np.nan))
    )
    kept = [
        (labels[i][where[i]], predictions[i][where[i]], weights[i][where[i]].astype(np.float64))
        for i in range(CASES)
    ]
    return kept, np.asarray(matrices), scores


def test_matrices_equal_those_of_scikit_learn(problems, report_figure):
    kept, matrices, (_, _, normalized) = problems
    agreement = Agreement()
    for i, (labels, predictions, weights) in enumerate(kept):
        oracle = functools.partial(
            sk.confusion_matrix, labels, predictions, labels=np.arange(C), sample_weight=weights
        )
        truth = oracle()
        agreement.add(matrices[i] / truth.sum(), truth / truth.sum())
        agreement.add(normalized["labels"][i], oracle(normalize="true"))
        agreement.add(normalized["all"][i], oracle(normalize="all"))
    report_figure(f"confusion matrices against scikit-learn: {agreement}")


def test_scores_of_the_whole_matrix_equal_those_of_scikit_learn(problems, report_figure):
    kept, _, (whole, _, _) = problems
    agreement = Agreement()
    for i, (labels, predictions, weights) in enumerate(kept):
        both = (labels, predictions)
        kappa = functools.partial(
            quietly, sk.cohen_kappa_score, *both, labels=np.arange(C), sample_weight=weights
        )
        balanced = functools.partial(
            quietly, sk.balanced_accuracy_score, *both, sample_weight=weights
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            truth = {
                "accuracy": sk.accuracy_score(*both, sample_weight=weights),
                "balanced": balanced(),
                "adjusted": balanced(adjusted=True),
                "kappa": kappa(),
                "linear": kappa(weights="linear"),
                "quadratic": kappa(weights="quadratic"),
                "matthews": quietly(sk.matthews_corrcoef, *both, sample_weight=weights),
            }
        for name, value in truth.items():
            agreement.add(whole[name][i], value, (name, i, KINDS[i % len(KINDS)]))
    report_figure(f"accuracies, kappa, Matthews against scikit-learn: {agreement}")


def specificity_by_definition(labels, predictions, weights, average, zero):
    """Recall of "not this label" by scikit-learn, averaged as scikit-learn averages recall."""
    tables = sk.multilabel_confusion_matrix(
        labels, predictions, sample_weight=weights, labels=np.arange(C)
    )
    tn, fp, fn, tp = (tables[:, i, j] for i in (0, 1) for j in (0, 1))
    if average == "micro":
        tn, fp = tn.sum(keepdims=True), fp.sum(keepdims=True)
    with np.errstate(invalid="ignore"):
        scores = np.where(tn + fp == 0, zero, tn / (tn + fp))
    if average in (None, "micro"):
        return scores if average is None else scores[0]
    used = ~np.isnan(scores) & (tp + fp + fn > 0)
    weights = np.ones(C) if average == "macro" else tp + fn
    if not used.any():
        return np.nan
    return np.average(scores[used], weights=weights[used] if weights[used].any() else None)


def test_scores_per_label_equal_those_of_scikit_learn(problems, report_figure):
    kept, _, (_, per_label, _) = problems
    agreement = Agreement()
    for i, (labels, predictions, weights) in enumerate(kept):
        # One rule of 0/0 for each case keeps this short; every kind meets all three.
        zero = ZEROS[(i // len(KINDS)) % 3]
        for average in AVERAGES:
            beside = np.arange(C) if average is None else None
            scores = functools.partial(
                quietly, sk.precision_recall_fscore_support, labels, predictions, labels=beside,
                average=average, sample_weight=weights, zero_division=zero,
            )  # fmt: skip
            truth = dict(zip(("precision", "recall", "f1"), scores(), strict=False))
            truth["f2"] = scores(beta=2)[2]
            truth["specificity"] = specificity_by_definition(
                labels, predictions, weights, average, zero
            )
            for name, value in truth.items():
                found = per_label[name, str(average), str(zero)][i]
                agreement.add(found, value, (name, average, zero, i, KINDS[i % len(KINDS)]))
    report_figure(f"precision, recall, F, specificity against scikit-learn: {agreement}")


def exact_scores(counts):
    """Kappa and the square of Matthews' coefficient, by their definitions in whole numbers."""
    n, c = sum(map(sum, counts)), len(counts)
    rows, columns = (
        [sum(row) for row in counts],
        [sum(column) for column in zip(*counts, strict=True)],
    )
    hits = sum(counts[i][i] for i in range(c))
    chance = sum(r * k for r, k in zip(rows, columns, strict=True))
    kappa = Fraction(hits * n - chance, n * n - chance)
    covariance = hits * n - chance
    spread = (n * n - sum(r * r for r in rows)) * (n * n - sum(k * k for k in columns))
    return float(kappa), np.sign(covariance) * np.sqrt(float(Fraction(covariance**2, spread)))


def test_scores_of_huge_and_lopsided_counts_keep_six_digits(report_figure):
    rng, agreement, c = np.random.default_rng(1), Agreement(), 4
    matrices = []
    for i in range(100):
        scale = 10.0 ** rng.uniform(0, 12, (c, c) if i % 2 else (c, 1))
        matrices.append((scale * rng.random((c, c))).astype(np.int64) + (i % 3 > 0))
    matrices.append(np.diag([10**12, 1, 1, 1]) + 1)  # 1 − Σ a² would be 0 in float32
    matrices.append(np.array([[10**12, 5 * 10**11, 0, 0], [3, 7, 0, 0], [0] * 4, [0] * 4]))
    scores = jax.jit(jax.vmap(lambda m: (cohen_kappa(m), matthews_correlation(m))))
    found = scores(np.stack(matrices).astype(np.float32))
    for i, matrix in enumerate(matrices):
        rounded = np.asarray(matrix.astype(np.float32), object).astype(object)
        whole = [[int(x) for x in row] for row in rounded]
        kappa, matthews = exact_scores(whole)
        agreement.add(found[0][i], kappa, ("kappa", i))
        agreement.add(found[1][i], matthews, ("matthews", i))
    # 64-bit counts are not wrapped on their way in.
    np.testing.assert_allclose(accuracy(matrices[0]), np.trace(matrices[0]) / matrices[0].sum())
    report_figure(f"kappa and Matthews of counts up to 1e12: {agreement}")


def test_counts_stay_exact_past_float32_and_int32():
    state = CONFUSION.update(CONFUSION.init(), jnp.array([0, 1, 1, 4]), jnp.array([0, 1, 1, 3]))
    doubled, _ = jax.jit(lambda s: jax.lax.scan(lambda a, _: (merge(a, a), None), s, length=45))(
        state
    )
    one = CONFUSION.update(doubled, jnp.array([1, 1, 0, 0]), jnp.array([1, 2, 0, 0]))
    assert tally.exact(one)[1, 1] == 2 * 2**45 + 1
    assert tally.exact(one)[0, 0] == 2**45 + 2
    assert tally.exact(one)[2, 1] == 1


def test_weights_are_summed_exactly_in_any_order():
    # float32 adds 2¹⁶ weights of 0.1 one by one to 6560.4 and not to 6553.6.
    weights = np.full(2**16, 0.1, np.float32)
    weights[::7] = 1e-3
    labels = np.arange(2**16) % 3
    update = jax.jit(ConfusionMatrix(3).update)
    states = []
    for order in (slice(None), slice(None, None, -1)):
        rows, shares = labels[order], weights[order]
        states.append(update(ConfusionMatrix(3).init(), rows, rows, weights=shares))
    for i in range(3):
        truth = float(sum(Fraction(float(w)) for w in weights[labels == i]))
        assert abs(tally.exact(states[0])[i, i] - truth) <= 2e-13 * truth
    jax.tree.map(np.testing.assert_array_equal, *states)


def test_nothing_counted_has_no_score_and_a_bad_matrix_only_nan():
    empty = CONFUSION.compute(CONFUSION.init())
    # Of the shape that is compiled already.
    matrices = jnp.stack([empty, jnp.full_like(empty, jnp.nan)] * (CASES // 2))
    everything = jax.tree.map(np.asarray, all_scores(matrices))
    spoiled = jax.tree.leaves(jax.tree.map(lambda x: x[1], everything))
    assert all(np.isnan(value).all() for value in spoiled)
    whole, per_label, normalized = jax.tree.map(lambda x: x[0], everything)
    assert all(np.isnan(value) for value in whole.values())
    for (name, average, zero), value in per_label.items():
        wanted = np.nan if average in ("macro", "weighted") else float(zero)
        np.testing.assert_array_equal(value, np.broadcast_to(wanted, value.shape), str(name))
    assert not np.any(normalized["all"])


def test_beta_zero_is_precision_and_infinity_is_recall():
    matrix = np.array([[3, 1, 0], [2, 4, 0], [1, 1, 0]])
    np.testing.assert_allclose(f_beta(matrix, beta=0), precision(matrix), rtol=1e-6)
    np.testing.assert_allclose(f_beta(matrix, beta=np.inf), recall(matrix), rtol=1e-6)
    np.testing.assert_allclose(f_beta(matrix, beta=1e30), recall(matrix), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ConfusionMatrix(0), r"classes must lie in \[1, 46340\], got 0"),
        (lambda: accuracy(np.ones((2, 3))), r"confusion must be a matrix .* got shape \(2, 3\)"),
        (lambda: accuracy(np.ones((3, 2, 2))), "take precision, recall, f_beta"),
        (lambda: recall(np.array([[1, -1], [0, 1]])), r"got a count < 0 at \(0, 1\)"),
        (lambda: recall(np.eye(2), average="mean"), "average must be one of .* got 'mean'"),
        (lambda: recall(np.eye(2), zero_division=2), "zero_division must be 0, 1 or nan, got 2"),
        (lambda: f_beta(np.eye(2), beta=-1.0), "beta must be non-negative, got -1.0"),
        (lambda: cohen_kappa(np.eye(2), weights="cubic"), "weights must be one of"),
        (lambda: cohen_kappa(np.eye(2), weights="quadratc"), "did you mean 'quadratic'"),
        (lambda: recall(np.eye(2), average="marco"), "got 'marco'; did you mean 'macro'"),
        (lambda: normalized_confusion(np.eye(2), over="rows"), "over must be one of"),
        (lambda: normalized_confusion(np.eye(2), over="label"), "did you mean 'labels'"),
    ],
)
def test_wrong_options_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
