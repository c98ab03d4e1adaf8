"""Learning curves: what more data would bring.

`train_learning_curve` trains the same model on parts of the training rows and scores all of them on
the same held-out rows; `fit_power_law` draws a + b·n^(−c) through the losses and asks it for twice
the data. Use them before labelling more: a curve that is flat wants another model, not more rows.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from xentjax.audit.cohort import train_cohort
from xentjax.audit.overfitting import Estimate
from xentjax.losses.softmax import softmax_cross_entropy

# The 97.5 % quantiles of Student's t for 1 … 9 degrees of freedom.
_T_975 = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)
_EXPONENTS = np.geomspace(0.05, 4.0, 80)


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


@dataclasses.dataclass(frozen=True)
class PowerLaw:
    """The curve a + b·n^(−c) through losses.

    Attributes:
        floor: a ≥ 0, what no amount of data would take away if the law held on.
        scale: b ≥ 0.
        exponent: c.
        forecast_size: twice the largest size.
        forecast: of the loss at that size.
        gain: the share of the loss at the largest size that doubling the data would take away.
        falling: whether the whole interval of the gain lies above the least gain asked for.
    """

    floor: float
    scale: float
    exponent: float
    forecast_size: int
    forecast: Estimate
    gain: Estimate
    falling: bool

    def __call__(self, sizes: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """The losses that the law gives for sizes of any shape."""
        return self.floor + self.scale * np.asarray(sizes, np.float64) ** -self.exponent


class _Law(NamedTuple):
    """Fitted laws, arrays of one shape."""

    floor: np.ndarray
    scale: np.ndarray
    exponent: np.ndarray

    def at(self, size: float) -> np.ndarray:
        return self.floor + self.scale * size**-self.exponent


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
    features: Shaped[np.ndarray, "N ..."],
    labels: Int[np.ndarray, " N"],
    held_out_features: Shaped[np.ndarray, "M ..."],
    held_out_labels: Int[np.ndarray, " M"],
    *,
    steps: int,
    sizes: Sequence[int] | None = None,
    repeats: int = 3,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
) -> LearningCurve:
    r"""Trains a model on parts of the rows, several times a size, and scores the same held-out rows.

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
        steps: optimizer steps of each training.
        sizes: rows to train on; by default N/16, N/8, … N as far as every class has about two.
        repeats: R, trainings a size, at least 2.
        batch_size: rows a step.
        learning_rate: the peak of the schedule.
        seed: of everything drawn.

    Returns:
        `LearningCurve`.

    Raises:
        ValueError: repeats is below 2, a size out of range, or shapes do not fit.

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
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
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
        tuple(_student(row) for row in losses),
        tuple(_student(row) for row in accuracies),
    )


def fit_power_law(
    sizes: Shaped[np.ndarray, " S"],
    losses: Float[np.ndarray, "S R"],
    *,
    least_gain: float = 0.05,
    seed: int = 0,
    resamples: int = 1000,
) -> PowerLaw:
    r"""Fits a + b·n^(−c), a and b ≥ 0, and forecasts the loss for twice the data.

    The squares of relative residuals, (y/ŷ − 1)² with the mean of each size for ŷ, are least over
    a grid of c in [0.05, 4], a and b being linear. The interval resamples the residuals of the fit
    (enlarged by √(m/(m − 3)) for m points and three parameters) and refits; what the law misses
    is a residual too, so a curve of another shape gets a wider interval. It is a forecast of the
    mean over trainings, and it trusts the law beyond the data: read a wide one as "unknown".

    Args:
        sizes: n, at least four different ones, positive.
        losses: nats, or error rates, positive, R trainings a size.
        least_gain: the share of the loss that doubling the data must take away for `falling`.
        seed: of the resamples.
        resamples: how many.

    Returns:
        `PowerLaw`.

    Raises:
        ValueError: there are fewer than four sizes, shapes do not fit, or a number is not positive
            and finite.

    Example:
        >>> n = np.array([10, 20, 40, 80])
        >>> law = fit_power_law(n, (0.1 + 2.0 / n)[:, None])
        >>> round(law.forecast.value, 3)  # 0.1 + 2 / 160
        0.113

    Reference:
        C. Cortes et al., Learning Curves: Asymptotic Values and Rate of Convergence, 1994.
    """
    _check_law(sizes, losses)
    n = np.repeat(np.asarray(sizes, np.float64), losses.shape[1])
    scale = np.repeat(losses.mean(axis=1), losses.shape[1])
    y = losses.reshape(-1).astype(np.float64)
    law = _least_squares(n, y[None, :], scale)
    drawn = np.random.default_rng(seed).integers(len(y), size=(resamples, len(y)))
    fitted = np.stack([law.at(size) for size in n], axis=-1)
    residuals = (y - fitted[0]) / scale * math.sqrt(len(y) / max(len(y) - 3, 1))
    again = _least_squares(n, fitted + residuals[drawn] * scale, scale)
    largest = n.max()
    forecast = _percentiles(law.at(2 * largest)[0], again.at(2 * largest))
    gains = [1 - each.at(2 * largest) / each.at(largest) for each in (law, again)]
    gain = _percentiles(gains[0][0], gains[1])
    a, b, c = (float(x[0]) for x in law)
    return PowerLaw(a, b, c, int(2 * largest), forecast, gain, gain.low > least_gain)


def _least_squares(n: np.ndarray, y: np.ndarray, scale: np.ndarray) -> _Law:
    """The best laws of many samples y [B, m] at sizes n [m], residuals divided by scale [m]."""
    # Sizes are divided by the largest, or n^(−c) would span too many digits.
    top = n.max()
    powers = (n / top) ** -_EXPONENTS[:, None]  # [E, m]
    weight = 1 / scale**2
    s0, s1, s2 = weight.sum(), powers @ weight, powers**2 @ weight
    y0, y1 = y @ weight, y @ (powers * weight).T  # [B], [B, E]
    b = np.maximum((s0 * y1 - s1 * y0[:, None]) / (s0 * s2 - s1**2), 0)
    a = (y0[:, None] - b * s1) / s0
    b = np.where(a < 0, np.maximum(y1 / s2, 0), b)
    a = np.maximum(a, 0)
    # Σ w (y − a − b p)², up to Σ w y², which is the same for all exponents.
    error = a**2 * s0 + b**2 * s2 + 2 * a * b * s1 - 2 * a * y0[:, None] - 2 * b * y1
    best = error.argmin(axis=1)
    rows = np.arange(len(y))
    exponent = _EXPONENTS[best]
    return _Law(a[rows, best], b[rows, best] * top**exponent, exponent)


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
    wanted = np.broadcast_to(labels, logits.shape[:2])
    losses = softmax_cross_entropy(jnp.asarray(logits), jnp.asarray(wanted))
    return np.asarray(losses, np.float64), logits.argmax(-1) == wanted


def _student(values: np.ndarray) -> Estimate:
    mean, freedom = float(values.mean()), len(values) - 1
    half = student_quantile(freedom) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def student_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, to three digits.

    Example:
        >>> student_quantile(2)
        4.3027
    """
    if freedom <= len(_T_975):
        return _T_975[freedom - 1]
    # Fisher's expansion about the normal quantile.
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _percentiles(value: float, resampled: np.ndarray) -> Estimate:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Estimate(float(value), min(float(low), float(value)), max(float(high), float(value)))


def _check_law(sizes: np.ndarray, losses: np.ndarray) -> None:
    if losses.ndim != 2 or sizes.shape != losses.shape[:1] or len(np.unique(sizes)) < 4:
        raise ValueError(
            "sizes must be at least four different ones [S] and losses [S, R], got shapes "
            f"{sizes.shape} and {losses.shape}; three parameters need more points than three"
        )
    if not (np.all(sizes > 0) and np.all(losses > 0) and np.all(np.isfinite(losses))):
        raise ValueError("sizes and losses must be positive and finite")
