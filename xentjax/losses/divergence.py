"""Entropy, Kullback-Leibler and Jensen-Shannon divergence of softmax distributions.

Cross-entropy is entropy plus divergence: H(t, p) = H(t) + KL(t ‖ p). Train on a divergence when
zero should mean "the same", or when both sides move.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.log_partition import log_softmax_gap, softmax_entropy, top_logit
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    reduce_with_mass,
)

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
    log_targets = jnp.where(targets == 0, -jnp.inf, jnp.log(jnp.where(targets == 0, 1, targets)))
    log_p = -log_softmax_gap(logits, axis)
    terms = kl_terms(log_targets, log_p, _difference(log_targets, log_p))
    losses = jnp.sum(terms, axis=axis)
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
    log_p, log_q, difference = log_pair(model, target, axis)
    losses = jnp.sum(kl_terms(log_q, log_p, difference), axis=axis)
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
    log_p, log_q, difference = log_pair(first, second, axis)
    to_p, to_q = _log_mean_ratio(-difference), _log_mean_ratio(difference)
    terms = _half_js(log_p, log_q, to_p) + _half_js(log_q, log_p, to_q)
    losses = 0.5 * jnp.sum(terms, axis=axis)
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
    below_top = jnp.where(masked, 0, logits) - top_logit(logits, axis)
    return jnp.where(masked, -jnp.inf, below_top / temperature.astype(logits.dtype))


def log_pair(model, target, axis):
    """log p, log q and log q − log p of two softmax distributions.

    Where all logits differ by nearly the same amount (within 1), the difference is taken from the
    logits, before either side is rounded: d = w − log1p(Σ p expm1(w)), w = target − model + const.
    """
    log_p, log_q = -log_softmax_gap(model, axis), -log_softmax_gap(target, axis)
    masked = (model == -jnp.inf) | (target == -jnp.inf)
    w = jnp.where(masked, 0, target) - jnp.where(masked, 0, model)
    leads = model == jnp.max(model, axis=axis, keepdims=True)
    # The constant makes w zero where p leads, so that a tiny sum keeps its digits.
    at_lead = jnp.max(jnp.where(leads, w, -jnp.inf), axis=axis, keepdims=True)
    w = jnp.where(masked, 0, w - lax.stop_gradient(at_lead))
    one_sided = jnp.any((model == -jnp.inf) != (target == -jnp.inf), axis=axis, keepdims=True)
    near = (jnp.max(jnp.abs(w), axis=axis, keepdims=True) < 1) & ~one_sided
    w = jnp.where(near, w, 0)
    shares = jnp.where(masked, 0, jnp.exp(jnp.where(masked, 0, log_p)))
    ratio = jnp.log1p(jnp.sum(shares * jnp.expm1(w), axis=axis, keepdims=True))
    return log_p, log_q, jnp.where(near & ~masked, w - ratio, _difference(log_q, log_p))


def _difference(log_q, log_p):
    """log q − log p, 0 where either is the logarithm of 0."""
    either = (log_q == -jnp.inf) | (log_p == -jnp.inf)
    return jnp.where(either, 0, log_q) - jnp.where(either, 0, log_p)


def kl_terms(log_q, log_p, d):
    """q log(q / p) − q + p ≥ 0 for each class, from d = log q − log p; −inf is probability 0.

    The term is q (d + e⁻ᵈ − 1) ≈ q d²/2: near 0 by its series, elsewhere as it stands.
    """
    no_q, no_p = log_q == -jnp.inf, log_p == -jnp.inf
    q = jnp.where(no_q, 0, jnp.exp(jnp.where(no_q, 0, log_q)))
    p = jnp.where(no_p, 0, jnp.exp(jnp.where(no_p, 0, log_p)))
    near = jnp.abs(d) < 1
    small, large = jnp.where(near, d, 0), jnp.where(near, 0, d)
    terms = jnp.where(near, q * _exp_remainder(small), q * large + (p - q))
    terms = jnp.where(no_q, p, terms)
    return jnp.where(no_p & ~no_q, jnp.inf, terms)


def _exp_remainder(d):
    """e⁻ᵈ − 1 + d for |d| < 1 by its series, d²/2! − d³/3! + …, to 1e-16 of its first term."""
    tail = jnp.ones_like(d)
    for n in range(18, 2, -1):
        tail = 1 - tail * d / n
    return 0.5 * d * d * tail


def _log_mean_ratio(d):
    """log p − log ½(p + q) from d = log p − log q: −log ½(1 + e⁻ᵈ), exact near 0."""
    rises = d > 0
    down, up = jnp.where(rises, d, 0), jnp.where(rises, 0, d)
    return jnp.where(rises, -jnp.log1p(0.5 * jnp.expm1(-down)), up - jnp.log1p(0.5 * jnp.expm1(up)))


def _half_js(log_p, log_q, to_mean):
    """p log(p / m) − p + m for each class, m = ½(p + q)."""
    alone, absent = log_q == -jnp.inf, log_p == -jnp.inf
    to_mean = jnp.where(alone & ~absent, jnp.log(2.0).astype(to_mean.dtype), to_mean)
    log_mean = log_p - to_mean
    log_mean = jnp.where(absent, log_q - jnp.log(2.0).astype(to_mean.dtype), log_mean)
    return kl_terms(log_p, log_mean, jnp.where(absent, 0, to_mean))
