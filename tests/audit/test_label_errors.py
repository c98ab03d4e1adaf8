"""Label errors: cleanlab's own counts and marks; planted flips found; clean data left alone."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict

from xentjax.audit.label_errors import (
    confident_joint,
    find_label_errors,
    noise_matrix,
    probabilities,
)


def flip(labels, share, classes, rng):
    """Labels with a share of them moved to another class, and which."""
    flipped = np.zeros(len(labels), bool)
    flipped[rng.choice(len(labels), round(share * len(labels)), replace=False)] = True
    moved = (labels + rng.integers(1, classes, len(labels))) % classes
    return np.where(flipped, moved, labels), flipped


@pytest.fixture(scope="module")
def digits():
    """A third of the digits, 5 % flipped, judged by another library's cross-validated model."""
    rng = np.random.default_rng(0)
    rows = rng.permutation(1797)[:900]
    features, truth = load_digits().data[rows] / 16, load_digits().target[rows]
    labels, flipped = flip(truth, 0.05, 10, rng)
    model = LogisticRegression(C=0.3, max_iter=300)
    probs = cross_val_predict(model, features, labels, cv=4, method="predict_proba")
    return probs, labels, flipped


def random_case(seed):
    """Probabilities of a wavering model over classes of uneven sizes, one of them without rows."""
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 7))
    truth = rng.choice(classes, 300, p=rng.dirichlet(np.full(classes, 3.0)))
    logits = 3 * np.eye(classes)[truth] + rng.normal(size=(300, classes)) * rng.uniform(0.5, 2)
    return probabilities(logits), flip(truth, 0.1, classes, rng)[0]


MARKS = {"prune_by_class": "by_class", "prune_by_noise_rate": "by_noise_rate", "both": "both"}


def tied_rows(confident, totals):
    """Rows of the joint in which largest remainders tie: which class gets the row is arbitrary."""
    exact = confident / confident.sum(axis=1, keepdims=True) * totals[:, None]
    remainders = np.round(exact % 1, 6)
    return np.array([len(np.unique(r[r > 0])) < (r > 0).sum() for r in remainders])


@pytest.mark.filterwarnings("default")  # cleanlab's own imports and remarks
def test_counts_and_marks_are_cleanlabs(digits):
    count = pytest.importorskip("cleanlab.count", reason="cleanlab is the oracle")
    from cleanlab.filter import find_label_issues

    compared = 0
    for probs, labels in [digits[:2], *map(random_case, range(20))]:
        ours = find_label_errors(probs, labels)
        confident = count.compute_confident_joint(labels, probs, calibrate=False)
        np.testing.assert_array_equal(ours.joint.confident, confident)
        theirs = count.compute_confident_joint(labels, probs)
        tied = tied_rows(confident, np.bincount(labels, minlength=probs.shape[1]))
        np.testing.assert_array_equal(ours.joint.counts[~tied], theirs[~tied])
        assert np.abs(ours.joint.counts - theirs).max() <= 1
        wanted = find_label_issues(labels, probs, filter_by="confident_learning", n_jobs=1)
        np.testing.assert_array_equal(ours.off_diagonal, wanted)
        # cleanlab first sees to it that each class keeps a row, which changes counts otherwise.
        if (ours.joint.counts.diagonal() >= 1).all():
            for by, name in MARKS.items():
                # Its own counts where it has no choice, else ours.
                joint = ours.joint.counts if tied.any() else None
                wanted = find_label_issues(
                    labels, probs, filter_by=by, n_jobs=1, confident_joint=joint
                )
                np.testing.assert_array_equal(getattr(ours, name), wanted, err_msg=name)
            compared += not tied.any()
    assert compared >= 3


@pytest.mark.filterwarnings("default")
def test_scores_are_cleanlabs(digits):
    rank = pytest.importorskip("cleanlab.rank", reason="cleanlab is the oracle")
    probs, labels, _ = digits
    ours = find_label_errors(probs, labels)
    for name in ("self_confidence", "normalized_margin"):
        wanted = rank.get_label_quality_scores(labels, probs, method=name)
        np.testing.assert_allclose(getattr(ours, name), wanted, atol=1e-12)


def test_planted_flips_in_digits_are_found(digits, report_figure):
    probs, labels, flipped = digits
    found = find_label_errors(probs, labels)
    precision = flipped[found.both].mean()
    recall = found.both[flipped].mean()
    ap = average_precision_score(flipped, -found.normalized_margin)
    report_figure(
        f"label errors: of {flipped.sum()} planted in digits {recall:.0%} found, precision "
        f"{precision:.0%}, average precision {ap:.2f}"
    )
    # Guessing has precision and average precision 0.05. A linear model is right on 93 % of the
    # digits, so at least 93 % of 45 flips less three standard errors can be seen: 36.
    assert recall >= 36 / 45
    assert precision > 0.6
    assert ap > 0.85
    # A flipped label's suggestion is the true one where the model is right.
    assert found.off_diagonal.sum() < 0.15 * len(labels)


def test_the_noise_matrix_planted_is_the_one_estimated():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], 5000)
    wanted = np.array([[0.9, 0.2], [0.1, 0.8]])  # of true 0 one tenth says 1, of true 1 a fifth 0
    wrong = rng.random(10_000) < np.where(truth == 0, 0.1, 0.2)
    labels = np.where(wrong, 1 - truth, truth)
    sure = probabilities(np.where(np.eye(2)[truth] > 0, 3.0, 0.0))
    found = noise_matrix(confident_joint(sure, labels).counts)
    # Standard error of a rate of 0.2 in 5000: 0.0057; four of them.
    np.testing.assert_allclose(found, wanted, atol=0.023)


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_clean_separable_rows_are_not_marked(classes):
    rng = np.random.default_rng(2)
    labels = rng.integers(0, classes, 500)
    probs = probabilities(8 * np.eye(classes)[labels] + rng.normal(size=(500, classes)))
    found = find_label_errors(probs, labels)
    # A margin of 8 with noise of standard deviation √2 is never crossed: Φ(−5.6) = 1e-8.
    assert not found.both.any()
    assert not found.by_noise_rate.any()
    assert not found.off_diagonal.any()
    assert np.trace(found.joint.counts) == 500


def test_all_wrong_labels_are_all_suspects_but_the_classes_keep_a_row():
    labels = np.repeat([0, 1], 20)
    found = find_label_errors(probabilities(9.0 * np.eye(2)[1 - labels]), labels)
    # Each class claims the other: both thresholds are the tiny own probability, which all reach.
    assert found.off_diagonal.all()
    assert found.by_class.sum() >= 38 - 2


def test_a_class_without_rows_is_reached_by_none():
    probs = probabilities(np.random.default_rng(3).normal(size=(50, 3)))
    found = confident_joint(probs, np.arange(50) % 2)
    assert found.thresholds[2] == 2
    assert found.counts[:, 2].sum() == found.counts[2].sum() == 0
    assert found.counts.sum() == 50
    assert np.isnan(noise_matrix(found.counts)[:, 2]).all()


def test_the_ranking_begins_with_the_most_suspicious():
    probs = probabilities(np.random.default_rng(4).normal(size=(60, 3)) * 3)
    found = find_label_errors(probs, np.arange(60) % 3)
    rows = found.ranked(found.by_noise_rate)
    assert len(rows) == found.by_noise_rate.sum() > 3
    assert (np.diff(found.normalized_margin[rows]) >= 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: confident_joint(np.full((2, 2), 0.5), np.array([0, 2])), "got 2 at position 1"),
        (lambda: confident_joint(np.full((2, 2), 0.7), np.array([0, 1])), "sum to 1, .* row 0"),
        (lambda: confident_joint(np.full((1, 2), np.nan), np.array([0])), "probs must be finite"),
        (lambda: confident_joint(np.ones((0, 2)), np.zeros(0, int)), "at least one number"),
        (lambda: find_label_errors(np.ones((2, 1)), np.zeros(2, int)), "at least two classes"),
        (lambda: probabilities(np.array([[0.0, np.nan]])), "logits must be finite"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
