"""Exact ranking scores of all examples at once: ROC AUC and average precision, ties right.

Both need all scores in order, so they are functions of arrays and no sums to be merged; for data
that comes in parts see `ScoreHistogram`. Running sums are exact and rounded once, and all terms are
non-negative, so about 1e-6 is kept with a million examples, weighted or not.

Several classes, each against the rest, are a `jax.vmap` over the class axis:

    jax.vmap(roc_auc, in_axes=(1, 1))(scores, jax.nn.one_hot(labels, C, dtype=bool)).mean()
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses.reduction import example_mask
from xentjax.metrics import tally
from xentjax.metrics.examples import amounts, read_binary, read_scores, read_weights, require_shape

_compiled = partial(jax.jit, inline=True)


def roc_auc(
    scores: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
) -> Float[Array, ""]:
    r"""The area under the ROC curve: how often a positive scores above a negative.

        AUC = Σ_{i pos} Σ_{j neg} wᵢ wⱼ (1[sᵢ > sⱼ] + ½·1[sᵢ = sⱼ]) / (Σ_pos w · Σ_neg w)

    Prefer it to judge an order without a threshold. Under strong imbalance it hides false alarms
    among the many negatives; there prefer `average_precision`.

    Args:
      scores: real, any shape; only their order counts. They come first (in scikit-learn the
        labels do). Compared in float32, to which float64 is rounded outside 64-bit mode.
      labels: booleans, or integers 0 and 1, of the same shape.
      where: boolean, broadcastable to the scores; False leaves an example out.
      weights: non-negative, broadcastable to the scores.

    Returns:
      A scalar in [0, 1]; NaN unless both classes are there, with some weight.

    Raises:
      TypeError: labels are floats, `where` not boolean.
      ValueError: shapes do not fit or (eager calls) an integer label is neither 0 nor 1, a score
        NaN or a weight negative. Under jit such a value makes the result NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> labels = jnp.array([True, True, False, False])
      >>> print(roc_auc(jnp.array([0.9, 0.5, 0.5, 0.1]), labels))  # (1 + 1 + ½ + 1) / 4
      0.875

    Reference:
      J. A. Hanley and B. J. McNeil, The Meaning and Use of the Area under a ROC Curve, 1982.

    See Also:
      `ScoreHistogram`, the streaming form.
    """
    return _roc_auc(*_read(scores, labels, where, weights))


def average_precision(
    scores: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
) -> Float[Array, ""]:
    r"""The mean, over the positives, of the precision at their own score.

        AP = Σ_{i pos} wᵢ · precision(s ≥ sᵢ) / Σ_pos w

    The area under the precision-recall curve as a sum of steps, not of trapezoids, which would
    flatter. Prefer it to `roc_auc` where positives are rare; guessing scores their share.

    Args:
      scores: real, any shape; only their order counts. They come first (in scikit-learn the
        labels do). Compared in float32, to which float64 is rounded outside 64-bit mode.
      labels: booleans, or integers 0 and 1, of the same shape.
      where: boolean, broadcastable to the scores; False leaves an example out.
      weights: non-negative, broadcastable to the scores.

    Returns:
      A scalar in [0, 1]; NaN when no positive has weight (where scikit-learn warns and gives 0).

    Raises:
      TypeError: labels are floats, `where` not boolean.
      ValueError: shapes do not fit or (eager calls) an integer label is neither 0 nor 1, a score
        NaN or a weight negative. Under jit such a value makes the result NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> labels = jnp.array([True, False, True])
      >>> print(f"{average_precision(jnp.array([0.9, 0.5, 0.1]), labels):.6f}")  # (1/1 + 2/3) / 2
      0.833333

    Reference:
      J. Davis and M. Goadrich, The Relationship between Precision-Recall and ROC Curves, 2006.

    See Also:
      `ScoreHistogram`, the streaming form.
    """
    return _average_precision(*_read(scores, labels, where, weights))


class _Ranked(NamedTuple):
    """Examples from the highest score to the lowest, ties in one group."""

    positives: Array  # what each example adds to the positives [N], booleans or floats
    negatives: Array
    firsts: Array  # the index of the first of its group [N]
    lasts: Array


@_compiled
def _roc_auc(scores, positives, negatives, good):
    ranked = _ranked(scores, positives, negatives)
    found = _running(ranked.positives)
    above = jnp.where(ranked.firsts > 0, found[ranked.firsts - 1], 0)
    total_positives, total_negatives = _whole(positives), _whole(negatives)
    both = (total_positives > 0) & (total_negatives > 0) & good
    # Each negative lies below the positives above its group, and below half of those within.
    beaten_by = (above + found[ranked.lasts]) / jnp.where(both, 2 * total_positives, 1)
    pairs = _whole(ranked.negatives * beaten_by)
    share = jnp.minimum(pairs / jnp.where(both, total_negatives, 1), 1)  # never 1.0000001
    return jnp.where(both, share, jnp.nan)


@_compiled
def _average_precision(scores, positives, negatives, good):
    ranked = _ranked(scores, positives, negatives)
    found, false = (
        _running(ranked.positives)[ranked.lasts],
        _running(ranked.negatives)[ranked.lasts],
    )
    chosen = found + false
    precisions = found / jnp.where(chosen == 0, 1, chosen)
    total = _whole(positives)
    some = (total > 0) & good
    mean = _whole(ranked.positives * precisions) / jnp.where(some, total, 1)
    return jnp.where(some, jnp.minimum(mean, 1), jnp.nan)


def _read(scores, labels, where, weights) -> tuple[Array, Array, Array, Array]:
    shape = jnp.shape(scores)
    require_shape(labels, shape, "labels", "scores")
    keep = example_mask(where, shape)
    values, good_scores = read_scores(scores, "scores", keep)
    positive, good_labels = read_binary(labels, "labels", keep)
    counted = amounts(keep, _scaled(read_weights(weights, keep, shape)), shape)
    # What is masked weighs nothing, wherever it stands in the order.
    nothing = jnp.zeros((), counted.dtype)
    positives = jnp.where(positive, counted, nothing)
    negatives = jnp.where(positive, nothing, counted)
    good = jnp.all(good_scores & good_labels)
    return values.reshape(-1), positives.reshape(-1), negatives.reshape(-1), good


def _scaled(weights: Array | None) -> Array | None:
    """Weights times a power of two: at most 1, so that a million of them cannot overflow."""
    if weights is None:
        return None
    _, exponent = jnp.frexp(jnp.max(weights, initial=0))
    return jnp.ldexp(weights, -exponent)


def _ranked(scores: Array, positives: Array, negatives: Array) -> _Ranked:
    keys, positives, negatives = lax.sort((-scores, positives, negatives), num_keys=1)
    index, change = jnp.arange(keys.size, dtype=jnp.int32), keys[1:] != keys[:-1]
    edge = jnp.ones((min(keys.size, 1),), bool)
    firsts = lax.cummax(jnp.where(jnp.concatenate([edge, change]), index, 0))
    ends = jnp.where(jnp.concatenate([change, edge]), index, keys.size)
    return _Ranked(positives, negatives, firsts, lax.cummin(ends, reverse=True))


def _running(counts: Array) -> Array:
    return tally.value(tally.running(counts))


def _whole(counts: Array) -> Array:
    return tally.value(tally.total(counts))
