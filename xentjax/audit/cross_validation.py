"""Cross-validation: what models that never saw a row say of it, for every row.

All folds and repeats are one cohort: models that differ in the rows they see.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from xentjax.audit.cohort import train_cohort
from xentjax.audit.given import Given, integers_of, labels_of, rows_of


def stratified_folds(labels: Given, *, folds: int, seed: int) -> Int[np.ndarray, " N"]:
    """Deals rows into folds so that each class is spread evenly over them.

    Rows are shuffled, sorted by class and dealt out one by one, so that fold sizes differ by at
    most one, in all and within each class. A class with fewer rows than folds is missing in some.

    Args:
        labels: int [N].
        folds: at least 2, at most N.
        seed: of the shuffle.

    Returns:
        The fold of each row, int64 [N] in [0, folds).

    Raises:
        TypeError: if labels are not integers.
        ValueError: if folds is out of range or there are no labels.

    Example:
        >>> found = stratified_folds(np.array([0, 0, 0, 0, 1, 1]), folds=2, seed=0)
        >>> [sorted(np.array([0, 0, 0, 0, 1, 1])[found == k].tolist()) for k in (0, 1)]
        [[0, 0, 1], [0, 0, 1]]
    """
    labels = labels_of(labels)
    if not 2 <= folds <= len(labels):
        raise ValueError(
            f"folds must be at least 2 and at most {len(labels)}, the number of rows, got {folds}"
        )
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]
    found = np.empty(len(labels), np.int64)
    found[order] = np.arange(len(labels)) % folds
    return found


def out_of_fold_logits(
    make_model: Callable[[Any], Any],
    features: Given,
    labels: Given,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    **training: Any,
) -> Float[np.ndarray, "L N C"]:
    r"""What models trained without a row say of it, for one or more labellings of the same rows.

    Of several repeats the probabilities are averaged, not their logarithms:

        logits = log (1/R · Σ_r softmax(logits_r))

    A mean of logarithms would let one repeat that is overconfident rule out what all others hold
    likely. Prefer more folds for small data, where a model trained on a part is weaker than the
    one that is judged; prefer more repeats where training is noisy.

    Args:
        make_model: typed JAX key → a new model, as in `train_cohort`.
        features: [N, …].
        labels: [L, N], one row of labels for each labelling; each has folds of its own.
        folds: K; each model is trained on about N (1 − 1/K) rows.
        repeats: R, how often folds are dealt anew; L · R · K models in all.
        seed: of folds and trainings.
        **training: steps, batch_size, learning_rate and others of `train_cohort`.

    Returns:
        Log-probabilities, float32 [L, N, C].

    Raises:
        ValueError: if folds or repeats are out of range, or as in `train_cohort`.

    Reference:
        M. Stone, Cross-Validatory Choice and Assessment of Statistical Predictions, 1974.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    features, labels = rows_of(features, "features"), integers_of(labels, "labels", "L N")
    if labels.shape[1] != len(features):
        raise ValueError(f"labels must be [L, {len(features)}], got shape {labels.shape}")
    dealt = np.stack(
        [
            stratified_folds(row, folds=folds, seed=seed + 1000 * repeat)
            for row in labels
            for repeat in range(repeats)
        ]
    )
    held_out = dealt[:, None, :] == np.arange(folds)[None, :, None]  # [L·R, K, N]
    given = np.repeat(labels, repeats * folds, axis=0)
    cohort = train_cohort(
        make_model,
        features,
        given,
        members=~held_out.reshape(-1, len(features)),
        seed=seed,
        **training,
    )
    logits = cohort.logits(features)
    said = logits.reshape(len(dealt), folds, *logits.shape[1:])
    own = np.take_along_axis(said, dealt[:, None, :, None], axis=1)[:, 0]  # [L·R, N, C]
    return _mean_probability(own.reshape(len(labels), repeats, *own.shape[1:]))


def _mean_probability(logits: np.ndarray) -> np.ndarray:
    """The logarithm of the mean over axis 1 of the softmax over the last, in float64."""
    wide = logits.astype(np.float64)
    log_probs = wide - _logsumexp(wide, axis=-1)
    mean = _logsumexp(log_probs, axis=1)[:, 0] - np.log(logits.shape[1])
    return mean.astype(np.float32)


def _logsumexp(values: np.ndarray, axis: int) -> np.ndarray:
    top = values.max(axis=axis, keepdims=True)
    return top + np.log(np.exp(values - top).sum(axis=axis, keepdims=True))
