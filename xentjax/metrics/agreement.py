"""One number for the whole confusion matrix: accuracies, Cohen's kappa, Matthews correlation.

Each takes the value of a `ConfusionMatrix` and is exact to about 1e-6 whatever the counts: they
are divided by their sum first, and written without differences of large numbers.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.metrics.label_counts import fractions, label_counts, read_matrix, require_one_of

_DISTANCES = (None, "linear", "quadratic")


def accuracy(confusion: Num[ArrayLike, "..."]) -> Float[Array, ""]:
    """The fraction of examples whose class was predicted.

    Do not prefer it under imbalance: always answering the largest class scores its share.

    Args:
      confusion: non-negative counts [C, C], rows true.

    Returns:
      A scalar in [0, 1]; NaN when nothing was counted.

    Raises:
      ValueError: the matrix is not square, or a count is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> print(accuracy(jnp.array([[1.0, 1.0], [0.0, 2.0]])))  # 3 of 4
      0.75

    See Also:
      `balanced_accuracy`; `TopKAccuracy`, which reads scores.
    """
    matrix = read_matrix(confusion)
    return jnp.trace(matrix) / jnp.sum(matrix)


def balanced_accuracy(
    confusion: Num[ArrayLike, "..."], *, adjusted: bool = False
) -> Float[Array, ""]:
    """The mean recall of the classes that are true somewhere.

    Prefer it to `accuracy` under imbalance: each class counts alike. `adjusted` subtracts chance,
    1/K for K classes present, and divides by 1 − 1/K: 0 is guessing and 1 is perfect.

    Args:
      confusion: non-negative counts [C, C], rows true.
      adjusted: whether chance is subtracted.

    Returns:
      A scalar; NaN when nothing was counted. Adjusted for one class only it is scikit-learn's
      (recall − 1)/0: NaN, or −∞ when the class was missed at all.

    Raises:
      ValueError: the matrix is not square, or a count is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> print(balanced_accuracy(jnp.array([[1.0, 1.0], [0.0, 2.0]])))  # (1/2 + 2/2) / 2
      0.75

    Reference:
      K. H. Brodersen et al., The Balanced Accuracy and Its Posterior Distribution, 2010.
    """
    matrix = read_matrix(confusion)
    actual = jnp.sum(matrix, axis=1)
    present = actual != 0
    recalls = jnp.where(present, jnp.diagonal(matrix) / jnp.where(present, actual, 1), 0)
    count = jnp.sum(present)
    score = jnp.sum(recalls) / count
    return (score - 1 / count) / (1 - 1 / count) if adjusted else score


def cohen_kappa(
    confusion: Num[ArrayLike, "..."], *, weights: str | None = None
) -> Float[Array, ""]:
    r"""Agreement beyond chance: 1 is perfect, 0 is what independent answers would reach.

        κ = 1 − Σ dᵢⱼ cᵢⱼ / Σ dᵢⱼ rᵢ kⱼ

    with c the matrix, r its rows' and k its columns' sums, all as fractions, and the distance
    d = 1 off the diagonal, |i − j| or (i − j)². Prefer the last two for ordered classes.

    Args:
      confusion: non-negative counts [C, C], rows true.
      weights: None, "linear" or "quadratic". Distances are between class indices: an absent class
        in between still counts (scikit-learn's `labels=range(C)`).

    Returns:
      A scalar, at most 1; NaN when both sides know only one class, the same.

    Raises:
      ValueError: the matrix is not square, a count is negative, or the weights are unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> confusion = jnp.array([[1.0, 1.0], [0.0, 2.0]])
      >>> print(cohen_kappa(confusion))  # 1 − 0.25 / (0.5·0.75 + 0.5·0.25)
      0.5

    Reference:
      J. Cohen, A Coefficient of Agreement for Nominal Scales, 1960, and Weighted Kappa, 1968.
    """
    require_one_of(weights, _DISTANCES, "weights")
    matrix = fractions(read_matrix(confusion))
    index = jnp.arange(matrix.shape[0], dtype=matrix.dtype)
    apart = jnp.abs(index[:, None] - index[None, :])
    distance = {None: jnp.minimum(apart, 1), "linear": apart, "quadratic": apart**2}[weights]
    actual, predicted = jnp.sum(matrix, axis=1), jnp.sum(matrix, axis=0)
    by_chance = jnp.sum(distance * actual[:, None] * predicted[None, :])
    undefined = by_chance == 0
    kappa = 1 - jnp.sum(distance * matrix) / jnp.where(undefined, 1, by_chance)
    return jnp.where(undefined, jnp.nan, kappa)


def matthews_correlation(confusion: Num[ArrayLike, "..."]) -> Float[Array, ""]:
    r"""The correlation of predictions and labels, for any number of classes.

        Σ_k (tp_k tn_k − fp_k fn_k) / √(Σ_k a_k (1 − a_k) · Σ_k p_k (1 − p_k))

    with a the fraction of each true and p of each predicted class. Prefer it to F1 where the
    negatives matter too: it is high only when all four kinds of outcome are good.

    Args:
      confusion: non-negative counts [C, C], rows true.

    Returns:
      A scalar in [−1, 1]; 0 when labels or predictions know only one class, as in scikit-learn,
      and NaN when nothing was counted.

    Raises:
      ValueError: the matrix is not square, or a count is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> confusion = jnp.array([[1.0, 1.0], [0.0, 2.0]])
      >>> print(f"{matthews_correlation(confusion):.6f}")  # (1·2 − 1·0) / √(2·2·1·3)
      0.577350

    Reference:
      J. Gorodkin, Comparing Two K-Category Assignments by a K-Category Correlation Coefficient,
      2004.
    """
    matrix = read_matrix(confusion)
    counts = label_counts(matrix)
    covariance = jnp.sum(counts.tp * counts.tn - counts.fp * counts.fn)
    of_labels = jnp.sum(counts.actual * counts.negatives)
    of_predictions = jnp.sum(counts.predicted * (counts.tn + counts.fn))
    constant = (of_labels == 0) | (of_predictions == 0)
    # One root each: the product of two rare classes' variances would be flushed to 0.
    spread = jnp.sqrt(jnp.where(constant, 1, of_labels)) * jnp.sqrt(
        jnp.where(constant, 1, of_predictions)
    )
    nothing = jnp.where(jnp.sum(matrix) == 0, jnp.nan, 0)
    return jnp.where(constant, nothing, covariance / spread)
