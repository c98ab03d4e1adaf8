"""Scores per label and their averages: precision, recall, F, specificity.

Each takes the value of a `ConfusionMatrix` [C, C] or of a `MultiLabelConfusion` [L, 2, 2], and
follows scikit-learn:

- `average=None` gives one score per label, also for labels that never occurred;
- "micro" divides the sums over all labels;
- "macro" is the plain mean over the labels that were seen: every label of several, but of exclusive
  classes only those that are true or predicted somewhere, with some weight;
- "weighted" weighs each label by how often it is true, or all alike when none of them ever is;
- what would be 0/0 is `zero_division`: 0, 1 or NaN, and a NaN is left out of the averages.

A macro or weighted average of nothing at all is NaN. All functions are jittable with `average` and
`zero_division` static.
"""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.losses import inputs
from xentjax.metrics.label_counts import averaged, label_counts, read_counts


def precision(
    confusion: Num[ArrayLike, "..."],
    *,
    average: str | None = None,
    zero_division: float | int = 0,
) -> Float[Array, "..."]:
    """How much of what was predicted as a label is that label: tp / (tp + fp).

    Prefer it where a false alarm is what costs.

    Args:
      confusion: non-negative counts, [C, C] with rows true, or [L, 2, 2].
      average: None, "micro", "macro" or "weighted", as the module says.
      zero_division: the precision of a label that was never predicted: 0, 1 or NaN.

    Returns:
      [C] for `average=None`, else a scalar.

    Raises:
      ValueError: the shape is neither, a count is negative, or an option is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> confusion = jnp.array([[1.0, 1.0], [0.0, 2.0]])
      >>> print(f"{precision(confusion, average='macro'):.6f}")  # (1/1 + 2/3) / 2
      0.833333

    See Also:
      `recall`, `f_beta`.
    """
    counts = label_counts(confusion)
    return averaged(counts.tp, counts.predicted, counts, average, zero_division)


def recall(
    confusion: Num[ArrayLike, "..."],
    *,
    average: str | None = None,
    zero_division: float | int = 0,
) -> Float[Array, "..."]:
    """How much of a label was found: tp / (tp + fn), also called sensitivity.

    Prefer it where a miss is what costs.

    Args:
      confusion: non-negative counts, [C, C] with rows true, or [L, 2, 2].
      average: None, "micro", "macro" or "weighted", as the module says.
      zero_division: the recall of a label that is never true: 0, 1 or NaN.

    Returns:
      [C] for `average=None`, else a scalar.

    Raises:
      ValueError: the shape is neither, a count is negative, or an option is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> print(recall(jnp.array([[1.0, 1.0], [0.0, 2.0]])))  # 1 of 2, 2 of 2
      [0.5 1. ]

    See Also:
      `balanced_accuracy`, the macro average over the classes that are true somewhere.
    """
    counts = label_counts(confusion)
    return averaged(counts.tp, counts.actual, counts, average, zero_division)


def f_beta(
    confusion: Num[ArrayLike, "..."],
    *,
    beta: Num[ArrayLike, ""] = 1.0,
    average: str | None = None,
    zero_division: float | int = 0,
) -> Float[Array, "..."]:
    """The weighted harmonic mean of precision and recall, F1 by default.

        (1 + β²) tp / ((1 + β²) tp + β² fn + fp)

    Prefer it where false alarms and misses both cost and true negatives are plenty; the recall
    counts β times as much as the precision. β = 0 is the precision and β = ∞ the recall.

    Args:
      confusion: non-negative counts, [C, C] with rows true, or [L, 2, 2].
      beta: β ≥ 0, one number; may be traced.
      average: None, "micro", "macro" or "weighted", as the module says.
      zero_division: the score of a label neither true nor predicted: 0, 1 or NaN.

    Returns:
      [C] for `average=None`, else a scalar.

    Raises:
      ValueError: the shape is neither, a count or β is negative, or an option is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f_beta(jnp.array([[1.0, 1.0], [0.0, 2.0]]))[1])  # 2·2 / (2·2 + 0 + 1)
      0.8

    Reference:
      C. J. van Rijsbergen, Information Retrieval, 2nd edition, 1979.
    """
    counts = label_counts(confusion)
    squared = inputs.scalar(beta, "beta", "be non-negative", lambda b: b >= 0) ** 2
    # Divided by 1 + β², which leaves two shares that sum to 1 and an infinite β its meaning.
    by_recall, by_precision = 1 / (1 + 1 / squared), 1 / (1 + squared)
    beside = by_recall * counts.actual + by_precision * counts.predicted
    return averaged(counts.tp, beside, counts, average, zero_division)


def specificity(
    confusion: Num[ArrayLike, "..."],
    *,
    average: str | None = None,
    zero_division: float | int = 0,
) -> Float[Array, "..."]:
    """How much of what is not a label was kept apart from it: tn / (tn + fp).

    It is the recall of "not this label"; "weighted" weighs by how often the label is true.

    Args:
      confusion: non-negative counts, [C, C] with rows true, or [L, 2, 2].
      average: None, "micro", "macro" or "weighted", as the module says.
      zero_division: the specificity of a label that is always true: 0, 1 or NaN.

    Returns:
      [C] for `average=None`, else a scalar.

    Raises:
      ValueError: the shape is neither, a count is negative, or an option is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> print(specificity(jnp.array([[1.0, 1.0], [0.0, 2.0]])))  # 2 of 2 ones, 1 of 2 zeros
      [1.  0.5]

    See Also:
      `recall`.
    """
    counts = label_counts(confusion)
    return averaged(counts.tn, counts.negatives, counts, average, zero_division)


def hamming_loss(tables: Num[ArrayLike, "..."]) -> Float[Array, ""]:
    """The fraction of single decisions that are wrong: Σ (fp + fn) / Σ all.

    For exclusive classes it is 1 − accuracy, which `accuracy` gives.

    Args:
      tables: [[tn, fp], [fn, tp]] for each label [L, 2, 2], of `MultiLabelConfusion`.

    Returns:
      A scalar in [0, 1]; NaN when nothing was counted.

    Raises:
      ValueError: the shape is another, or a count is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> print(hamming_loss(jnp.array([[[3.0, 1.0], [0.0, 0.0]]])))  # 1 wrong of 4
      0.25
    """
    counts = read_counts(tables)
    if counts.ndim != 3:
        raise ValueError(f"tables must be [L, 2, 2], got {counts.shape}; take 1 - accuracy(matrix)")
    return jnp.sum(counts[:, 0, 1] + counts[:, 1, 0]) / jnp.sum(counts)
