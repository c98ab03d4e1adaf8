"""Ordered classes: an error by one step should cost less than an error by three.

Three ways: K − 1 questions "is it above k?" answered by one score and K − 1 thresholds (CORAL),
or one after the other, each given the one before (CORN), or cross-entropy with targets that fall
off with distance (`soft_ordinal_targets`).
"""

import operator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.exponentials import softplus
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    real_array,
    reduce_with_mass,
)

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def coral_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""The sum of K − 1 binary cross-entropies, one for each question "is y > k?".

        l = Σ_{k=0}^{K−2} softplus(−x_k) [y > k] + softplus(x_k) [y ≤ k]

    Prefer it to softmax cross-entropy for ordered classes (grades, ages, stages): missing by
    three steps answers three questions wrongly. The answers are consistent (P(y > k) falls with
    k) where the logits are one score plus K − 1 biases, x_k = f + b_k: that is the model's part.
    The predicted class is `(logits > 0).sum(-1)`. K = 2 is `sigmoid_cross_entropy`.

    Args:
      logits: real [*batch, K − 1], any float dtype: x_k is the log-odds of y > k.
      labels: integer classes [*batch] in [0, K), in order.
      axis: the axis of the K − 1 logits.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean" (over examples, as in the paper).

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit or (eager calls) a label is outside [0, K). Under jit such a
        label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([4.0, 1.0]))  # P(y > 0) = 0.8, P(y > 1) = 0.5
      >>> print(f"{coral_loss(logits, jnp.array(1)):.4f}")  # −log 0.8 − log 0.5
      0.9163

    Reference:
      W. Cao, V. Mirjalili, S. Raschka, Rank Consistent Ordinal Regression for Neural Networks
      with Application to Age Estimation, 2020.

    See Also:
      `corn_loss`, which needs no shared score.
    """
    examples = _read_thresholds(logits, labels, axis, where, weights, ignore_index, reduction)
    return _coral_loss(examples, reduction=reduction)


@_compiled
def _coral_loss(examples: "_Thresholds", *, reduction):
    is_above, _ = examples.questions()
    return examples.reduce(_answer(examples.safe_logits(), is_above), reduction)


def corn_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""−log P(y), with P(y > k | y ≥ k) = sigmoid(x_k): one question after the other.

        l = Σ_{k=0}^{min(y, K−2)} softplus(−x_k) [y > k] + softplus(x_k) [y = k]

    Question k is put only to examples that reached it, y ≥ k. Prefer it to `coral_loss` where
    one score for all thresholds is too narrow: these are consistent with any logits, because
    P(y > k) is the product of the answers up to k. The predicted class is
    `(jnp.cumprod(jax.nn.sigmoid(logits), -1) > 0.5).sum(-1)`. K = 2 is `sigmoid_cross_entropy`.

    Each example counts once here, and the loss is its negative log-likelihood. The paper divides
    by the number of questions put instead, which is

        corn_loss(…, reduction="sum") / jnp.minimum(labels + 1, K − 1).sum()

    Args:
      logits: real [*batch, K − 1], any float dtype: x_k is the log-odds of y > k, given y ≥ k.
      labels: integer classes [*batch] in [0, K), in order.
      axis: the axis of the K − 1 logits.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean" (over examples).

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit or (eager calls) a label is outside [0, K). Under jit such a
        label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([4.0, 1.0]))  # P(y > 0) = 0.8, P(y > 1 | y ≥ 1) = 0.5
      >>> print(f"{corn_loss(logits, jnp.array(0)):.4f}")  # −log 0.2; the second is not asked
      1.6094

    Reference:
      X. Shi, W. Cao, S. Raschka, Deep Neural Networks for Rank-Consistent Ordinal Regression
      Based on Conditional Probabilities, 2021.

    See Also:
      `coral_loss`, `soft_ordinal_targets`.
    """
    examples = _read_thresholds(logits, labels, axis, where, weights, ignore_index, reduction)
    return _corn_loss(examples, reduction=reduction)


@_compiled
def _corn_loss(examples: "_Thresholds", *, reduction):
    is_above, is_put = examples.questions()
    logits = jnp.where(is_put, examples.safe_logits(), 0)
    return examples.reduce(_answer(logits, is_above, is_put), reduction)


def soft_ordinal_targets(
    labels: Shaped[ArrayLike, "..."],
    classes: int,
    *,
    temperature: Num[ArrayLike, ""] = 1.0,
) -> Float[Array, "..."]:
    r"""Distributions over ordered classes that fall off with the distance from the label.

        t_c = softmax(−|c − y| / T)_c

    Targets for `softmax_cross_entropy` that make a near miss cheaper than a far one, with a model
    and predictions (argmax) as ever. Prefer them to `coral_loss` and `corn_loss` where the head
    must stay a softmax. T → 0 is one-hot, T → ∞ uniform.

    Args:
      labels: integer classes [*batch] in [0, K), in order. Where an example is masked put any
        class in: `jnp.maximum(labels, 0)`.
      classes: K.
      temperature: T > 0, one number, in steps between classes; may be traced.

    Returns:
      Distributions [*batch, K], float32 (float64 in JAX's 64-bit mode).

    Raises:
      TypeError: labels are not integers.
      ValueError: the temperature is not positive, or (eager calls) a label is outside [0, K).
        Under jit such a label gives a row of NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> targets = soft_ordinal_targets(jnp.array(1), 3, temperature=1 / jnp.log(2.0))
      >>> print(targets)  # ½, 1 and ½ over their sum of 2
      [0.25 0.5  0.25]

    Reference:
      R. Díaz, A. Marathe, Soft Labels for Ordinal Regression, 2019.
    """
    given, labels = labels, _integers(labels)
    classes = operator.index(classes)
    if classes < 1:
        raise ValueError(f"classes must be at least 1, got {classes}")
    inputs.require_indices(given, labels.shape, classes, None, None, f"{classes} classes")
    labels, _ = inputs.narrow_indices(labels, None, None)
    dtype = jnp.result_type(float)
    scale = inputs.positive(temperature, "temperature").astype(dtype)
    labels = labels[..., None]
    shape = (*labels.shape[:-1], classes)
    distance = jnp.abs(lax.broadcasted_iota(jnp.int32, shape, len(shape) - 1) - labels)
    good = (labels >= 0) & (labels < classes)
    return jax.nn.softmax(-distance.astype(dtype) / scale) * inputs.nan_unless(good, dtype)


class _Thresholds(NamedTuple):
    """Rows of K − 1 logits, one for each question, and a class of K for each row."""

    logits: Array  # [*batch, K − 1], float32 or float64
    labels: Array  # [*batch], int32; under jit perhaps out of range
    keep: Array | None
    weights: Array | None

    def safe_logits(self) -> Array:
        return self.logits if self.keep is None else jnp.where(self.keep[..., None], self.logits, 0)

    def questions(self) -> tuple[Array, Array]:
        """For each question k: whether y > k, and whether it is put to this row, y ≥ k."""
        k = lax.broadcasted_iota(jnp.int32, self.logits.shape, self.logits.ndim - 1)
        labels = self.labels[..., None]
        # Put to a label below 0 too, so that its NaN reaches the slopes.
        return labels > k, (labels >= k) | (labels < 0)

    def reduce(self, losses: Array, reduction: str) -> Array:
        """NaN for bad labels, then masks, weighs and reduces losses [*batch]."""
        good = (self.labels >= 0) & (self.labels <= self.logits.shape[-1])
        good = good if self.keep is None else good | ~self.keep
        losses = losses * inputs.nan_unless(good, losses.dtype)
        return reduce_with_mass(losses, where=self.keep, weights=self.weights, reduction=reduction)


def _answer(logits: Array, is_above: Array, is_put: Array | None = None) -> Array:
    """Σ_k of −log sigmoid(±x_k): what the answers to the questions cost."""
    # At +inf a right answer is certain: softplus(−inf) is 0, with slope 0.
    costs = softplus(jnp.where(is_above, -logits, logits))
    return jnp.sum(costs if is_put is None else jnp.where(is_put, costs, 0), axis=-1)


def _read_thresholds(logits, labels, axis, where, weights, ignore_index, reduction) -> _Thresholds:
    check_reduction(reduction)
    given, labels = labels, _integers(labels)
    ignore_index = inputs.ignored_label(ignore_index)
    logits = at_least_float32(logits, "logits")
    axes = inputs.class_axes(logits, axis)
    batch = inputs.batch_shape(logits, axes)
    keep = example_mask(where, batch)
    classes = inputs.class_count(logits, axes) + 1
    beside = f"logits of shape {logits.shape}, which stand for {classes} ordered classes"
    inputs.require_indices(given, batch, classes, keep, ignore_index, beside)
    labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
    logits, axis = inputs.class_axis_last(logits, axes)
    weights = None if weights is None else real_array(weights, "weights")
    return _Thresholds(jnp.moveaxis(logits, axis, -1), labels, keep, weights)


def _integers(labels: ArrayLike) -> Array:
    labels = inputs.label_array(labels)
    if not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(f"labels must be integer classes, in order, got {labels.dtype}")
    return labels
