"""Learning curves: what more data would bring.

`train_learning_curve` trains the same model on parts of the training rows and scores all of them on
the same held-out rows. Use it before labelling more: a curve that is flat wants another model, not
more rows. `power_law` reads on where it ends.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from xentjax.audit.cohort import count_classes, train_cohort
from xentjax.audit.estimate import Estimate, student
from xentjax.audit.given import Given, labels_of, rows_of
from xentjax.audit.probe import require_finite
from xentjax.losses.softmax import softmax_cross_entropy


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """Scores over the size of the training data.

    Attributes:
        sizes: training rows, ascending, int [S].
        losses: held-out nats of each training, float [S, R] for R trainings a size.
        accuracies: held-out share of hits, [S, R].
        train_losses: nats on the rows each was trained on, [S, R].
        loss: the mean of each size and its interval over trainings, S estimates.
        accuracy: the same of the accuracy.
    """

    sizes: np.ndarray
    losses: np.ndarray
    accuracies: np.ndarray
    train_losses: np.ndarray
    loss: tuple[Estimate, ...]
    accuracy: tuple[Estimate, ...]


def stratified_members(
    labels: Int[np.ndarray, " N"], size: int, *, seed: int
) -> Bool[np.ndarray, " N"]:
    """Draws rows at random such that every class keeps its share, and at least one row.

    For one seed a larger draw contains a smaller one as far as the shares allow; give each size a
    seed of its own for draws that are independent.

    Args:
        labels: class indices of all rows.
        size: how many to draw, from the number of classes present to N.
        seed: of the draw.

    Returns:
        True for the rows drawn.

    Raises:
        ValueError: the size is out of range.

    Example:
        >>> drawn = stratified_members(np.repeat([0, 1], [90, 10]), 5, seed=0)
        >>> np.bincount(np.repeat([0, 1], [90, 10])[drawn]).tolist()  # 4.5 and 0.5, made whole
        [4, 1]
    """
    classes, which, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if not len(classes) <= size <= len(labels):
        raise ValueError(
            f"size must lie in [{len(classes)}, {len(labels)}], from the number of classes to that "
            f"of rows, got {size}"
        )
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    rank = np.empty(len(labels), np.int64)  # of each row within its class, in shuffled order
    for number in range(len(classes)):
        rows = shuffled[which[shuffled] == number]
        rank[rows] = np.arange(len(rows))
    return rank < _apportion(counts, size)[which]


def train_learning_curve(
    make_model: Callable[[Any], Any],
    features: Given,
    labels: Given,
    held_out_features: Given,
    held_out_labels: Given,
    *,
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    seed: int = 0,
    **training: Any,
) -> LearningCurve:
    r"""Trains a model on parts of the rows, several times a size, and scores the held-out rows.

    Every training draws its own rows (stratified, no class is lost), its own parameters and its
    own order, and makes as many steps as every other: small parts are seen more often. So the
    curve tells what the data bring under this schedule; a training stopped early would lose less
    on the small parts. Intervals are Student's over the R trainings of a size,
    mean ± t · s/√R. They leave out the chance in the held-out rows, which all share, and at the
    full size the chance in the rows drawn, which is then none.

    Args:
        make_model: as for `train_cohort`.
        features: the training rows.
        labels: their classes.
        held_out_features: rows that nothing was chosen by.
        held_out_labels: their classes.
        sizes: rows to train on; by default N/16, N/8, … N as far as every class has about two.
        repeats: R, trainings a size, at least 2.
        seed: of everything drawn.
        **training: steps, batch_size, learning_rate and others of `train_cohort`.

    Returns:
        `LearningCurve`.

    Raises:
        ValueError: repeats is below 2, a size out of range, shapes do not fit, or a training
            diverged.

    Example:
        >>> from flax import nnx
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32)[:, None]
        >>> y = (x[:, 0] > 0).astype(np.int32)
        >>> curve = train_learning_curve(
        ...     lambda key: nnx.Linear(1, 2, rngs=nnx.Rngs(key)), x, y, x, y, steps=50, repeats=2)
        >>> curve.sizes.tolist(), curve.losses.shape
        ([4, 8, 16, 32, 64], (5, 2))
    """
    if repeats < 2:
        raise ValueError(f"repeats must be at least 2 for an interval, got {repeats}")
    features = rows_of(features, "features")
    labels = labels_of(labels, rows=len(features))
    held_out_features = rows_of(held_out_features, "held_out_features")
    held_out_labels = labels_of(
        held_out_labels,
        "held_out_labels",
        rows=len(held_out_features),
        classes=count_classes(make_model, features[:1]),
    )
    known = _sizes(labels, sizes)
    seeds = np.random.SeedSequence(seed).generate_state(len(known) * repeats)
    members = np.stack(
        [
            stratified_members(labels, int(size), seed=int(each))
            for size, each in zip(np.repeat(known, repeats), seeds, strict=True)
        ]
    )
    cohort = train_cohort(
        make_model,
        features,
        labels,
        members=members,
        seed=seed,
        **training,
    )
    shape = len(known), repeats
    held_out, hits = _scores(cohort.logits(held_out_features), held_out_labels)
    losses, accuracies = held_out.mean(1).reshape(shape), hits.mean(1).reshape(shape)
    train, _ = _scores(cohort.logits(features), labels)
    return LearningCurve(
        known,
        losses,
        accuracies,
        train.mean(1, where=members).reshape(shape),
        tuple(student(row) for row in losses),
        tuple(student(row) for row in accuracies),
    )


def _sizes(labels: np.ndarray, sizes: Sequence[int] | None) -> np.ndarray:
    if sizes is None:
        least = 2 * len(np.unique(labels))
        halves = [len(labels) // 2**k for k in range(4, -1, -1)]
        return np.array([size for size in halves if size >= least] or [len(labels)])
    if not len(sizes):
        raise ValueError("sizes must name at least one size, got none")
    return np.unique(np.asarray(sizes, np.int64))


def _apportion(counts: np.ndarray, size: int) -> np.ndarray:
    """Whole numbers of rows a class: shares kept, at least one, at most what there is."""
    exact = counts * (size / counts.sum())
    whole = np.clip(np.floor(exact + 1e-9).astype(np.int64), 1, counts)
    while whole.sum() != size:
        step = 1 if whole.sum() < size else -1
        able = whole < counts if step > 0 else whole > 1
        short = np.where(able, step * (exact - whole), -np.inf)
        whole[short.argmax()] += step
    return whole


def _scores(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and hits [models, N]."""
    require_finite(logits, "logits of a trained model")
    wanted = np.broadcast_to(labels, logits.shape[:2])
    losses = softmax_cross_entropy(jnp.asarray(logits), jnp.asarray(wanted))
    return np.asarray(losses, np.float64), logits.argmax(-1) == wanted
