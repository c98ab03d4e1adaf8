"""Preference losses that compare a policy with a reference: DPO with its kin, and KTO.

They take one log-probability for each answer: the sum of what `linear_log_probs` gives for its
tokens. The reference policy is a constant to differentiation.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.choice import require_one_of
from xentjax.losses.exponentials import softplus
from xentjax.losses.log_probabilities import LogProbs, read_log_probs
from xentjax.losses.reduction import fit_to_examples, real_array

_KINDS = ("sigmoid", "ipo", "hinge", "robust", "conservative")
_SMOOTHED = ("robust", "conservative")


def dpo_loss(
    chosen: Num[ArrayLike, "..."],
    rejected: Num[ArrayLike, "..."],
    reference_chosen: Num[ArrayLike, "..."],
    reference_rejected: Num[ArrayLike, "..."],
    *,
    beta: Num[ArrayLike, ""] = 0.1,
    kind: str = "sigmoid",
    label_smoothing: Num[ArrayLike, ""] = 0.0,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Direct preference optimization: the chosen answer should gain on the rejected one.

    With h = (chosen − reference_chosen) − (rejected − reference_rejected) and ε the share of
    preferences believed to be flipped:

        "sigmoid"       −log σ(βh)
        "ipo"           (h − 1/(2β))²
        "hinge"         max(0, 1 − βh)
        "conservative"  −(1 − ε) log σ(βh) − ε log σ(−βh)
        "robust"        (−(1 − ε) log σ(βh) + ε log σ(−βh)) / (1 − 2ε)

    Prefer it to reinforcement learning where pairs of answers are at hand: it needs no reward
    model and no sampling. "sigmoid" drives h without end where preferences are certain; "ipo"
    stops at 1/(2β), "hinge" at 1/β. For preferences that contradict each other, "conservative"
    stops at the log-odds of 1 − ε, and "robust" is unbiased for the loss of clean labels.

    Args:
      chosen: floating [*batch], log-probability of each chosen answer, summed over its tokens.
        For "ipo" the authors take means over the tokens; so in all four arrays.
      rejected: the same for the rejected answers.
      reference_chosen: the reference policy's; a constant to differentiation.
      reference_rejected: likewise.
      beta: β > 0, may be traced; how closely the policy is kept to the reference.
      kind: "sigmoid", "ipo", "hinge", "robust" or "conservative".
      label_smoothing: ε in [0, ½), may be traced; only for "robust" and "conservative".
      where: boolean, broadcastable to [*batch]; False leaves a pair out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats (no unit for "ipo" and "hinge"), float32, or float64 for float64 `chosen`: [*batch]
      for "none", a scalar otherwise. "robust" goes below 0 where βh is large.

    Raises:
      TypeError: log-probabilities are not floating point, or `where` is not boolean.
      ValueError: shapes differ, the kind is unknown, an option is out of range or not one of
        this kind.

    Example:
      >>> import jax.numpy as jnp
      >>> chosen, rejected = jnp.array([-3.0]), jnp.array([-5.0])
      >>> loss = dpo_loss(chosen, rejected, jnp.array([-4.0]), jnp.array([-4.0]), beta=0.5)
      >>> print(f"{loss[0]:.4f}")  # h = 1 + 1: −log σ(½ · 2) = log(1 + e⁻¹)
      0.3133

    Reference:
      R. Rafailov et al., Direct Preference Optimization, 2023. M. G. Azar et al., A General
      Theoretical Paradigm to Understand Learning from Human Preferences (IPO), 2023. Y. Zhao et
      al., SLiC-HF, 2023. E. Mitchell, A Note on DPO with Noisy Preferences, 2023. S. R.
      Chowdhury et al., Provably Robust DPO, 2024.

    See Also:
      `kto_loss` for answers judged one by one, `simpo_loss` and `orpo_loss` for training
      without a reference, `linear_log_probs`.
    """
    _check_kind(kind, label_smoothing)
    pairs = read_log_probs(
        chosen=chosen,
        rejected=rejected,
        reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
        where=where,
        weights=weights,
        reduction=reduction,
    )
    beta = inputs.positive(beta, "beta")
    smoothing = inputs.unless_number(0, label_smoothing, _below_half, "label_smoothing")
    return _dpo_loss(pairs, beta, smoothing, kind=kind, reduction=reduction)


def kto_loss(
    log_probs: Num[ArrayLike, "..."],
    reference_log_probs: Num[ArrayLike, "..."],
    desirable: Shaped[ArrayLike, "..."],
    kl: Num[ArrayLike, "..."],
    *,
    beta: Num[ArrayLike, ""] = 0.1,
    desirable_weight: Num[ArrayLike, ""] = 1.0,
    undesirable_weight: Num[ArrayLike, ""] = 1.0,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Kahneman-Tversky optimization: answers judged good or bad one by one, without pairs.

    With r = log_probs − reference_log_probs and the reference point z = max(0, kl):

        desirable:    λ_D (1 − σ(β(r − z)))
        undesirable:  λ_U (1 − σ(β(z − r)))

    Prefer it to `dpo_loss` where the data are thumbs up and down instead of pairs, or are
    unbalanced: keep λ_D · n_D : λ_U · n_U between 1 and 4/3. Its gradient fades for answers far
    off on either side, so that wrong judgements pull little, and hard ones too.

    Args:
      log_probs: floating [*batch], log-probability of each answer, summed over its tokens.
      reference_log_probs: the reference policy's, the same shape; a constant to differentiation.
      desirable: boolean [*batch].
      kl: real, broadcastable to [*batch]: an estimate of KL(policy ‖ reference), in nats. The
        paper's is the mean of log_probs − reference_log_probs over prompts with answers of
        other prompts. A constant to differentiation; a negative estimate counts as 0.
      beta: β > 0, may be traced; how soon gains and losses saturate.
      desirable_weight: λ_D ≥ 0, may be traced.
      undesirable_weight: λ_U ≥ 0, may be traced.
      where: boolean, broadcastable to [*batch]; False leaves an answer out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Losses in [0, λ], float32, or float64 for float64 `log_probs`: [*batch] for "none", a
      scalar otherwise.

    Raises:
      TypeError: log-probabilities are not floating point, `desirable` or `where` not boolean.
      ValueError: shapes do not fit, or an option is out of range.

    Example:
      >>> import jax.numpy as jnp
      >>> log_probs, reference = jnp.log(jnp.array([0.9, 0.9])), jnp.log(jnp.array([0.3, 0.3]))
      >>> loss = kto_loss(log_probs, reference, jnp.array([True, False]), 0.0, beta=1.0)
      >>> print(loss)  # odds of 3: 1 − σ(log 3) = 1/4, 1 − σ(−log 3) = 3/4
      [0.25 0.75]

    Reference:
      K. Ethayarajh et al., KTO: Model Alignment as Prospect Theoretic Optimization, 2024.

    See Also:
      `dpo_loss` for pairs.
    """
    answers = read_log_probs(
        log_probs=log_probs,
        reference_log_probs=reference_log_probs,
        where=where,
        weights=weights,
        reduction=reduction,
    )
    like = answers.arrays[0]
    desirable = _judgements(desirable, like)
    point = fit_to_examples(real_array(kl, "kl").astype(like.dtype), like.shape, "kl")
    options = (
        inputs.positive(beta, "beta"),
        inputs.non_negative(desirable_weight, "desirable_weight"),
        inputs.non_negative(undesirable_weight, "undesirable_weight"),
    )
    return _kto_loss(answers, desirable, point, options, reduction=reduction)


@partial(jax.jit, static_argnames=("kind", "reduction"), inline=True)
def _dpo_loss(pairs: LogProbs, beta, smoothing, *, kind, reduction):
    chosen, rejected, *reference = pairs.safe()
    reference_chosen, reference_rejected = lax.stop_gradient(reference)
    # Each policy's own difference first: near the reference it is exact.
    gain = (chosen - reference_chosen) - (rejected - reference_rejected)
    beta = beta.astype(gain.dtype)
    if kind == "ipo":
        losses = (gain - 1 / (2 * beta)) ** 2
    elif kind == "hinge":
        losses = jax.nn.relu(1 - beta * gain)
    else:
        smoothing = None if smoothing is None else smoothing.astype(gain.dtype)
        losses = _logistic(beta * gain, smoothing, kind)
    return pairs.reduce(losses, reduction)


def _logistic(z, smoothing, kind):
    if smoothing is None:
        return softplus(-z)
    if kind == "conservative":
        return (1 - smoothing) * softplus(-z) + smoothing * softplus(z)
    # As softplus(z) = z + softplus(−z), the quotient falls away, and with it the cancellation.
    return softplus(-z) - smoothing / (1 - 2 * smoothing) * z


@partial(jax.jit, static_argnames="reduction", inline=True)
def _kto_loss(answers: LogProbs, desirable, point, options, *, reduction):
    log_probs, reference = answers.safe()
    beta, *weights = (x.astype(log_probs.dtype) for x in options)
    point = lax.stop_gradient(jnp.maximum(answers.hide(point), 0))
    gain = beta * (log_probs - lax.stop_gradient(reference) - point)
    # 1 − σ(x) = exp(−softplus(x)), whose slope keeps its digits where σ has rounded to 1.
    losses = jnp.exp(-softplus(jnp.where(desirable, gain, -gain)))
    losses *= jnp.where(desirable, *weights)
    return answers.reduce(losses * inputs.nan_if_refused(losses.dtype, *options), reduction)


def _judgements(desirable: ArrayLike, like: Array) -> Array:
    desirable = jnp.asarray(desirable)
    if desirable.dtype != jnp.bool_:
        raise TypeError(
            f"desirable must be boolean, got {desirable.dtype}; write desirable=(label == 1)"
        )
    inputs.require_same_shape(desirable, like, "desirable", "log_probs")
    return desirable


def _check_kind(kind: str, label_smoothing: ArrayLike) -> None:
    require_one_of(kind, _KINDS, "kind")
    if kind not in _SMOOTHED and not inputs.is_number(label_smoothing, 0):
        raise ValueError(
            f"label_smoothing is an option of kind 'robust' and 'conservative', got "
            f"label_smoothing={label_smoothing} with kind {kind!r}; leave it out or change kind"
        )


def _below_half(value: ArrayLike, name: str) -> Array:
    return inputs.scalar(value, name, "lie in [0, 0.5)", lambda v: (v >= 0) & (v < 0.5))
