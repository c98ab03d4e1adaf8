"""Bounded losses: what a wrong label can pull is limited, so noise is fitted late or never."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.exponentials import one_minus_exp
from xentjax.losses.log_partition import label_terms
from xentjax.losses.reduction import times

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def generalized_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    q: Num[ArrayLike, ""] = 0.7,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""(1 − p_y^q) / q: cross-entropy at q = 0, the mean absolute error 1 − p_y at q = 1.

    With n = −log softmax(x)_y, exact at every margin:

        l = (1 − e^(−q n)) / q

    Its gradient is that of the cross-entropy times p_y^q: an example that the model finds
    impossible pulls little. Prefer it where labels are wrong at random and the noise is not
    known; the larger q, the more noise it bears and the slower it learns. With clean labels the
    cross-entropy learns faster, and rare or hard classes may be given up as noise.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      q: in [0, 1], one number; may be traced.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats at q = 0, in [0, 1/q] otherwise; float32 (float64 for float64 logits): [*batch] for
      "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, q lies outside [0, 1] or (eager calls) a label is outside
        [0, C). Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([0.25, 0.75]))
      >>> print(f"{generalized_cross_entropy(logits, jnp.array(0), q=0.5):.4f}")  # (1 − √¼) / ½
      1.0000
      >>> print(f"{generalized_cross_entropy(logits, jnp.array(0), q=1.0):.4f}")  # 1 − ¼
      0.7500

    Reference:
      Z. Zhang, M. R. Sabuncu, Generalized Cross Entropy Loss for Training Deep Neural Networks
      with Noisy Labels, 2018.

    See Also:
      `symmetric_cross_entropy`, `forward_corrected_cross_entropy` where the noise is known.
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
    exponent = inputs.unless_number(0, q, inputs.fraction, "q")
    return _generalized_cross_entropy(examples, exponent, reduction=reduction)


@_compiled
def _generalized_cross_entropy(examples: Labelled, q, *, reduction):
    losses = label_terms(examples.logits, examples.labels, examples.keep, -1).nll
    if q is not None:
        losses = _box_cox(losses, q.astype(losses.dtype))
    return examples.reduce(losses, reduction)


def _box_cox(nll: Array, q: Array) -> Array:
    """(1 − e^(−q n)) / q, which is n at q = 0."""
    is_zero = q == 0
    some = jnp.where(is_zero, 1, q)
    return jnp.where(is_zero, nll, one_minus_exp(some * nll) / some)


def symmetric_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    alpha: Num[ArrayLike, ""] = 0.1,
    beta: Num[ArrayLike, ""] = 1.0,
    log_zero: Num[ArrayLike, ""] = -4.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy plus its reverse, in which the model's own distribution weighs the labels.

    The reverse −Σ_c p_c log t_c meets log 0 on every class but the label; A takes its place:

        l = α n − β A (1 − p_y),   n = −log p_y,   1 − p_y = 1 − e⁻ⁿ

    The second term is bounded, as `generalized_cross_entropy` at q = 1, and bears noise; the
    first keeps the learning fast. Prefer it to that one where the bounded loss alone learns too
    slowly. More classes want a larger α: the paper has α, β = 0.1, 1 for 10 classes and 6, 0.1
    for 100. Only β·A matters of β and A. α = 1, β = 0 is the cross-entropy.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      alpha: α ≥ 0, the weight of the cross-entropy, one number; may be traced.
      beta: β ≥ 0, the weight of the reverse, likewise.
      log_zero: A < 0, what stands for log 0, likewise. Code that clips labels at 10⁻⁴ has −9.21.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, an option is out of range or (eager calls) a label is
        outside [0, C). Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([0.25, 0.75]))
      >>> loss = symmetric_cross_entropy(logits, jnp.array(0))
      >>> print(f"{loss:.4f}")  # 0.1 · log 4 + 4 · 0.75 = 0.1386 + 3
      3.1386

    Reference:
      Y. Wang et al., Symmetric Cross Entropy for Robust Learning with Noisy Labels, 2019.

    See Also:
      `generalized_cross_entropy`, `bootstrapped_cross_entropy`.
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
    forward = inputs.unless_number(1, alpha, inputs.non_negative, "alpha")
    reverse = inputs.unless_number(0, beta, inputs.non_negative, "beta")
    log_zero = inputs.scalar(
        log_zero, "log_zero", "be negative and finite", lambda v: (v < 0) & (v > -jnp.inf)
    )
    return _symmetric_cross_entropy(examples, forward, reverse, log_zero, reduction=reduction)


@_compiled
def _symmetric_cross_entropy(examples: Labelled, alpha, beta, log_zero, *, reduction):
    nll = label_terms(examples.logits, examples.labels, examples.keep, -1).nll
    losses = nll if alpha is None else times(alpha.astype(nll.dtype), nll)
    if beta is not None:
        losses -= (beta * log_zero).astype(nll.dtype) * one_minus_exp(nll)
    return examples.reduce(losses, reduction)
