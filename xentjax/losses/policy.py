"""Policy gradients with a clipped ratio, and the group's advantages that go with them."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.log_probabilities import LogProbs, read_log_probs
from xentjax.losses.reduction import at_least_float32, example_mask, real_array, times

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)
# Above it e^x goes on as a line. e²⁰ is 4.9e8: far past any ratio worth learning from, and its
# square still fits float32, in which the norms of gradients are summed.
_LINEAR_FROM = 20.0


def grpo_loss(
    log_probs: Num[ArrayLike, "..."],
    old_log_probs: Num[ArrayLike, "..."],
    advantages: Num[ArrayLike, "..."],
    reference_log_probs: Num[ArrayLike, "..."] | None = None,
    *,
    clip_low: Num[ArrayLike, ""] = 0.2,
    clip_high: Num[ArrayLike, ""] = 0.2,
    kl_weight: Num[ArrayLike, ""] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Group-relative policy optimization: the clipped policy gradient of PPO, token by token.

    With ρ = exp(log_probs − old_log_probs), d = reference_log_probs − log_probs, advantage A:

        l = −min(ρ A, clip(ρ, 1 − ε_low, 1 + ε_high) A) + β (eᵈ − 1 − d)

    The second term is an unbiased estimate of KL(policy ‖ reference) that is never negative.
    Prefer it where answers are sampled and scored: with `group_advantages` it needs no value
    network, with advantages of your own it is PPO's policy loss.

    Which mean: `reduction="mean"` is over tokens, Σ w l / Σ w (DAPO's), so long answers count
    more. The mean over answers of each one's own mean (GRPO's) has weights 1 / length, given as
    [*batch, 1]. A sum over tokens divided by a constant (Dr. GRPO's) is reduction="sum".

    Args:
      log_probs: floating [*batch, T], the policy's log-probability of each token.
      old_log_probs: the same shape, of the policy that sampled; a constant to differentiation,
        so that on-policy `grpo_loss(x, x, advantages)` has the gradient −A ∂x.
      advantages: real, [*batch] or [*batch, T]; a constant to differentiation.
      reference_log_probs: the shape of `log_probs`, a constant to differentiation; None for no
        KL term.
      clip_low: ε_low ≥ 0, may be traced; inf does not clip.
      clip_high: ε_high ≥ 0, may be traced; inf does not clip. DAPO takes 0.28.
      kl_weight: β ≥ 0, may be traced; given with `reference_log_probs`, and only then.
      where: boolean, broadcastable to [*batch, T]; False leaves a token out (prompt, padding).
      weights: real, broadcastable to [*batch, T].
      reduction: "none", "sum" or "mean".

    Returns:
      Per-token losses, float32, or float64 for float64 `log_probs`: [*batch, T] for "none", a
      scalar otherwise. Where a difference of log-probabilities exceeds 20, its exponential goes
      on as a line (value and slope agree there), so that one token of a policy that ran away
      pulls back with a finite force.

    Raises:
      TypeError: log-probabilities are not floating point, or `where` is not boolean.
      ValueError: shapes differ, an option is out of range, or one of `reference_log_probs` and
        `kl_weight` is given without the other.

    Example:
      >>> import jax.numpy as jnp
      >>> new, old = jnp.log(jnp.array([[0.6, 0.2]])), jnp.log(jnp.array([[0.4, 0.2]]))
      >>> print(grpo_loss(new, old, jnp.array([2.0])))  # ratios 1.5, clipped to 1.2, and 1
      [[-2.4 -2. ]]

    Reference:
      Z. Shao et al., DeepSeekMath, 2024. J. Schulman et al., Proximal Policy Optimization
      Algorithms, 2017. Q. Yu et al., DAPO, 2025. Z. Liu et al., Understanding R1-Zero-Like
      Training (Dr. GRPO), 2025.

    See Also:
      `group_advantages`, `linear_log_probs`, `dpo_loss` for pairs without sampling.
    """
    reference = {}
    if (reference_log_probs is None) != (kl_weight is None):
        given = "kl_weight" if reference_log_probs is None else "reference_log_probs"
        raise ValueError(
            f"reference_log_probs and kl_weight belong together, got only {given}; give both "
            "for a KL term, neither for none"
        )
    if reference_log_probs is not None:
        reference["reference_log_probs"] = reference_log_probs
    tokens = read_log_probs(
        log_probs=log_probs,
        old_log_probs=old_log_probs,
        **reference,
        where=where,
        weights=weights,
        reduction=reduction,
    )
    bounds = (_clipping(clip_low, "clip_low"), _clipping(clip_high, "clip_high"))
    kl_weight = None if kl_weight is None else inputs.non_negative(kl_weight, "kl_weight")
    advantages = _per_token(advantages, tokens.arrays[0])
    return _grpo_loss(tokens, advantages, bounds, kl_weight, reduction=reduction)


def group_advantages(
    rewards: Num[ArrayLike, "..."],
    *,
    axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
) -> Float[Array, "..."]:
    r"""How much better each answer did than the others to its prompt, in standard deviations.

        A_i = (r_i − mean(r)) / std(r) over the group, 0 where all rewards are equal

    The deviation is the population's (divided by G, not G − 1). Dr. GRPO leaves the division
    out, for it favours prompts that are almost solved or almost hopeless: that is
    `rewards - rewards.mean(-1, keepdims=True)`.

    Args:
      rewards: floating [*batch, G], the answers to one prompt along `axis`.
      axis: the axis of the group.
      where: boolean, broadcastable to `rewards`; False leaves an answer out of its group.

    Returns:
      Advantages, float32 (float64 for float64 rewards), the shape of `rewards`, constants to
      differentiation; 0 where masked.

    Raises:
      TypeError: rewards are not floating point, or `where` is not boolean.
      ValueError: `axis` is no axis of the rewards, or `where` does not fit.

    Example:
      >>> import jax.numpy as jnp
      >>> print(group_advantages(jnp.array([[1.0, 0.0, 0.0, 1.0], [0.1, 0.1, 0.1, 0.1]])))
      [[ 1. -1. -1.  1.]
       [ 0.  0.  0.  0.]]

    Reference:
      Z. Shao et al., DeepSeekMath, 2024.

    See Also:
      `grpo_loss`.
    """
    rewards = at_least_float32(rewards, "rewards")
    (axis,) = inputs.class_axes(rewards, (axis,), "rewards")
    return _group_advantages(lax.stop_gradient(rewards), example_mask(where, rewards.shape), axis)


@_compiled
def _grpo_loss(tokens: LogProbs, advantages, bounds, kl_weight, *, reduction):
    log_probs, *others = tokens.safe()
    old, *reference = lax.stop_gradient(others)
    advantages = tokens.hide(lax.stop_gradient(advantages))
    losses = times(-advantages, _clipped(_exp(log_probs - old), advantages, *bounds))
    if reference:
        losses += times(kl_weight.astype(losses.dtype), _excess(reference[0] - log_probs))
    return tokens.reduce(losses, reduction)


def _clipped(ratio: Array, advantages: Array, low: Array, high: Array) -> Array:
    """The ratio that ρA or clip(ρ)A is smaller for; one side decides, so no slope is halved."""
    low, high = 1 - low.astype(ratio.dtype), 1 + high.astype(ratio.dtype)
    # A NaN bound would hide in the comparisons, which are False for a NaN ratio.
    ratio *= inputs.nan_if_refused(ratio.dtype, low, high)
    over, under = (advantages > 0) & (ratio > high), (advantages < 0) & (ratio < low)
    return jnp.where(over, high, jnp.where(under, low, ratio))


def _exp(x: Array) -> Array:
    """eˣ up to x = 20, its tangent beyond."""
    steep = x > _LINEAR_FROM
    line = math.exp(_LINEAR_FROM) * (1 + (x - _LINEAR_FROM))
    return jnp.where(steep, line, jnp.exp(jnp.where(steep, 0, x)))


def _excess(x: Array) -> Array:
    """eˣ − 1 − x ≥ 0; the difference cancels near 0, where the power series does not."""
    small = jnp.abs(x) < 0.5
    near = jnp.where(small, x, 0)
    series = jnp.ones_like(x)
    for n in range(15, 2, -1):  # 0.5¹⁴ · 2/16! is below float64's rounding
        series = 1 + near / n * series
    far = jnp.where(small, 1, x)
    steep, top = far > _LINEAR_FROM, math.exp(_LINEAR_FROM)
    # The line as one product: at x = inf a difference of two would be inf − inf.
    line = (top - 1) * (far - _LINEAR_FROM) + (top - 1 - _LINEAR_FROM)
    curve = jnp.where(steep, 0, far)
    far = jnp.where(steep, line, jnp.expm1(curve) - curve)
    return jnp.where(small, near * near / 2 * series, far)


@partial(jax.jit, static_argnums=2, inline=True)
def _group_advantages(rewards, keep, axis):
    kept = jnp.ones(rewards.shape, bool) if keep is None else keep
    count = jnp.maximum(jnp.sum(kept, axis=axis, keepdims=True), 1).astype(rewards.dtype)

    def mean(x):
        return jnp.sum(jnp.where(kept, x, 0), axis=axis, keepdims=True) / count

    # From the best one, in units of the widest gap: equal rewards are exactly 0 apart, and
    # neither a large offset nor a small spread costs digits.
    best = jnp.max(jnp.where(kept, rewards, -jnp.inf), axis=axis, keepdims=True)
    below = jnp.where(kept, rewards - jnp.where(kept, best, 0), 0)
    widest = -jnp.min(below, axis=axis, keepdims=True)
    spread = widest > 0
    unit = below / jnp.where(spread, widest, 1)
    centred = unit - mean(unit)
    deviation = jnp.sqrt(jnp.where(spread, mean(centred**2), 1))
    return jnp.where(kept & (spread | jnp.isnan(widest)), centred / deviation, 0)


def _per_token(advantages: ArrayLike, log_probs: Array) -> Array:
    advantages = real_array(advantages, "advantages").astype(log_probs.dtype)
    if advantages.shape == log_probs.shape:
        return advantages
    if log_probs.ndim and advantages.shape == log_probs.shape[:-1]:
        return jnp.broadcast_to(advantages[..., None], log_probs.shape)
    raise ValueError(
        "advantages must be one for each answer or one for each token: got shape "
        f"{advantages.shape}, wanted {log_probs.shape[:-1]} or {log_probs.shape}"
    )


def _clipping(value: ArrayLike, name: str) -> Array:
    return inputs.scalar(value, name, "be non-negative", lambda v: v >= 0)
