"""Entropy, Kullback-Leibler and Jensen-Shannon divergence of softmax distributions.

Cross-entropy is entropy plus divergence: H(t, p) = H(t) + KL(t ‖ p). Train on a divergence when
zero should mean "the same", or when both sides move.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.divergence_terms import js_of_logits, kl_of_logits, kl_of_targets
from xentjax.losses.log_partition import top_logit
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    reduce_with_mass,
)
from xentjax.losses.row_partition import softmax_entropy

# Compiled as one, so that an eager call is one program.
_compiled = partial(jax.jit, static_argnames=("axis", "reduction"), inline=True)


def entropy(
    logits: Num[ArrayLike, "..."],
    *,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Shannon entropy of softmax(logits): how undecided a prediction is.

    H = −Σ_c p_c log p_c, between 0 and log C. Subtract it from a loss to reward hesitation.

    Args:
      logits: real [*batch, C]; a class at −inf counts nothing.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, at least float32.

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: a shape does not fit, or the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{entropy(jnp.zeros(4)):.4f}")  # log 4
      1.3863

    Reference:
      C. E. Shannon, A Mathematical Theory of Communication, 1948.
    """
    check_reduction(reduction)
    (logits,), keep, axis = _checked(where, axis, logits=logits)
    return _entropy(logits, keep, inputs.as_array(weights), axis=axis, reduction=reduction)


@_compiled
def _entropy(logits, keep, weights, *, axis, reduction):
    losses = softmax_entropy(_in_rows(logits, keep, axis), axis)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def kl_divergence(
    logits: Num[ArrayLike, "..."],
    targets: Num[ArrayLike, "..."],
    *,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""KL(targets ‖ softmax(logits)): the nats lost by coding the targets with the model.

    Σ_c t_c (log t_c − log p_c) with 0 log 0 = 0, summed as Σ_c [t_c log(t_c / p_c) − t_c + p_c]:
    the same for distributions, but each term is ≥ 0. Where it is finite, its gradient is that
    of the cross-entropy with soft labels.

    Args:
      logits: real [*batch, C]; a class at −inf has probability 0.
      targets: probabilities, the shape of `logits`, summing to 1 over the classes.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean" (over examples; torch calls it "batchmean").

    Returns:
      Nats ≥ 0, at least float32; +inf when a class with t > 0 has probability 0.

    Raises:
      TypeError: logits or targets are not floating point, or `where` is not boolean.
      ValueError: shapes differ or, in eager calls, a row of targets is no distribution.

    Example:
      >>> import jax.numpy as jnp
      >>> print(f"{kl_divergence(jnp.zeros(2), jnp.array([1.0, 0.0])):.4f}")  # log 2
      0.6931

    Reference:
      S. Kullback, R. A. Leibler, On Information and Sufficiency, 1951.

    See Also:
      `kl_divergence_with_logits` when the targets are a softmax too.
    """
    check_reduction(reduction)
    (logits, targets), keep, axis = _checked(where, axis, logits=logits, targets=targets)
    inputs.require_distribution(targets, keep, (axis,), "targets", sum_to_one=True)
    weights = inputs.as_array(weights)
    return _kl_divergence(logits, targets, keep, weights, axis=axis, reduction=reduction)


@_compiled
def _kl_divergence(logits, targets, keep, weights, *, axis, reduction):
    logits = _in_rows(logits, keep, axis)
    targets = _in_rows(targets.astype(logits.dtype), keep, axis)
    losses = kl_of_targets(logits, targets, axis)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def kl_divergence_with_logits(
    logits: Num[ArrayLike, "..."],
    target_logits: Num[ArrayLike, "..."],
    *,
    temperature: Num[ArrayLike, ""] = 1.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""KL(softmax(target_logits / T) ‖ softmax(logits / T)), differentiable in both.

    Exactly 0 with zero gradient when both sides are equal. No factor T² is applied;
    `distillation_loss` does that.

    Args:
      logits: real [*batch, C], the model's.
      target_logits: real, the shape of `logits`, the distribution to match.
      temperature: T > 0 divides both, after their maximum is subtracted; may be traced.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats ≥ 0, at least float32.

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: shapes differ, T is not positive, or the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> model, target = jnp.zeros(2), jnp.log(jnp.array([3.0, 1.0]))
      >>> print(f"{kl_divergence_with_logits(model, target):.4f}")  # ¾ log 1.5 + ¼ log 0.5
      0.1308

    See Also:
      `js_divergence`, which is symmetric and bounded.
    """
    check_reduction(reduction)
    (logits, target_logits), keep, axis = _checked(
        where, axis, logits=logits, target_logits=target_logits
    )
    cooling = inputs.unless_number(1, temperature, inputs.positive, "temperature")
    weights = inputs.as_array(weights)
    return _kl_divergence_with_logits(
        logits, target_logits, cooling, keep, weights, axis=axis, reduction=reduction
    )


@_compiled
def _kl_divergence_with_logits(
    logits, target_logits, temperature, keep, weights, *, axis, reduction
):
    model, target = _same_dtype(logits, target_logits, keep, axis)
    model, target = (_cooled(x, temperature, axis) for x in (model, target))
    losses = kl_of_logits(model, target, axis)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def js_divergence(
    logits: Num[ArrayLike, "..."],
    other_logits: Num[ArrayLike, "..."],
    *,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Jensen-Shannon divergence of two softmax distributions: symmetric, at most log 2.

    ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = ½ (p + q). Finite where KL is not.

    Args:
      logits: real [*batch, C]; classes at −inf have probability 0.
      other_logits: real, the shape of `logits`.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats in [0, log 2], at least float32.

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: shapes differ, or the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> certain, other = jnp.array([0.0, -jnp.inf]), jnp.array([-jnp.inf, 0.0])
      >>> print(f"{js_divergence(certain, other):.4f}")  # nothing in common: log 2
      0.6931

    Reference:
      J. Lin, Divergence Measures Based on the Shannon Entropy, 1991.
    """
    check_reduction(reduction)
    (logits, other_logits), keep, axis = _checked(
        where, axis, logits=logits, other_logits=other_logits
    )
    weights = inputs.as_array(weights)
    return _js_divergence(logits, other_logits, keep, weights, axis=axis, reduction=reduction)


@_compiled
def _js_divergence(logits, other_logits, keep, weights, *, axis, reduction):
    first, second = _same_dtype(logits, other_logits, keep, axis)
    losses = js_of_logits(first, second, axis)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def _checked(where, axis, **arrays):
    """The arrays, floating and of one shape, the mask, and the class axis from the front."""
    arrays = {name: jnp.asarray(x) for name, x in arrays.items()}
    first = next(iter(arrays))
    for name, x in arrays.items():
        at_least_float32(x, name)
        inputs.require_same_shape(x, arrays[first], name, first)
    axes = inputs.class_axes(arrays[first], axis)
    keep = example_mask(where, inputs.batch_shape(arrays[first], axes))
    flat = [inputs.class_axis_last(x, axes) for x in arrays.values()]
    return tuple(x for x, _ in flat), keep, flat[0][1]


def _in_rows(logits, keep, axis):
    """The compute dtype, with rows that are left out replaced by zeros."""
    logits = at_least_float32(logits, "logits")
    return logits if keep is None else jnp.where(jnp.expand_dims(keep, axis), logits, 0)


def _same_dtype(first, second, keep, axis):
    first = _in_rows(first, keep, axis)
    return first, _in_rows(second.astype(first.dtype), keep, axis)


def _cooled(logits, temperature, axis):
    """(x − max x) / T: the quotient of large logits would be rounded by more than their gaps."""
    if temperature is None:
        return logits
    masked = logits == -jnp.inf
    top = top_logit(logits, axis)
    # For a row with every class masked; and a select of the row keeps XLA on CPU from taking what
    # follows into the maximum, where it runs several times as long as in a loop of its own.
    top = jnp.where(top == -jnp.inf, 0, top)
    below_top = jnp.where(masked, 0, logits - top)
    return jnp.where(masked, -jnp.inf, below_top / temperature.astype(logits.dtype))
