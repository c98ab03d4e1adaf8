"""Preference losses that need no reference policy: ORPO and SimPO.

They take the mean log-probability of each answer's tokens, so that its length does not decide.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.exponentials import softplus
from xentjax.losses.log_probabilities import LogProbs, read_log_probs, require_probabilities

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def simpo_loss(
    chosen: Num[ArrayLike, "..."],
    rejected: Num[ArrayLike, "..."],
    *,
    beta: Num[ArrayLike, ""] = 2.0,
    gamma: Num[ArrayLike, ""] = 1.0,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Simple preference optimization: mean log-probabilities apart by a margin, no reference.

        l = −log σ(β (chosen − rejected) − γ)

    Prefer it to `dpo_loss` where a second model in memory is too dear, or where answers grow
    longer in training: the mean over tokens is what decides a generation. Nothing but the
    learning rate keeps the policy near where it began.

    Args:
      chosen: floating [*batch], the mean log-probability of the chosen answer's tokens.
      rejected: the same for the rejected answer.
      beta: β > 0, may be traced; 2 to 2.5 in the paper.
      gamma: the margin γ ≥ 0, may be traced; 0.3 to 1.6 in the paper.
      where: boolean, broadcastable to [*batch]; False leaves a pair out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32, or float64 for float64 `chosen`: [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: log-probabilities are not floating point, or `where` is not boolean.
      ValueError: shapes differ, or an option is out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> loss = simpo_loss(jnp.array([-1.0]), jnp.array([-2.0]), beta=2.0, gamma=1.0)
      >>> print(f"{loss[0]:.4f}")  # −log σ(2 · 1 − 1) = log(1 + e⁻¹)
      0.3133

    Reference:
      Y. Meng, M. Xia, D. Chen, SimPO: Simple Preference Optimization with a Reference-Free
      Reward, 2024.

    See Also:
      `orpo_loss`, `dpo_loss`.
    """
    pairs = read_log_probs(
        chosen=chosen, rejected=rejected, where=where, weights=weights, reduction=reduction
    )
    beta = inputs.positive(beta, "beta")
    gamma = inputs.non_negative(gamma, "gamma")
    return _simpo_loss(pairs, beta, gamma, reduction=reduction)


@_compiled
def _simpo_loss(pairs: LogProbs, beta, gamma, *, reduction):
    chosen, rejected = pairs.safe()
    beta, gamma = beta.astype(chosen.dtype), gamma.astype(chosen.dtype)
    return pairs.reduce(softplus(gamma - beta * (chosen - rejected)), reduction)


def orpo_loss(
    chosen: Num[ArrayLike, "..."],
    rejected: Num[ArrayLike, "..."],
    *,
    chosen_nll: Num[ArrayLike, "..."] | None = None,
    odds_weight: Num[ArrayLike, ""] = 0.1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Odds-ratio preference optimization: fine-tuning on the chosen answer, and preference.

    With odds(p) = p / (1 − p) at p = e^chosen, q = e^rejected:

        l = nll + λ · −log σ(log odds(p) − log odds(q))

    Prefer it to fine-tuning followed by `dpo_loss`: one phase, one model. It must keep the nll:
    the ratio alone may be served by making both answers unlikely. Where answers are nearly
    certain (mean log-probability near 0) the odds, and the gradient, are very large.

    Args:
      chosen: floating [*batch] ≤ 0, the mean log-probability of the chosen answer's tokens.
      rejected: the same for the rejected answer.
      chosen_nll: floating [*batch], the fine-tuning loss of the chosen answer where it is not
        −chosen: with the prompt's tokens in the mean, say.
      odds_weight: λ ≥ 0, may be traced; 0.1 to 1 in the paper.
      where: boolean, broadcastable to [*batch]; False leaves a pair out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32, or float64 for float64 `chosen`: [*batch] for "none", a scalar otherwise.
      A log-probability of exactly 0, whose odds are infinite, counts as 1 − p = 10⁻³⁸, and its
      slope in log(1 − p) as 0.

    Raises:
      TypeError: log-probabilities are not floating point, or `where` is not boolean.
      ValueError: shapes differ, λ is out of range or (eager calls) a log-probability is above
        0. Under jit that gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> chosen, rejected = jnp.log(jnp.array([0.75])), jnp.log(jnp.array([0.25]))
      >>> loss = orpo_loss(chosen, rejected, odds_weight=1.0)
      >>> print(f"{loss[0]:.4f}")  # odds 3 and 1/3: −log 0.75 − log σ(log 9) = log 4/3 + log 10/9
      0.3930

    Reference:
      J. Hong, N. Lee, J. Thorne, ORPO: Monolithic Preference Optimization without Reference
      Model, 2024.

    See Also:
      `simpo_loss`, `dpo_loss`.
    """
    nll = {} if chosen_nll is None else {"chosen_nll": chosen_nll}
    pairs = read_log_probs(
        chosen=chosen, rejected=rejected, **nll, where=where, weights=weights, reduction=reduction
    )
    for name, log_probs in zip(("chosen", "rejected"), pairs.arrays, strict=False):
        require_probabilities(log_probs, pairs.keep, name)
    odds_weight = inputs.non_negative(odds_weight, "odds_weight")
    return _orpo_loss(pairs, odds_weight, reduction=reduction)


@_compiled
def _orpo_loss(pairs: LogProbs, odds_weight, *, reduction):
    chosen, rejected, *nll = pairs.safe()
    # log(odds q / odds p), in the order that lets equal log-probabilities cancel exactly.
    against = (rejected - chosen) + (_log1mexp(chosen) - _log1mexp(rejected))
    good = (chosen <= 0) & (rejected <= 0)
    ratio = softplus(against) * inputs.nan_unless(good, against.dtype)
    losses = (nll[0] if nll else -chosen) + odds_weight.astype(ratio.dtype) * ratio
    return pairs.reduce(losses, reduction)


def _log1mexp(x: Array) -> Array:
    """log(1 − eˣ) for x ≤ 0 to full precision; at 0 the least it can be, with slope 0."""
    near, least = x > -math.log(2), float(jnp.finfo(x.dtype).tiny)
    close = jnp.log(-jnp.expm1(jnp.where(near & (x < 0), x, -1)))
    far = jnp.log1p(-jnp.exp(jnp.where(near, -1, x)))
    return jnp.where(x < 0, jnp.where(near, close, far), math.log(least))
