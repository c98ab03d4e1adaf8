"""Faithfulness: whether an attribution tells anything about the model it claims to explain.

Two tests that a pretty picture can fail: taking away what it calls important must hurt more than
taking away something at random, and it must change when the model is replaced by an untrained one.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.audit.estimate import bootstrap_mean
from xentjax.audit.given import array_of
from xentjax.audit.probe import Labels, Predict, Rows, read_rows, require_finite, row_shaped


@dataclasses.dataclass(frozen=True)
class DeletionCurve:
    """The probability of the label as features are taken away.

    Attributes:
        shares: float32 [S], how many of a row's features are gone.
        attributed: float32 [S], mean probability, the most attributed features first.
        random: float32 [S], the same in random orders.
        advantage: mean area between the two curves; above 0 where the attribution is better.
        low: lower end of its 95 % interval, by bootstrap over rows.
        high: upper end.
    """

    shares: np.ndarray
    attributed: np.ndarray
    random: np.ndarray
    advantage: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class RankAgreement:
    """How alike two attributions order the features of a row.

    Attributes:
        mean: Spearman's correlation, the mean over the rows; NaN without a row.
        low: lower end of its 95 % interval, by bootstrap over rows.
        high: upper end.
        by_row: float64 [n], NaN where an attribution is the same for all features of the row.
    """

    mean: float
    low: float
    high: float
    by_row: np.ndarray


def deletion_curve(
    predict: Predict,
    features: Rows,
    labels: Labels,
    attributions: Rows,
    *,
    fill: Num[ArrayLike, "..."] = 0.0,
    steps: int = 20,
    orders: int = 5,
    seed: int = 0,
) -> DeletionCurve:
    r"""Takes features away, the most attributed first, against random orders of the same row.

        advantage = mean over rows and shares of p_y(random ones gone) − p_y(attributed ones gone)

    An attribution that points at what the model uses makes the probability fall sooner than
    chance does, and its advantage is above 0. A random attribution has an advantage of 0. Take
    signed attributions as they are: what speaks for the label goes first.

    Args:
        predict: features [n, …] → logits [n, C], each row by itself.
        features: [n, …], floating point.
        labels: integer [n], the class that was explained.
        attributions: of the shape of `features`.
        fill: what takes the place of a feature: a number, one row, or a row for each row. The
            baseline of the attribution is the fair choice.
        steps: points of the curve after the first.
        orders: random orders of each row.
        seed: of the orders and the bootstrap.

    Returns:
        `DeletionCurve`.

    Raises:
        TypeError: features are not floating point.
        ValueError: shapes do not fit, a label is out of range, or a number is not finite.

    Example:
        >>> w = jnp.array([[4.0, 0.0], [0.0, 0.0]])
        >>> x, y = jnp.ones((3, 2)), jnp.zeros(3, int)
        >>> found = deletion_curve(lambda x: x @ w, x, y, x * w[:, :1].T, steps=2)
        >>> [f"{p:.3f}" for p in found.attributed]  # σ(4), then σ(0)
        ['0.982', '0.500', '0.500']

    Reference:
        W. Samek et al., Evaluating the Visualization of What a Deep Neural Network Has Learned,
        2017; V. Petsiuk, A. Das, K. Saenko, RISE, 2018.
    """
    x, y = read_rows(predict, features, labels)
    shown = require_finite(array_of(attributions, "attributions"), "attributions")
    if shown.shape != x.shape or steps < 1 or orders < 1:
        raise ValueError(
            f"attributions must have the shape of features, {x.shape}, and steps and orders be at "
            f"least 1, got {shown.shape}, {steps} and {orders}"
        )
    rng = np.random.default_rng(seed)
    size = shown[0].size
    # Ties in random order: in a fixed one they would be removed from corner to corner.
    order = np.lexsort((rng.random((len(x), size)), -shown.reshape(len(x), size)), axis=1)
    counts = np.unique(np.round(np.linspace(0, size, steps + 1)).astype(np.int32))
    cover = row_shaped(fill, x, "fill")

    def fall(order):
        removed_at = np.argsort(order, axis=1).reshape(x.shape)
        found = _probabilities(predict, x, y, cover, jnp.asarray(removed_at), jnp.asarray(counts))
        return require_finite(found, "probabilities")

    attributed = fall(order)
    chance = np.mean([fall(rng.random((len(x), size)).argsort(1)) for _ in range(orders)], axis=0)
    area = bootstrap_mean((chance - attributed).mean(axis=0), seed=seed)
    return DeletionCurve(
        shares=(counts / size).astype(np.float32),
        attributed=attributed.mean(axis=1),
        random=chance.mean(axis=1),
        advantage=area.value,
        low=area.low,
        high=area.high,
    )


def rank_agreement(a: Rows, b: Rows, *, seed: int = 0) -> RankAgreement:
    r"""Spearman's correlation of two attributions of the same rows, row by row.

    The test of model randomization: with `a` of the trained model and `b` of one with fresh
    parameters, an attribution that explains the model has an agreement near 0. One that is as
    high as for the trained model draws the edges of the input, whatever the model.

    Args:
        a: [n, …].
        b: of the same shape.
        seed: of the bootstrap.

    Returns:
        `RankAgreement`, in [−1, 1].

    Raises:
        ValueError: shapes differ, or a number is not finite.

    Example:
        >>> found = rank_agreement(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]]))
        >>> round(found.mean, 6)  # 1 − 6 Σd² / (n (n² − 1)) = 1 − 12 / 24
        0.5

    Reference:
        J. Adebayo et al., Sanity Checks for Saliency Maps, 2018.
    """
    first, second = (require_finite(array_of(x, name), name) for x, name in ((a, "a"), (b, "b")))
    if first.shape != second.shape or first.ndim < 2:
        raise ValueError(
            f"a and b must be [n, ...] of the same shape, got {first.shape} and {second.shape}"
        )
    by_row = np.array(
        [spearman(one.ravel(), other.ravel()) for one, other in zip(first, second, strict=True)]
    )
    known = by_row[~np.isnan(by_row)]
    if known.size == 0:
        return RankAgreement(np.nan, np.nan, np.nan, by_row)
    return RankAgreement(*bootstrap_mean(known, seed=seed), by_row)


def spearman(a: Float[np.ndarray | Array, " n"], b: Float[np.ndarray | Array, " n"]) -> float:
    """The correlation of ranks, equal numbers sharing the mean of theirs; NaN without spread.

    Args:
        a: [n].
        b: [n].

    Example:
        >>> round(spearman(np.array([1.0, 2.0, 9.0]), np.array([5.0, 6.0, 7.0])), 6)
        1.0

    Reference:
        C. Spearman, The Proof and Measurement of Association between Two Things, 1904.
    """
    ranks = [_ranks(np.asarray(values)) for values in (a, b)]
    first, second = (rank - rank.mean() for rank in ranks)
    size = np.sqrt((first**2).sum() * (second**2).sum())
    return float((first * second).sum() / size) if size > 0 else np.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[place]


@partial(jax.jit, static_argnames="predict")
def _probabilities(predict, x, labels, cover, removed_at, counts):
    """The probability of each row's label with its first features gone: [counts, n]."""

    def at(count):
        logits = predict(jnp.where(removed_at < count, cover, x)).astype(jnp.float32)
        return jnp.take_along_axis(jax.nn.softmax(logits), labels[:, None], axis=1)[:, 0]

    return jax.lax.map(at, counts)
