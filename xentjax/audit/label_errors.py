r"""Label errors by confident learning: which given labels a model that never saw them disbelieves.

A class counts as the true one of a row where its probability reaches the mean that rows of that
class get (a threshold of its own for each class, so that a class the model is shy of is not
wronged). Counting given against such true classes estimates the noise; the estimate says how many
rows to mark, the probabilities say which. The probabilities must be out of sample
(`xentjax.audit.cross_validation`): a model that was trained on a wrong label has learned it.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from xentjax.audit.given import Given, finite_of, integers_of, labels_of

# Probabilities within this of a threshold reach it: float32 means waver.
_TIE = 1e-6


class ConfidentJoint(NamedTuple):
    """Estimated counts of (given, true) label."""

    thresholds: Float[np.ndarray, " C"]  # mean probability of a class among its rows
    confident: Int[np.ndarray, "C C"]  # rows counted, given × true
    counts: Int[np.ndarray, "C C"]  # scaled so that each given class has its number of rows


class LabelErrors(NamedTuple):
    """Rows under suspicion, and how strongly."""

    joint: ConfidentJoint
    off_diagonal: Bool[np.ndarray, " N"]  # confidently of another class than given
    by_class: Bool[np.ndarray, " N"]  # least self-confident, as many as the joint says by class
    by_noise_rate: Bool[np.ndarray, " N"]  # largest margin, as many as it says by pair of classes
    both: Bool[np.ndarray, " N"]  # by class and by noise rate: fewest false alarms
    self_confidence: Float[np.ndarray, " N"]  # probability of the given label
    normalized_margin: Float[np.ndarray, " N"]  # (that − the largest other + 1) / 2, in [0, 1]
    suggested: Int[np.ndarray, " N"]  # the likeliest other label

    def ranked(self, marked: Bool[np.ndarray, " N"]) -> Int[np.ndarray, " marked"]:
        """The marked rows, least normalised margin (most suspicious) first."""
        rows = np.flatnonzero(marked)
        return rows[np.argsort(self.normalized_margin[rows], kind="stable")]


def probabilities(logits: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """Softmax in float64.

    Raises:
        ValueError: if a logit is NaN or +inf, or a row has none above −inf.

    Example:
        >>> probabilities(np.log(np.array([[3.0, 1.0]]))).round(6).tolist()
        [[0.75, 0.25]]
    """
    wide = logits.astype(np.float64)
    top = wide.max(axis=1, keepdims=True)
    if not np.isfinite(top).all():
        row = int(np.flatnonzero(~np.isfinite(top[:, 0]))[0])
        raise ValueError(f"logits must be finite or −inf, not all of them, got {logits[row]}")
    shares = np.exp(wide - top)
    return shares / shares.sum(axis=1, keepdims=True)


def confident_joint(probs: Given, labels: Given) -> ConfidentJoint:
    r"""How many rows of each given class truly belong to which, as a model sees it.

        t_j = mean of p_j over the rows labelled j
        C_ij = rows labelled i whose likeliest class with p_j ≥ t_j is j

    scaled to the rows of each given class and rounded to whole rows by largest remainder. Rows
    that reach no threshold are not counted. Each diagonal entry is at least 1.

    Args:
        probs: out-of-sample probabilities, rows sum to 1.
        labels: as given, in [0, C).

    Returns:
        `ConfidentJoint`; a class without rows has threshold 2, which nothing reaches.

    Raises:
        TypeError: probabilities are no numbers, or labels are not integers.
        ValueError: if probabilities do not sum to 1, labels are out of range, or there is no row.

    Example:
        >>> probs = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.9, 0.1]])
        >>> found = confident_joint(probs, np.array([0, 0, 1, 1]))
        >>> found.thresholds.round(6).tolist()  # (0.9 + 0.8)/2 and (0.8 + 0.1)/2
        [0.85, 0.45]
        >>> found.counts.tolist()  # the fourth row says 1 and is confidently 0; the second unsure
        [[2, 0], [1, 1]]

    Reference:
        C. G. Northcutt, L. Jiang, I. L. Chuang, Confident Learning: Estimating Uncertainty in
        Dataset Labels, 2021.
    """
    probs, labels = _read(probs, labels)
    classes, given = probs.shape[1], np.bincount(labels, minlength=probs.shape[1])
    own = np.bincount(labels, weights=_own(probs, labels), minlength=classes)
    thresholds = np.where(given > 0, np.maximum(own / np.maximum(given, 1), 2 * _TIE), 2.0)
    true = _confident_class(probs, thresholds)
    confident = np.zeros((classes, classes), np.int64)
    np.add.at(confident, (labels[true >= 0], true[true >= 0]), 1)
    confident[np.diag_indices(classes)] = np.maximum(confident.diagonal(), 1)
    shares = confident / confident.sum(axis=1, keepdims=True)
    counts = np.stack([_whole(row * n, n) for row, n in zip(shares, given, strict=True)])
    return ConfidentJoint(thresholds, confident, counts)


def noise_matrix(counts: Given) -> Float[np.ndarray, "C C"]:
    """The chance of each given label for each true one: columns that sum to 1.

    Args:
        counts: given × true, as of `ConfidentJoint.counts`.

    Returns:
        P(given i | true j) at [i, j]; NaN in the column of a class to which no row belongs.

    Raises:
        TypeError: counts are not integers.
        ValueError: they are not square, or one is negative.

    Example:
        >>> noise_matrix(np.array([[9, 1], [3, 7]])).tolist()  # of 12 true 0, 9 are labelled so
        [[0.75, 0.125], [0.25, 0.875]]
    """
    table = integers_of(counts, "counts", "C C")
    if table.shape[0] != table.shape[1] or table.min() < 0:
        raise ValueError(
            f"counts must be square and not negative, got shape {table.shape} and {table.min()}"
        )
    totals = table.sum(axis=0, keepdims=True)
    return np.where(totals > 0, table / np.maximum(totals, 1), np.nan)


def find_label_errors(probs: Given, labels: Given) -> LabelErrors:
    """Rows whose labels are probably wrong, by confident learning.

    Prefer `both` for a short list with few false alarms, `by_noise_rate` to miss little, and
    `self_confidence` (ranking by the loss, −log of it) where all rows will be looked at in turn. A
    row whose given label is the likeliest is never marked. What is marked is a suspect: a hard
    row, rightly labelled, looks the same to a weak model.

    Args:
        probs: out-of-sample probabilities, rows sum to 1.
        labels: as given, in [0, C).

    Returns:
        `LabelErrors`.

    Raises:
        TypeError, ValueError: as `confident_joint`; or if there are fewer than two classes.

    Example:
        >>> rows = [[0.9, 0.1]] * 5 + [[0.1, 0.9]] * 5
        >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])  # the fifth is wrong
        >>> found = find_label_errors(np.array(rows), labels)
        >>> found.ranked(found.both).tolist(), found.suggested[4].item()
        ([4], 0)

    Reference:
        C. G. Northcutt, L. Jiang, I. L. Chuang, Confident Learning: Estimating Uncertainty in
        Dataset Labels, 2021.
    """
    probs, labels = _read(probs, labels)
    if probs.shape[1] < 2:
        raise ValueError("probs must have at least two classes, got one")
    joint = confident_joint(probs, labels)
    own, others = _own(probs, labels), _others(probs, labels)
    favoured = others.max(axis=1) > own + _TIE  # where another class is likelier than the given
    true = _confident_class(probs, joint.thresholds)
    by_class = _prune_by_class(probs, labels, joint.counts) & favoured
    by_noise_rate = _prune_by_noise_rate(probs, labels, joint.counts) & favoured
    return LabelErrors(
        joint=joint,
        off_diagonal=(true >= 0) & (true != labels) & favoured,
        by_class=by_class,
        by_noise_rate=by_noise_rate,
        both=by_class & by_noise_rate,
        self_confidence=own,
        normalized_margin=(own - others.max(axis=1) + 1) / 2,
        suggested=others.argmax(axis=1),
    )


def _own(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.take_along_axis(probs, labels[:, None], axis=1)[:, 0]


def _others(probs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The probabilities of the labels not given; −1 at the given one."""
    others = probs.copy()
    np.put_along_axis(others, labels[:, None], -1.0, axis=1)
    return others


def _confident_class(probs: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The likeliest class of all that reach their thresholds where several do; −1 for none."""
    reached = probs >= thresholds - _TIE
    several = reached.sum(axis=1) > 1
    guess = np.where(several, probs.argmax(axis=1), reached.argmax(axis=1))
    return np.where(reached.any(axis=1), guess, -1)


def _prune_by_class(probs: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    marked = np.zeros(len(labels), bool)
    for given in range(len(counts)):
        rows = np.flatnonzero(labels == given)
        # Every class keeps a row, whatever the estimate says.
        number = len(rows) - max(counts[given, given], 1)
        if len(rows) > 1 and number > 0:
            marked[rows[np.argsort(probs[rows, given], kind="stable")[:number]]] = True
    return marked


def _prune_by_noise_rate(probs: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    marked = np.zeros(len(labels), bool)
    for given, true in zip(*np.nonzero(counts), strict=True):
        rows = np.flatnonzero(labels == given)
        if given != true and len(rows) > 1:
            margin = probs[rows, true] - probs[rows, given]
            marked[rows[np.argsort(-margin, kind="stable")[: counts[given, true]]]] = True
    return marked


def _whole(values, total):
    """Whole numbers that sum to the total, by largest remainder; of equal ones the first."""
    found = np.floor(values + 1e-9).astype(np.int64)
    order = np.argsort(-np.round(values - found, 9), kind="stable")
    found[order[: total - found.sum()]] += 1
    return found


def _read(probs: Given, labels: Given) -> tuple[np.ndarray, np.ndarray]:
    found = finite_of(probs, "probs", "N C")
    given = labels_of(labels, rows=len(found), classes=found.shape[1])
    bad = np.flatnonzero((found < 0).any(axis=1) | (np.abs(found.sum(axis=1) - 1) >= 1e-3))
    if bad.size:
        raise ValueError(
            f"probs must be probabilities that sum to 1, got {found[bad[0]]} in row {bad[0]}; "
            "of logits, give probabilities(logits)"
        )
    return found, given
