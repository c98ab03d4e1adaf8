"""The bi-tempered logistic loss: cross-entropy that a wrong label can only hurt so much."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.deformed_softmax import (
    Rate,
    below_top,
    deformed_exp,
    expm1_ratio,
    is_label,
    log_normalizer,
    tsallis_divergence,
    whole_power,
)
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.log_partition import label_terms, pick_label


def bi_tempered_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    t1: Num[ArrayLike, ""] = 0.8,
    t2: Num[ArrayLike, ""] = 1.2,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""A cross-entropy with a bounded logarithm (t₁ < 1) and a heavy-tailed softmax (t₂ > 1).

    With exp_t(v) = (1 + (1 − t) v)₊^(1 / (1 − t)), log_t(p) = (p^(1 − t) − 1) / (1 − t), both
    ordinary at t = 1, and p_j = exp_{t₂}(x_j − λ) where λ makes Σ p = 1:

        l = −log_{t₁} p_y − (1 − Σ_j p_j^(2 − t₁)) / (2 − t₁)

    Prefer it under label noise: t₁ bounds the loss of an example far on the wrong side by
    1 / (1 − t₁) (outliers), t₂ flattens it near the boundary (flipped labels). With clean labels
    it only learns more slowly. t₁ = t₂ = 1 is the cross-entropy, t₁ = t₂ = t < 1 the
    `entmax_loss` with α = 2 − t as long as p_y > 0.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      t1: in [0, 1], one number; may be traced and differentiated.
      t2: ≥ 0 and finite, likewise; usually in [1, 4]. Below 1 classes far from the top get
        exactly 0, and so does the gradient of a label among them. Python numbers with whole
        1 / (1 − t₂), as 1.2, 1.5 and 2, are the fastest.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats at t₁ = t₂ = 1 (the units of log_{t₁} otherwise), float32 (float64 for float64
      logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, t1 or t2 is out of range or (eager calls) a label is outside
        [0, C). Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> even = jnp.zeros(2)  # p = ½, whatever t₂ is
      >>> # −log_½ ½ = 2 (1 − √½) = 0.585786, less (1 − 2 · ½^1.5) / 1.5 = 0.195262
      >>> print(f"{bi_tempered_loss(even, jnp.array(0), t1=0.5, t2=2.0):.6f}")
      0.390524
      >>> worst = bi_tempered_loss(jnp.array([0.0, 1e30]), jnp.array(0), t1=0.5, t2=1.2)
      >>> print(f"{worst:.3f}")  # at most 1 / (1 − t₁), whatever the margin
      2.000

    Reference:
      E. Amid, M. K. Warmuth, R. Anil, T. Koren, Robust Bi-Tempered Logistic Loss Based on Bregman
      Divergences, 2019.

    See Also:
      `generalized_cross_entropy`, which bounds the loss under the ordinary softmax.
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
    order = _one_less(t1, inputs.fraction(t1, "t1"))
    rate = _one_less(t2, inputs.non_negative(t2, "t2"))
    plain = inputs.is_number(t1, 1) and inputs.is_number(t2, 1)
    power = whole_power(1 - t2) if isinstance(t2, int | float) else None
    return _bi_tempered_loss(examples, order, rate, power=power, plain=plain, reduction=reduction)


def _one_less(given, checked):
    """1 − t, subtracted before rounding to float32 where t is a Python number."""
    return jnp.asarray(1.0 - given) if isinstance(given, int | float) else 1 - checked


@partial(jax.jit, static_argnames=("power", "plain", "reduction"), inline=True)
def _bi_tempered_loss(examples: Labelled, order, rate, *, power, plain, reduction):
    if plain:
        nll = label_terms(examples.logits, examples.labels, examples.keep, -1).nll
        return examples.reduce(nll, reduction)
    v = below_top(examples.safe_logits())
    losses = _losses(v, examples.labels, order.astype(v.dtype), Rate(rate.astype(v.dtype), power))
    return examples.reduce(losses * examples.nan_if_bad(), reduction)


def _losses(v, labels, order, rate):
    depth = v - log_normalizer(v, rate)
    exps = deformed_exp(depth, rate)
    others = jnp.where(is_label(v, labels), 0, exps.shares)
    rest = jnp.sum(others, axis=-1)
    spread = jnp.sum(others * jnp.exp(order * exps.log_shares), axis=-1)
    own = deformed_exp(pick_label(depth, labels, -1), rate)
    gap = jnp.squeeze(_gap(own, order), -1)
    return tsallis_divergence(rest, spread, gap, order)


def _gap(own, order):
    """−log_{t₁} p = (1 − p^c) / c; 1 / c where p = 0, which is +inf at c = 0."""
    bounded = -own.log_shares * expm1_ratio(order * own.log_shares)
    positive = order > 0
    most = jnp.where(positive, 1 / jnp.where(positive, order, 1), jnp.inf)
    return jnp.where(own.inside, bounded, most)
