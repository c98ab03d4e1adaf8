"""Losses for long tails: what makes up for rare classes is a bias or a margin of the logits."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.class_balance import read_class_counts
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.log_partition import label_terms, top_logit

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def logit_adjusted_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    class_counts: Num[ArrayLike, "..."],
    *,
    tau: Num[ArrayLike, ""] = 1.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy with the class frequencies π in the training loss only.

        l = −log softmax(x + τ log π)_y,   π_c = n_c / Σ n

    The frequencies are a class bias while training; without it, the logits x predict as if all
    classes were alike frequent. Prefer it where the balanced accuracy counts and the frequencies
    are known: it is the right loss for that at τ = 1 (the balanced softmax), and, unlike class
    weights, goes on working once all examples are fitted. The accuracy on data as imbalanced as
    the training's is better without. τ = 0 is the cross-entropy.

    It is `softmax_cross_entropy(logits + tau * jnp.log(class_counts), …)`, exact at large offsets
    too; and inside `linear_cross_entropy`, without `soft_cap` and `logit_scale`, the option
    `bias=tau * jnp.log(class_counts)`. A trained model is adjusted without training anew by
    subtracting τ log π from its logits.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      class_counts: n, positive [C]: training examples of each class, or their frequencies; a
        common factor drops out.
      tau: τ ≥ 0, one number; may be traced.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, a count is not positive, τ is negative or (eager calls) a
        label is outside [0, C). Under jit such a label or count gives NaN, in the value and in
        the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> counts = jnp.array([90, 10])
      >>> loss = logit_adjusted_cross_entropy(jnp.zeros(2), jnp.array(1), counts)
      >>> print(f"{loss:.4f}")  # equal logits: −log 0.1, the frequency of the label
      2.3026

    Reference:
      A. K. Menon et al., Long-Tail Learning via Logit Adjustment, 2021; J. Ren et al., Balanced
      Meta-Softmax for Long-Tailed Visual Recognition, 2020.

    See Also:
      `class_balanced_weights`, `ldam_loss`.
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
    counts = read_class_counts(class_counts, examples.logits.shape[-1])
    strength = inputs.unless_number(0, tau, inputs.non_negative, "tau")
    return _logit_adjusted(examples, counts, strength, reduction=reduction)


@_compiled
def _logit_adjusted(examples: Labelled, counts, tau, *, reduction):
    logits = examples.safe_logits()
    if tau is not None:
        bias = tau.astype(logits.dtype) * jnp.log(counts / jnp.max(counts)).astype(logits.dtype)
        bias = jnp.expand_dims(bias, range(logits.ndim - 1))
        below = _below_top(logits)
        # Adding zero keeps the product from being fused with the sum, as in `unit_exp`: a label
        # rounded another way than the same logit in the sum is off by an ulp, not by its share.
        logits = below + (bias + 0 * top_logit(below, -1))
    losses = label_terms(logits, examples.labels, examples.keep, -1).nll
    return examples.reduce(losses, reduction)


def ldam_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    class_counts: Num[ArrayLike, "..."],
    *,
    max_margin: Num[ArrayLike, ""] = 0.5,
    scale: Num[ArrayLike, ""] = 30.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy that asks for a margin, the larger the rarer the class.

        l = −log softmax(s (x − Δ_y e_y))_y,   Δ_c = m (min n / n_c)^¼

    The rarest class has the margin m. The margins are those of cosines: in the paper x is the
    cosine of the normalised features with each normalised class vector, in [−1, 1]; on free
    logits a network buys a margin with the size of its weights. Prefer it where the tail is
    overfitted: classes of ten examples. The paper adds class weights late in training
    (`weights=class_balanced_weights(counts)[labels]`), which does as much as the margin itself.
    m = 0, s = 1 is the cross-entropy.

    Args:
      logits: cosines [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      class_counts: n, positive [C]: training examples of each class, or their frequencies.
      max_margin: m ≥ 0, one number; may be traced.
      scale: s > 0, likewise: an inverse temperature, without which cosines in [−1, 1] could
        never be certain.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, a count is not positive, an option is out of range or (eager
        calls) a label is outside [0, C). Under jit such a label or count gives NaN, in the value
        and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> cosines, counts = jnp.array([0.5, 0.5]), jnp.array([16, 1])
      >>> losses = [ldam_loss(cosines, jnp.array(y), counts, scale=1.0) for y in (0, 1)]
      >>> print(f"{losses[0]:.4f} {losses[1]:.4f}")  # log(1 + e^¼) and log(1 + e^½): Δ = ¼, ½
      0.8259 0.9741

    Reference:
      K. Cao et al., Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss, 2019.

    See Also:
      `cosface_loss`, whose margin is the same for all classes; `logit_adjusted_cross_entropy`.
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
    counts = read_class_counts(class_counts, examples.logits.shape[-1])
    margin = inputs.unless_number(0, max_margin, inputs.non_negative, "max_margin")
    scale = inputs.positive(scale, "scale")
    return _ldam_loss(examples, counts, margin, scale, reduction=reduction)


@_compiled
def _ldam_loss(examples: Labelled, counts, max_margin, scale, *, reduction):
    logits = examples.safe_logits()
    if max_margin is not None:
        rarity = (jnp.min(counts) / counts) ** 0.25
        margins = max_margin.astype(logits.dtype) * rarity.astype(logits.dtype)
        own = jnp.take(margins, examples.labels, mode="clip")[..., None]
        classes = lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
        is_label = classes == examples.labels[..., None]
        below = _below_top(logits)
        logits = jnp.where(is_label, below - (own + 0 * top_logit(below, -1)), below)
    terms = label_terms(scale.astype(logits.dtype) * logits, examples.labels, examples.keep, -1)
    return examples.reduce(terms.nll, reduction)


def _below_top(logits: Array) -> Array:
    """x − max x, exact for logits near the top: a small bias survives a large offset."""
    top = top_logit(logits, -1)
    return (logits + 0 * top) - top
