"""Poly loss: cross-entropy with the leading term of its expansion in 1 − p reweighed."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.class_targets import cross_entropy, read_class_targets
from xentjax.losses.complement import softmax_complement
from xentjax.losses.examples import Labelled, Rows
from xentjax.losses.exponentials import one_minus_exp


def poly_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    epsilon: Num[ArrayLike, ""] = 2.0,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy plus ε (1 − p_y): the first of its Taylor terms made heavier.

    −log p = (1 − p) + (1 − p)² / 2 + (1 − p)³ / 3 + …; Poly-1 gives the first term the
    coefficient 1 + ε. For a label y, or a distribution t over classes:

        l = −log p_y + ε (1 − p_y)   or   Σ_c t_c [−log p_c + ε (1 − p_c)]

    Prefer it as a one-number tuning of the cross-entropy: ε > 0 pushes sure predictions further
    (the paper: 2 on ImageNet), −1 ≤ ε < 0 lets go of them as focal loss does (−1 in detection).
    Below −1 the loss rewards doubt. ε = 0 is the cross-entropy.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch], or floating distributions of the shape of `logits`
        (non-negative; a sum other than 1 scales the loss).
      epsilon: ε, one finite number; may be traced.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: integer labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are boolean, `where` not boolean.
      ValueError: shapes do not fit, ε is not finite or (eager calls) a label is outside [0, C)
        or negative mass. Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([7.0, 3.0]))  # softmax gives 0.7 and 0.3
      >>> print(f"{poly_loss(logits, jnp.array(0)):.4f}")  # −log 0.7 + 2 · 0.3
      0.9567
      >>> print(f"{poly_loss(logits, jnp.array([0.5, 0.5])):.4f}")  # 0.7803 + 2 · (0.3 + 0.7) / 2
      1.7803

    Reference:
      Z. Leng et al., PolyLoss: A Polynomial Expansion Perspective of Classification Loss
      Functions, 2022.

    See Also:
      `focal_loss`, which multiplies where this adds.
    """
    examples = read_class_targets(
        logits,
        labels,
        axis=axis,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    extra = inputs.unless_number(0, epsilon, _finite, "epsilon")
    return _poly_loss(examples, extra, reduction=reduction)


@partial(jax.jit, static_argnames="reduction", inline=True)
def _poly_loss(examples: Labelled | Rows, epsilon, *, reduction):
    losses = cross_entropy(examples)
    if epsilon is not None:
        losses += epsilon.astype(losses.dtype) * _miss(examples, losses)
    return examples.reduce(losses, reduction)


def _miss(examples, nll):
    """1 − p_y = −expm1(log p_y), or Σ t (1 − p)."""
    if isinstance(examples, Labelled):
        return one_minus_exp(nll)
    return _missed(*examples.safe())


@jax.custom_jvp
def _missed(logits, targets):
    """Σ_c t_c (1 − p_c) over the last axis."""
    return jnp.sum(targets * softmax_complement(logits)[1], axis=-1)


@partial(_missed.defjvp, symbolic_zeros=True)
def _missed_jvp(primals, tangents):
    (logits, targets), (dlogits, dtargets) = primals, tangents
    missed = _missed(logits, targets)
    p, complement = softmax_complement(logits)
    derivative = jnp.zeros_like(missed)
    if not isinstance(dlogits, SymbolicZero):
        # −p (t − Σ t p) with Σ t p = T − missed, so that a sure hit, t = T, leaves what is missed.
        beside = jnp.sum(targets, axis=-1, keepdims=True) - targets
        derivative += jnp.sum(p * (beside - missed[..., None]) * dlogits, axis=-1)
    if not isinstance(dtargets, SymbolicZero):
        derivative += jnp.sum(complement * dtargets, axis=-1)
    return missed, derivative


def _finite(value: ArrayLike, name: str) -> Array:
    return inputs.scalar(value, name, "be finite", lambda v: abs(v) < float("inf"))
