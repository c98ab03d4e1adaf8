"""Several labels at once, against scikit-learn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sk

from tests.metrics.labelled import Agreement, masks_and_weights, quietly
from xentjax.metrics.multilabel import MultiLabelConfusion
from xentjax.metrics.scores import f_beta, hamming_loss, precision, recall
from xentjax.metrics.sequences import ExactMatch

CASES, N, L = 90, 20, 4
TABLES, SUBSET = MultiLabelConfusion(L), ExactMatch()
AVERAGES = (None, "micro", "macro", "weighted")
ZEROS = (0, 1, np.nan)


def case_of(i, rng):
    """Predictions and labels [N, L]: random, all or none, labels that never occur, perfect."""
    predictions, labels = rng.random((2, N, L)) < rng.choice([0.1, 0.5, 0.9])
    if i % 5 == 1:
        labels[:, rng.integers(L)] = False
    if i % 5 == 2:
        predictions[:, rng.integers(L)] = False
        labels[:, rng.integers(L)] = True
    if i % 5 == 3:
        labels[:] = False
    if i % 5 == 4:
        predictions = labels.copy()
    return predictions, labels


@jax.jit
@jax.vmap
def scored(predictions, labels, where, weights):
    tables = TABLES.compute(
        TABLES.update(TABLES.init(), predictions, labels, where=where, weights=weights)
    )
    state = SUBSET.update(SUBSET.init(), predictions, labels, where=where, weights=weights)
    scores = {
        (name, str(average), str(zero)): score(tables, average=average, zero_division=zero)
        for name, score in {"precision": precision, "recall": recall, "f1": f_beta}.items()
        for average in AVERAGES
        for zero in ZEROS
    }
    return tables, SUBSET.compute(state), hamming_loss(tables), scores


def test_tables_and_scores_equal_those_of_scikit_learn(report_figure):
    rng = np.random.default_rng(0)
    pairs = [case_of(i, rng) for i in range(CASES)]
    predictions, labels = (np.stack(part) for part in zip(*pairs, strict=True))
    where, weights = masks_and_weights(rng, CASES, N)
    tables, subset, hamming, scores = jax.tree.map(
        np.asarray, scored(predictions, labels, where, weights)
    )
    agreement = Agreement()
    for i in range(CASES):
        keep, zero = where[i], ZEROS[(i // 5) % 3]
        share = weights[i][keep].astype(np.float64)
        true, guessed = labels[i][keep].astype(int), predictions[i][keep].astype(int)
        truth = sk.multilabel_confusion_matrix(true, guessed, sample_weight=share)
        agreement.add(tables[i] / share.sum(), truth / share.sum(), i)
        agreement.add(hamming[i], sk.hamming_loss(true, guessed, sample_weight=share), i)
        agreement.add(subset[i], sk.accuracy_score(true, guessed, sample_weight=share), i)
        for average in AVERAGES:
            theirs = quietly(
                sk.precision_recall_fscore_support, true, guessed, average=average,
                sample_weight=share, zero_division=zero,
            )  # fmt: skip
            for name, value in zip(("precision", "recall", "f1"), theirs, strict=False):
                agreement.add(scores[name, str(average), str(zero)][i], value, (name, average, i))
    report_figure(f"several labels against scikit-learn: {agreement}")


def test_a_label_nobody_knows_is_left_out_alone():
    rng = np.random.default_rng(1)
    guessed, true, known = rng.random((3, N, L)) < 0.5
    # −1 for an unknown label: masked, it may hold anything.
    labels = np.where(known, true, -1)
    state = TABLES.update(TABLES.init(), guessed, labels, where=known)
    for label, table in enumerate(TABLES.compute(state)):
        keep = known[:, label]
        truth = sk.confusion_matrix(true[keep, label], guessed[keep, label], labels=[False, True])
        np.testing.assert_array_equal(table, truth)
    weighted = TABLES.update(TABLES.init(), guessed, true, weights=known.astype(np.float32))
    np.testing.assert_array_equal(TABLES.compute(weighted), TABLES.compute(state))


def test_a_mask_of_rows_is_never_taken_for_one_of_labels():
    square = np.eye(L, dtype=bool)
    rows = np.array([True, True, False, False])
    state = TABLES.update(TABLES.init(), square, square, where=rows)
    np.testing.assert_array_equal(TABLES.compute(state).sum((1, 2)), [2] * L)
    with pytest.raises(ValueError, match=r"where must have one entry per row, or one per label"):
        TABLES.update(TABLES.init(), square[None, None], square[None, None], where=rows)


def test_bad_input_is_refused_or_nan():
    update = functools.partial(TABLES.update, TABLES.init())
    good, floats = np.ones((2, L), bool), np.ones((2, L), np.float32)
    with pytest.raises(TypeError, match=r"predictions must be boolean .* logits > 0"):
        update(floats, good)
    with pytest.raises(
        ValueError, match=r"labels must lie in \[0, 2\), got 3 at position \(0, 0\)"
    ):
        update(good, np.full((2, L), 3))
    with pytest.raises(
        ValueError, match=r"predictions must have 4 labels last, got shape \(4, 2\)"
    ):
        update(good.T, good.T)
    with pytest.raises(ValueError, match=r"labels must have shape \(2, 4\) beside predictions"):
        update(good, good[0])
    with pytest.raises(ValueError, match="labels must be a positive number of labels, got -1"):
        MultiLabelConfusion(-1)
    bad = jax.jit(update)(good, jnp.array([[0, 1, 2, 0], [0, 0, 0, 0]]))
    assert np.isnan(TABLES.compute(bad)).all()
    with pytest.raises(ValueError, match=r"tables must be \[L, 2, 2\], got \(2, 2\)"):
        hamming_loss(np.eye(2))
