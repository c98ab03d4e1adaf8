"""Losses whose gradient is p − y for a p that is sparse: sparsemax and entmax.

A Fenchel-Young loss is the cross-entropy of another entropy. It is zero, with zero gradient, once
the label leads by a finite margin: learned examples stop pulling.
"""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
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


def entmax_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    alpha: Num[ArrayLike, ""] = 1.5,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""The Fenchel-Young loss of the Tsallis entropy: from cross-entropy to sparsemax.

    With Ω(p) = (Σ p^α − 1) / (α (α − 1)) and p = entmax(x, α) = argmax_p p·x − Ω(p):

        l = p·x − Ω(p) − x_y,    ∂l/∂x = p − y

    Prefer it where most classes should get exactly no probability (large vocabularies, attention,
    structured outputs), and where examples that are right by a margin of 1 / (α − 1) should pull
    no more. Not where calibrated small probabilities matter: it gives zeros, and their log
    score is infinite. α = 1 is the cross-entropy, α = 2 the sparsemax loss.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked, and as a label
        costs +inf.
      labels: integer class indices [*batch].
      alpha: α in [1, 2], one number; may be traced and differentiated. 1.5, 2 and other Python
        numbers with whole 1 / (α − 1) are the fastest.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats (in the units of Ω), float32 (float64 for float64 logits): [*batch] for "none", a scalar
      otherwise. The second derivative jumps where a class enters the support.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, α is outside [1, 2] or (eager calls) a label is outside
        [0, C). Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> even = jnp.zeros(4)  # p = ¼: Ω = (4 · ⅛ − 1) / ¾ = −⅔
      >>> print(f"{entmax_loss(even, jnp.array(0)):.4f}")
      0.6667
      >>> print(entmax_loss(jnp.array([2.0, 0.0]), jnp.array(0)))  # a margin of 1 / (α − 1)
      0.0

    Reference:
      B. Peters, V. Niculae, A. F. T. Martins, Sparse Sequence-to-Sequence Models, 2019;
      M. Blondel, A. F. T. Martins, V. Niculae, Learning with Fenchel-Young Losses, 2020.

    See Also:
      `entmax` for the probabilities; `bi_tempered_loss` for heavy tails.
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
    if inputs.is_number(alpha, 1):
        return _cross_entropy(examples, reduction=reduction)
    rate, power = entmax_rate(alpha)
    return _entmax_loss(examples, rate, power=power, reduction=reduction)


def sparsemax_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""The multi-class hinge that has probabilities: zero once the label leads by 1.

    With p = sparsemax(x), the Euclidean projection of x onto the probability simplex:

        l = ½ + p·x − ½ ‖p‖² − x_y = ½ ‖p − y‖² + Σ_j (y_j − p_j)(τ − x_j),    ∂l/∂x = p − y

    where τ is the threshold: p = (x − τ)₊. For two classes at margin m = x_y − x_j it is 0 for
    m ≥ 1, −m for m ≤ −1 and ¼ (1 − m)² between: the modified Huber loss.

    Prefer it to the cross-entropy where predicted sets of classes should be small and exact zeros
    are welcome; prefer `entmax_loss` with α = 1.5 where zeros should come later.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked, and as a label
        costs +inf.
      labels: integer class indices [*batch].
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats (in the units of ½ ‖p‖²), float32 (float64 for float64 logits): [*batch] for "none", a
      scalar otherwise. The second derivative jumps where a class enters the support.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit or (eager calls) a label is outside [0, C). Under jit such a
        label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> label = jnp.array(0)
      >>> loss = sparsemax_loss(jnp.array([0.5, 0.0]), label)
      >>> print(f"{loss:.4f}")  # ¼ (1 − ½)²
      0.0625
      >>> print(sparsemax_loss(jnp.array([0.0, 3.0]), label))  # wrong by 3
      3.0

    Reference:
      A. F. T. Martins, R. F. Astudillo, From Softmax to Sparsemax: A Sparse Model of Attention and
      Multi-Label Classification, 2016.

    See Also:
      `sparsemax` for the probabilities.
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
    rate, power = entmax_rate(2)
    return _entmax_loss(examples, rate, power=power, reduction=reduction)


def entmax_rate(alpha: ArrayLike) -> tuple[Array, int | None]:
    """β = α − 1, checked, and 1/β where it is whole and known."""
    in_range = lambda a: (a >= 1) & (a <= 2)  # noqa: E731
    checked = inputs.scalar(alpha, "alpha", "lie in [1, 2]", in_range)
    if not isinstance(alpha, int | float):
        return checked - 1, None
    # In Python numbers: in float32, 1.1 − 1 has lost three bits.
    return jnp.asarray(alpha - 1.0), whole_power(alpha - 1)


@partial(jax.jit, static_argnames="reduction", inline=True)
def _cross_entropy(examples: Labelled, *, reduction):
    nll = label_terms(examples.logits, examples.labels, examples.keep, -1).nll
    return examples.reduce(nll, reduction)


@partial(jax.jit, static_argnames=("power", "reduction"), inline=True)
def _entmax_loss(examples: Labelled, rate, *, power, reduction):
    v = below_top(examples.safe_logits())
    beta = rate.astype(v.dtype)
    threshold = log_normalizer(v, Rate(beta, power))
    losses = _fenchel_young(v, threshold, beta, examples.labels, power)
    return examples.reduce(losses * examples.nan_if_bad(), reduction)


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def _fenchel_young(v, threshold, beta, labels, power):
    exps = deformed_exp(v - threshold, Rate(beta, power))
    others = jnp.where(is_label(v, labels), 0, exps.shares)
    rest = jnp.sum(others, axis=-1)
    spread = jnp.sum(others * exps.bases, axis=-1)
    # For a label outside the support this gap, and not that of p_y = 0, makes the loss linear.
    gap = jnp.squeeze(threshold - pick_label(v, labels, -1), -1)
    return tsallis_divergence(rest, spread, gap, beta)


@partial(_fenchel_young.defjvp, symbolic_zeros=True)
def _fenchel_young_jvp(power, primals, tangents):
    v, threshold, beta, labels = primals
    # The loss is stationary in the threshold: its tangent counts for nothing.
    dv, _, dbeta, _ = tangents
    exps = deformed_exp(v - threshold, Rate(beta, power))
    derivative = jnp.zeros_like(jnp.squeeze(threshold, -1))
    if not isinstance(dv, SymbolicZero):
        here = is_label(v, labels)
        others = jnp.where(here, 0, exps.shares)
        slope = jnp.where(here, -jnp.sum(others, axis=-1, keepdims=True), others)
        derivative += jnp.sum(slope * dv, axis=-1)
    if not isinstance(dbeta, SymbolicZero):
        entropy_at = partial(_tsallis_entropy, exps.shares, exps.log_shares)
        derivative += jax.jvp(entropy_at, (beta,), (dbeta,))[1]
    return _fenchel_young(v, threshold, beta, labels, power), derivative


def _tsallis_entropy(shares, log_shares, beta):
    """−Ω(p) = −Σ p (p^β − 1) / (β (1 + β)): Shannon's at β = 0."""
    return -jnp.sum(shares * log_shares * expm1_ratio(beta * log_shares), axis=-1) / (1 + beta)
