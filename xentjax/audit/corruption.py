"""Corruption: the accuracy that is left when features, or the labels to learn from, are noisy."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Integer, Num, Shaped

from xentjax.audit.cohort import train_cohort
from xentjax.audit.estimate import Estimate, flipped
from xentjax.audit.given import Given, finite_of, labels_of, rows_of
from xentjax.audit.probe import Labels, Predict, Rows, read_rows, require_finite, row_shaped
from xentjax.metrics.intervals import wilson_interval


@dataclasses.dataclass(frozen=True)
class NoiseCurve:
    """Accuracy by the size of what was corrupted.

    Attributes:
        sizes: float64 [S].
        accuracy: float64 [S], the mean over rows and repetitions.
        low: float64 [S], lower end of the 95 % Wilson interval over rows. Repetitions count as
            one trial a row: they ask the same row again.
        high: float64 [S], upper end.
        repetitions: float64 [S, R], the accuracy of each draw of noise, or each training.
        right: float64 [S, n], the share of repetitions in which each row was right.
    """

    sizes: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    repetitions: np.ndarray
    right: np.ndarray

    def flipped(self, number: int) -> Estimate:
        """Of the answers right at the first size, the share wrong at another, with its interval.

        Args:
            number: which size.
        """
        return flipped(self.right, number)


def input_noise_curve(
    predict: Predict,
    features: Rows,
    labels: Labels,
    sizes: Given,
    *,
    key: Shaped[Array, "..."],
    draws: int = 8,
    scale: Num[ArrayLike, "..."] = 1.0,
    low: Num[ArrayLike, "..."] = -np.inf,
    high: Num[ArrayLike, "..."] = np.inf,
) -> NoiseCurve:
    r"""Accuracy on features with Gaussian noise: x' = clip(x + size · scale · ε, low, high).

    Prefer it for the wear of every day (sensors, scans, typing); `attack_curve` is for malice,
    which finds directions that noise never takes.

    Args:
        predict: features [n, …] → logits [n, C], each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the true classes.
        sizes: standard deviations, rising, ≥ 0; begin with 0, the accuracy without noise.
        key: of the noise; the same draws serve every size.
        draws: how often each row gets noise.
        scale: what sizes are multiplied by: a number, or one row of ranges.
        low: smallest value a feature may take; a number or one row.
        high: largest.

    Returns:
        `NoiseCurve`.

    Raises:
        TypeError: features are not floating point.
        ValueError: shapes do not fit, sizes do not rise, or logits are not finite.

    Example:
        >>> x = jnp.tile(jnp.array([[1.0, 0.0]]), (100, 1))
        >>> found = input_noise_curve(
        ...     lambda x: x, x, jnp.zeros(100, int), [0.0, 0.5], key=jax.random.key(0), draws=50
        ... )
        >>> print(f"{found.accuracy[1]:.2f}")  # Φ(1 / (0.5 √2)) = Φ(1.414) = 0.921
        0.92

    Reference:
        D. Hendrycks, T. Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
        and Perturbations, 2019.
    """
    x, y = read_rows(predict, features, labels)
    steps = _rising(sizes, "sizes")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
    unit, bottom, top = (
        row_shaped(v, x, name) for v, name in ((scale, "scale"), (low, "low"), (high, "high"))
    )
    # A row that is outside already stays there: clipping it would be another corruption.
    box = (jnp.minimum(bottom, x), jnp.maximum(top, x))
    keys = jax.random.split(key, draws)
    logits = _noisy_logits(predict, x, unit, box, jnp.asarray(steps, jnp.float32), keys)
    answers = require_finite(logits, "logits under noise").argmax(axis=-1)
    return _curve(steps, answers == np.asarray(y))


def label_noise_curve(
    make_model: Callable[[Any], Any],
    features: Given,
    labels: Given,
    test_features: Given,
    test_labels: Given,
    shares: Given,
    *,
    classes: int,
    trainings: int = 3,
    seed: int = 0,
    **training: Any,
) -> NoiseCurve:
    """Test accuracy of models trained while a share of the labels is wrong.

    Each training flips its own rows to another class, drawn evenly; tests keep their labels.
    Prefer it to learn how clean labels must be: a curve that stays flat says that the model
    learns the rule and not the rows.

    Args:
        make_model: typed JAX key → a new model, as for `train_cohort`.
        features: [N, …], the training rows.
        labels: [N], in [0, classes).
        test_features: [tests, …].
        test_labels: [tests].
        shares: of labels that are flipped, rising, in [0, 1]; round(share · N) rows.
        classes: C.
        trainings: models for each share.
        seed: of the flips and the trainings.
        **training: steps, batch_size and so on, of `train_cohort`.

    Returns:
        `NoiseCurve`; its interval is that of the test rows, and `repetitions` show what the
        trainings add.

    Raises:
        ValueError: shares leave [0, 1] or do not rise, labels are out of range, there are fewer
            than two classes, or as for `train_cohort`.

    Reference:
        D. Rolnick et al., Deep Learning is Robust to Massive Label Noise, 2017.
    """
    steps = _rising(shares, "shares")
    if steps[-1] > 1 or classes < 2 or trainings < 1:
        raise ValueError(
            f"shares must lie in [0, 1], classes be at least 2 and trainings at least 1, got "
            f"{shares}, {classes} and {trainings}"
        )
    features, test_features = (
        rows_of(features, "features"),
        rows_of(test_features, "test_features"),
    )
    labels = labels_of(labels, rows=len(features), classes=classes)
    test_labels = labels_of(test_labels, "test_labels", rows=len(test_features), classes=classes)
    rng = np.random.default_rng(seed)
    noisy = [
        flipped_labels(labels, share, classes, rng) for share in steps for _ in range(trainings)
    ]
    cohort = train_cohort(
        make_model,
        features,
        np.array(noisy),
        members=np.ones((len(noisy), len(labels)), bool),
        seed=seed,
        **training,
    )
    logits = require_finite(cohort.logits(test_features), "logits of a trained model")
    right = logits.argmax(axis=-1) == test_labels
    return _curve(steps, right.reshape(len(steps), trainings, -1))


def flipped_labels(
    labels: Given, share: float, classes: int, rng: np.random.Generator
) -> Integer[np.ndarray, " N"]:
    """The labels with round(share · N) of them, drawn without replacement, another class.

    Args:
        labels: [N], in [0, classes).
        share: in [0, 1].
        classes: at least 2.
        rng: draws which rows, and which class.

    Raises:
        TypeError: labels are not integers.
        ValueError: share is outside [0, 1], classes below 2, or a label out of range.

    Example:
        >>> old = np.zeros(10, int)
        >>> flipped_labels(old, 0.3, 2, np.random.default_rng(0)).sum()
        np.int64(3)
    """
    if not 0 <= share <= 1 or classes < 2:
        raise ValueError(
            f"share must lie in [0, 1] and classes be at least 2, got {share} and {classes}"
        )
    found = labels_of(labels, classes=classes)
    rows = rng.permutation(len(found))[: round(float(share) * len(found))]
    found[rows] = (found[rows] + rng.integers(1, classes, len(rows))) % classes
    return found


def _rising(sizes, name) -> np.ndarray:
    found = finite_of(sizes, name, "S")
    if not found[0] >= 0 or not (np.diff(found) > 0).all():
        raise ValueError(f"{name} must rise from 0 or more, got {sizes}")
    return found


def _curve(sizes: np.ndarray, right: np.ndarray) -> NoiseCurve:
    """Of hits [sizes, repetitions, rows]."""
    shares = right.mean(axis=1)
    low, high = wilson_interval(shares.sum(axis=1), right.shape[2])
    return NoiseCurve(
        sizes=sizes,
        accuracy=shares.mean(axis=1),
        low=np.asarray(low, np.float64),
        high=np.asarray(high, np.float64),
        repetitions=right.mean(axis=2),
        right=shares,
    )


@partial(jax.jit, static_argnames="predict")
def _noisy_logits(predict, x, unit, box, sizes, keys):
    def draw(size, key):
        return predict(jnp.clip(x + size * unit * jax.random.normal(key, x.shape), *box))

    return jax.lax.map(lambda size: jax.lax.map(partial(draw, size), keys), sizes)
