"""Softmax cross-entropy: one label or one distribution over classes per example.

The loss of classification and of language models. Integer labels and distributions go through
one function and agree to rounding; every option works with both.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.log_partition import label_terms, pick_label, top_logit
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    fit_to_shape,
    reduce_with_mass,
    times,
)
from xentjax.losses.row_partition import log_total, target_nll


def softmax_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    class_where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    class_weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    label_smoothing: Num[ArrayLike, ""] = 0.0,
    z_loss: Num[ArrayLike, ""] = 0.0,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy between labels and softmax(logits), exact at every margin.

    For a label y (or a distribution t over classes), class weights w, smoothing α over the K
    classes that are allowed, and z-loss coefficient ζ:

        l = −Σ_c w_c t'_c log softmax(x)_c + ζ · lse(x)²,   t' = (1 − α) t + α / K

    Args:
      logits: real scores [*batch, C] (classes on `axis`), any float dtype. Computed in float32,
        or float64 when given float64. A logit of −inf is a masked class. One of +inf costs
        nothing if it is the label; otherwise the loss is +inf or enormous, its gradient NaN.
      labels: integer class indices [*batch], of any integer dtype; or floating distributions
        [*batch, C], non-negative (a sum other than 1 scales the loss).
      axis: the class axis; a tuple of axes is one class axis, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out. It masks examples,
        never classes.
      class_where: boolean, broadcastable to `logits`; False removes a class, as a logit of −inf
        would. If the label itself is removed the loss is +inf.
      weights: real, broadcastable to [*batch], multiplies the loss of each example.
      class_weights: real [C]. With "mean" the denominator is Σᵢ Σ_c labels_ic w_c, the weights
        of the labels (for distributions torch divides by N instead).
      ignore_index: integer labels equal to it are left out, as if masked by `where`.
      label_smoothing: α in [0, 1], one number; may be traced (out of range it then gives NaN).
      z_loss: ζ ≥ 0, likewise; keeps the log-partition near zero.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise. The
      gradient has the dtype of the logits.

    Raises:
      TypeError: logits are not floating point, labels are boolean, `where` is not boolean.
      ValueError: shapes do not fit, an option is out of range, or (eager calls with concrete
        labels) a label is outside [0, C) and not ignored. Under jit such a label gives NaN, in
        the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([[7.0, 3.0]]))  # softmax gives 0.7 and 0.3
      >>> print(f"{softmax_cross_entropy(logits, jnp.array([0]))[0]:.4f}")  # −log 0.7
      0.3567
      >>> even = jnp.array([[0.5, 0.5]])
      >>> print(f"{softmax_cross_entropy(logits, even)[0]:.4f}")  # −(log 0.7 + log 0.3) / 2
      0.7803
      >>> loss = softmax_cross_entropy(jnp.array([50.0, 0.0]), jnp.array(0))
      >>> print(f"{loss:.3g}")  # log(1 + e⁻⁵⁰), where lse(x) − x_y would give 0
      1.93e-22

    Reference:
      Label smoothing: C. Szegedy et al., Rethinking the Inception Architecture for Computer
      Vision, 2016. Z-loss: A. Chowdhery et al., PaLM: Scaling Language Modeling with Pathways,
      2022.

    See Also:
      `sigmoid_cross_entropy` when labels do not exclude each other; `kl_divergence` when the
      targets' own entropy is to be subtracted.
    """
    check_reduction(reduction)
    given, logits, labels = labels, jnp.asarray(logits), inputs.label_array(labels)
    ignore_index = inputs.ignored_label(ignore_index)
    _require_dtypes(logits, labels, ignore_index)
    inputs.require_non_negative(class_weights, "class_weights")
    axes = inputs.class_axes(logits, axis)
    inputs.warn_if_probabilities(logits, axes)
    keep = example_mask(where, inputs.batch_shape(logits, axes))
    if jnp.issubdtype(labels.dtype, jnp.integer):
        inputs.require_indices(
            given,
            inputs.batch_shape(logits, axes),
            inputs.class_count(logits, axes),
            keep,
            ignore_index,
            f"logits of shape {logits.shape} with classes on axis {axes}; for one-hot rows or "
            "other distributions pass floats",
        )
    else:
        inputs.require_same_shape(labels, logits, "floating labels (distributions over classes)")
        inputs.require_distribution(labels, keep, axes, "floating labels")
    return _softmax_cross_entropy(
        logits,
        labels,
        keep,
        inputs.as_array(class_where),
        inputs.as_array(weights),
        inputs.as_array(class_weights),
        inputs.unless_number(0, label_smoothing, inputs.fraction, "label_smoothing"),
        inputs.unless_number(0, z_loss, inputs.non_negative, "z_loss"),
        axes=axes,
        ignore_index=ignore_index,
        reduction=reduction,
    )


# Compiled as one: an eager call, and an eager gradient, is a program and not sixty dispatches.
@partial(jax.jit, static_argnames=("axes", "ignore_index", "reduction"), inline=True)
def _softmax_cross_entropy(
    logits,
    labels,
    keep,
    class_where,
    weights,
    class_weights,
    label_smoothing,
    z_loss,
    *,
    axes,
    ignore_index,
    reduction,
):
    if class_where is not None:
        logits = _mask_classes(logits, class_where)
    logits, axis = inputs.class_axis_last(at_least_float32(logits, "logits"), axes)
    class_weights = _class_weights(class_weights, logits, axis)
    label_smoothing, z_loss = (
        None if option is None else option.astype(logits.dtype)
        for option in (label_smoothing, z_loss)
    )
    if jnp.issubdtype(labels.dtype, jnp.integer):
        labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
        per_example = index_losses
    else:
        labels, _ = inputs.class_axis_last(labels, axes)
        per_example = _distribution_loss
    losses, mass = per_example(logits, labels, keep, axis, class_weights, label_smoothing, z_loss)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction, mass=mass)


def _require_dtypes(logits, labels, ignore_index) -> None:
    if labels.dtype == jnp.bool_:
        raise TypeError(
            "labels must be integer indices or floating distributions, got bool; write "
            "labels.astype(jnp.float32) for one-hot rows or labels.astype(jnp.int32) for indices"
        )
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(
            f"logits must be floating point, got {logits.dtype}; convert with "
            "jnp.asarray(logits, jnp.float32)"
        )
    if ignore_index is not None and jnp.issubdtype(labels.dtype, jnp.floating):
        raise ValueError(
            f"ignore_index={ignore_index} goes with integer labels, got {labels.dtype}; "
            "leave rows out with where="
        )


def _mask_classes(logits, class_where):
    if class_where.dtype != jnp.bool_:
        raise TypeError(f"class_where must be boolean, got {class_where.dtype}")
    class_where = fit_to_shape(class_where, logits.shape, "class_where", "logits")
    return jnp.where(class_where, logits, -jnp.inf)


def _class_weights(class_weights, logits, axis):
    """[C] as an array that multiplies logits, or None."""
    if class_weights is None:
        return None
    class_weights = class_weights.astype(logits.dtype)
    classes = logits.shape[axis]
    if class_weights.shape != (classes,):
        raise ValueError(
            f"class_weights must hold one weight per class: got shape {class_weights.shape}, "
            f"wanted ({classes},)"
        )
    return jnp.expand_dims(class_weights, [i for i in range(logits.ndim) if i != axis])


def index_losses(logits, labels, keep, axis, class_weights, label_smoothing, z_loss):
    """Per-example losses and, with class weights, each label's weight."""
    terms = label_terms(logits, labels, keep, axis)
    losses, mass = terms.nll, None
    if class_weights is not None:
        each = jnp.broadcast_to(class_weights, logits.shape)
        mass = jnp.squeeze(pick_label(each, labels, axis), axis)
        losses = times(mass, losses)
    if label_smoothing is None and z_loss is None:
        return losses, mass
    # From here on masked rows are read again, so what they hold is replaced first.
    logits = logits if keep is None else jnp.where(jnp.expand_dims(keep, axis), logits, 0)
    if label_smoothing is not None:
        # Divided after the sums: a quotient for each class would be an array of its own.
        allowed = (logits > -jnp.inf).astype(logits.dtype)
        share = allowed if class_weights is None else allowed * class_weights
        largest = lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True))
        below_top = jnp.where(jnp.isinf(logits), 0, largest - logits)
        uniform = terms.log_total * jnp.sum(share, axis=axis)
        uniform += jnp.sum(share * below_top, axis=axis)
        uniform /= jnp.sum(allowed, axis=axis)
        losses = times(1 - label_smoothing, losses) + label_smoothing * uniform
    if z_loss is not None:
        top = jnp.squeeze(top_logit(logits, axis), axis)
        losses += z_loss * (terms.log_total + top) ** 2
    return losses, mass


def _distribution_loss(logits, labels, keep, axis, class_weights, label_smoothing, z_loss):
    """The same for distributions; the mass is what a one-hot row would have."""
    labels = labels.astype(logits.dtype)
    if keep is not None:
        row = jnp.expand_dims(keep, axis)
        logits, labels = jnp.where(row, logits, 0), jnp.where(row, labels, 0)
    targets, mass = labels, None
    if class_weights is not None:
        targets = labels * class_weights
        mass = jnp.sum(targets, axis=axis)
    if label_smoothing is not None:
        share = _uniform(logits, axis, class_weights)
        targets = (1 - label_smoothing) * targets + label_smoothing * share
    losses = target_nll(logits, targets, axis)
    if z_loss is not None:
        lse = log_total(logits, axis) + top_logit(logits, axis)
        losses += z_loss * jnp.squeeze(lse, axis) ** 2
    # A negative mass is no distribution: NaN under jit, as for a bad index.
    good = jnp.min(labels, axis=axis) >= 0
    return losses * inputs.nan_unless(good, losses.dtype), mass


def _uniform(logits, axis, class_weights):
    """1/K on the K classes that are allowed, 0 on the masked ones, times the class weights."""
    allowed = (logits > -jnp.inf).astype(logits.dtype)
    share = allowed / jnp.sum(allowed, axis=axis, keepdims=True)
    return share if class_weights is None else share * class_weights
