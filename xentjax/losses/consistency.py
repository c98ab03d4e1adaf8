"""Consistency: several predictions of one example, from augmentations or dropout, should agree."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.derivatives import with_derivative_of
from xentjax.losses.divergence_terms import kl_terms, log_pair, symmetric_kl_of_logits
from xentjax.losses.examples import Labelled, classes_last, read_labelled
from xentjax.losses.log_partition import label_terms
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    reduce_with_mass,
    times,
)


def jensen_shannon_consistency(
    logits: Num[ArrayLike, "..."],
    *,
    views_axis: int = -2,
    axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Jensen-Shannon divergence of several predictions of one example: zero when all agree.

    With p_v = softmax of view v and m = (1/M) Σ_v p_v:

        l = (1/M) Σ_v KL(p_v ‖ m)

    Every term is ≥ 0 and keeps its digits when the views nearly agree. Add it to the
    cross-entropy of the clean view (AugMix: M = 3, the clean one and two augmented, times 12).
    Prefer it to a mean of pairwise KL, which one confident view can drive to infinity; it needs no
    labels, so it serves unlabelled examples too. M = 2 is `js_divergence`.

    Args:
      logits: real scores [*batch, M, C], M ≥ 2 views, any float dtype; a class at −inf has
        probability 0. The gradient flows to every view.
      views_axis: the axis of the views.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats in [0, log M], float32 (float64 for float64 logits): [*batch] for "none", a scalar
      otherwise.

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: shapes do not fit, the two axes are one, or there is one view only.

    Example:
      >>> import jax.numpy as jnp
      >>> certain = jnp.where(jnp.eye(3) == 1, 0.0, -jnp.inf)  # three views, three answers
      >>> print(f"{jensen_shannon_consistency(certain):.4f}")  # log 3
      1.0986

    Reference:
      D. Hendrycks et al., AugMix: A Simple Data Processing Method to Improve Robustness and
      Uncertainty, 2020.

    See Also:
      `js_divergence` for two arrays; `r_drop` for two passes of dropout.
    """
    check_reduction(reduction)
    logits = at_least_float32(logits, "logits")
    axes = inputs.class_axes(logits, (views_axis, axis))
    if logits.shape[axes[0]] < 2:
        raise ValueError(
            f"logits need at least two views on views_axis {views_axis}, got shape {logits.shape}; "
            "stack them with jnp.stack(views, axis=-2)"
        )
    keep = example_mask(where, inputs.batch_shape(logits, axes))
    views = jnp.moveaxis(logits, axes, (-2, -1))
    return _consistency(views, keep, inputs.as_array(weights), reduction=reduction)


@partial(jax.jit, static_argnames="reduction", inline=True)
def _consistency(views, keep, weights, *, reduction):
    if keep is not None:
        views = jnp.where(keep[..., None, None], views, 0)
    losses = _divergence_of_views(views)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


@jax.custom_jvp
def _divergence_of_views(views):
    """(1/M) Σ_v KL(p_v ‖ m) over [*batch, M, C]; its slopes are (1/M) p (log(p/m) − KL(p ‖ m))."""
    divergences, _, _ = _to_mean_of_views(views)
    return jnp.mean(divergences, axis=-1)


@_divergence_of_views.defjvp
def _divergence_of_views_jvp(primals, tangents):
    (views,), (dviews,) = primals, tangents
    divergences, log_p, to_mean = _to_mean_of_views(views)
    value = with_derivative_of(_divergence_of_views, jnp.mean(divergences, axis=-1), views)
    slope = jnp.exp(log_p) * (to_mean - divergences[..., None])
    return value, jnp.mean(jnp.sum(slope * dviews, axis=-1), axis=-1)


def _to_mean_of_views(views):
    """KL(p_v ‖ m) of each view, log p_v, and log p_v − log m."""
    _, log_p, from_first = log_pair(views[..., :1, :], views, -1)
    log_mean, to_mean = _mean_of_views(log_p, from_first)
    terms = kl_terms(log_p, log_mean, to_mean)
    return jnp.sum(terms, axis=-1), log_p, to_mean


def _mean_of_views(log_p, from_first):
    """log m and log p_v − log m for each view, from log p_v and log p_v − log p_0.

    Where all views of a class are within a factor e, by the differences alone.
    """
    absent = log_p == -jnp.inf
    near = ~absent & (jnp.abs(from_first) < 1)
    near = jnp.all(near, axis=-2, keepdims=True)
    d = jnp.where(near, from_first, 0)
    d = d - jnp.log1p(jnp.mean(jnp.expm1(d), axis=-2, keepdims=True))

    top = lax.stop_gradient(jnp.max(log_p, axis=-2, keepdims=True))
    nowhere = top == -jnp.inf
    depth = jnp.where(absent, -jnp.inf, log_p - jnp.where(nowhere, 0, top))
    share = jnp.mean(jnp.exp(depth), axis=-2, keepdims=True)
    log_mean = jnp.where(nowhere, -jnp.inf, top + jnp.log(jnp.where(nowhere, 1, share)))
    apart = jnp.where(absent, 0, log_p) - jnp.where(nowhere, 0, log_mean)
    to_mean = jnp.where(near, d, jnp.where(absent, 0, apart))
    return jnp.where(near, log_p - d, log_mean), to_mean


def r_drop(
    logits: Num[ArrayLike, "..."],
    other_logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    alpha: Num[ArrayLike, ""] = 1.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy of two dropout passes, and a pull of each towards the other.

    With p and q the softmax of the two passes:

        l = −log p_y − log q_y + α/2 [KL(p ‖ q) + KL(q ‖ p)]

    as in the paper: a sum, twice the cross-entropy of one pass. Prefer it where a model with
    dropout overfits or its predictions differ between passes, and two forward passes a step can be
    paid for. Without dropout both passes are equal and nothing is added.

    Args:
      logits: real scores [*batch, C] of one pass, any float dtype; a class at −inf is masked.
      other_logits: real, of the same shape: the same inputs, another dropout mask.
      labels: integer class indices [*batch].
      alpha: α ≥ 0, one number; may be traced. The paper takes 0.1 to 5 by task.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats ≥ 0, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise;
      +inf where a class is masked in one pass only.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, α is negative or (eager calls) a label is outside [0, C).
        Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> p, q = jnp.log(jnp.array([0.8, 0.2])), jnp.log(jnp.array([0.5, 0.5]))
      >>> # −log 0.8 − log 0.5 = 0.916291; ½ [0.3 log 1.6 − 0.3 log 0.4] = 0.207944
      >>> print(f"{r_drop(p, q, jnp.array(0)):.6f}")
      1.124235

    Reference:
      X. Liang et al., R-Drop: Regularized Dropout for Neural Networks, 2021.

    See Also:
      `jensen_shannon_consistency` for more than two predictions, or without labels.
    """
    examples = read_labelled(
        logits,
        labels,
        axis=axis,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    other = at_least_float32(other_logits, "other_logits")
    inputs.require_same_shape(other, jnp.asarray(logits), "other_logits")
    other = classes_last(other, inputs.class_axes(other, axis)).astype(examples.logits.dtype)
    strength = inputs.unless_number(0, alpha, inputs.non_negative, "alpha")
    return _r_drop(examples, other, strength, reduction=reduction)


@partial(jax.jit, static_argnames="reduction", inline=True)
def _r_drop(examples: Labelled, other, strength, *, reduction):
    twin = examples._replace(logits=other)
    first, second = (label_terms(x.logits, x.labels, x.keep, -1).nll for x in (examples, twin))
    losses = first + second
    if strength is not None:
        apart = 0.5 * symmetric_kl_of_logits(examples.safe_logits(), twin.safe_logits(), -1)
        losses += times(strength.astype(apart.dtype), apart)
    return examples.reduce(losses, reduction)
