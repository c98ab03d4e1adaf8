"""Angular margins: softmax cross-entropy of cosines, with a handicap for the label's own.

Embeddings and class vectors are compared by direction alone, and the label must win by a margin.
What is learned are embeddings to compare later by cosine, for classes that were never seen.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.embeddings import unit
from xentjax.losses.log_partition import label_terms, pick_label
from xentjax.losses.projected import Projected, read_projected

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


def cosface_loss(
    embeddings: Num[ArrayLike, "..."],
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    scale: Num[ArrayLike, ""] = 64.0,
    margin: Num[ArrayLike, ""] = 0.35,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy of scaled cosines, the label's lowered by a margin.

    With θ_j the angle between the embedding and column j of the weight:

        logits_j = s · (cos θ_j − m · [j = y])
        l = −log softmax(logits)_y

    Prefer it to cross-entropy for verification and retrieval (faces, speakers), where embeddings
    of new classes will be compared by cosine; with a fixed set of classes plain cross-entropy
    does. Its gradient is smooth at every angle, and so it is easier to train than
    `arcface_loss`. m = 0 is the cross-entropy of the scaled cosines.

    A zero vector has cosine 0 with every other; its gradient is taken as if its length were 1,
    so that it can leave 0.

    Args:
      embeddings: real [*batch, D], any float dtype; normalized inside.
      weight: real [D, C], one column a class, as in `linear_cross_entropy`; normalized inside.
        The product with it has JAX's default precision (`jax.default_matmul_precision`).
      labels: integer class indices [*batch].
      scale: s > 0, one number; may be traced. Cosines span only [−1, 1]: the loss cannot go
        below log(1 + (C − 1) e^(s (m − 2))), so s must grow with log C; the papers take 64 or 30.
      margin: m ≥ 0, in units of the cosine; may be traced.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 when embeddings or weight are): [*batch] for "none", a scalar
      otherwise.

    Raises:
      TypeError: embeddings or weight are not floating point, labels are not integers, `where`
        is not boolean.
      ValueError: shapes do not fit, an option is out of range, or (eager calls) a label is
        outside [0, C). Under jit such a label gives NaN, in the value and in the gradients.

    Example:
      >>> import jax.numpy as jnp
      >>> embeddings, weight = jnp.array([5.0, 0.0]), jnp.eye(2)  # cosines 1 and 0
      >>> loss = cosface_loss(embeddings, weight, jnp.array(0), scale=1.0, margin=1.0)
      >>> print(f"{loss:.4f}")  # logits 1 − 1 and 0: log 2
      0.6931

    Reference:
      H. Wang et al., CosFace: Large Margin Cosine Loss for Deep Face Recognition, 2018.

    See Also:
      `arcface_loss` for a margin of the angle itself.
    """
    examples = read_projected(
        weight,
        labels,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
        embeddings=embeddings,
    )
    return _cosface_loss(
        examples,
        inputs.positive(scale, "scale"),
        inputs.non_negative(margin, "margin"),
        reduction=reduction,
    )


@_compiled
def _cosface_loss(examples: Projected, scale, margin, *, reduction):
    cosines, _, _ = _cosines(examples)
    own = pick_label(cosines, examples.labels, -1) - margin.astype(cosines.dtype)
    return _cross_entropy(examples, cosines, own, scale, reduction)


def arcface_loss(
    embeddings: Num[ArrayLike, "..."],
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    scale: Num[ArrayLike, ""] = 64.0,
    margin: Num[ArrayLike, ""] = 0.5,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy of scaled cosines, the label's angle widened by a margin.

    With θ_j the angle between the embedding and column j of the weight:

        logits_j = s · cos θ_j              for j ≠ y
        logits_y = s · cos(θ_y + m)         while θ_y + m ≤ π
        logits_y = s · (cos θ_y − m sin m)  beyond, so that it keeps falling with θ_y
        l = −log softmax(logits)_y

    Prefer it to `cosface_loss` where embeddings will be compared by angle: its margin is the
    same number of radians at every angle. m = 0 is the cross-entropy of the scaled cosines.

    The logit drops by s · (cos m + m sin m − 1) where θ_y + m passes π, as in the paper's code.
    At θ_y = 0 the loss is the tip of a cone and has no derivative; the slope given there is finite,
    because sin θ_y is found as the length of a difference of vectors: √(1 − cos²) has none.
    A zero vector is at a right angle to every other; its gradient is taken as if its length
    were 1, so that it can leave 0.

    Args:
      embeddings: real [*batch, D], any float dtype; normalized inside.
      weight: real [D, C], one column a class, as in `linear_cross_entropy`; normalized inside.
        The product with it has JAX's default precision (`jax.default_matmul_precision`).
      labels: integer class indices [*batch].
      scale: s > 0, one number; may be traced.
      margin: m in [0, π/2], in radians (0.5 is 28.6 degrees); may be traced.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 when embeddings or weight are): [*batch] for "none", a scalar
      otherwise.

    Raises:
      TypeError: embeddings or weight are not floating point, labels are not integers, `where`
        is not boolean.
      ValueError: shapes do not fit, an option is out of range, or (eager calls) a label is
        outside [0, C). Under jit such a label gives NaN, in the value and in the gradients.

    Example:
      >>> import jax.numpy as jnp
      >>> embeddings, weight = jnp.array([5.0, 0.0]), jnp.eye(2)  # angles 0 and π/2
      >>> loss = arcface_loss(embeddings, weight, jnp.array(0), scale=1.0, margin=jnp.pi / 2)
      >>> print(f"{loss:.4f}")  # logits cos(0 + π/2) = 0 and 0: log 2
      0.6931

    Reference:
      J. Deng et al., ArcFace: Additive Angular Margin Loss for Deep Face Recognition, 2019.

    See Also:
      `cosface_loss`, smoother and cheaper.
    """
    examples = read_projected(
        weight,
        labels,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
        embeddings=embeddings,
    )
    # Up to π/2 the continuation lies below cos(θ + m): cos m + m sin m ≥ 1.
    angle = inputs.scalar(
        margin, "margin", "lie in [0, π/2] radians", lambda m: (m >= 0) & (m <= math.pi / 2)
    )
    return _arcface_loss(examples, inputs.positive(scale, "scale"), angle, reduction=reduction)


@_compiled
def _arcface_loss(examples: Projected, scale, margin, *, reduction):
    cosines, units, unit_weight = _cosines(examples)
    margin = margin.astype(cosines.dtype)
    own = pick_label(cosines, examples.labels, -1)
    columns = jnp.take(unit_weight, examples.labels, axis=1, mode="clip")
    sine = _length(units - own * jnp.moveaxis(columns, 0, -1))
    # Only the zero vector is no longer than 0: at a right angle by convention.
    sine = jnp.where(jnp.any(units != 0, axis=-1, keepdims=True), sine, 1)
    widened = own * jnp.cos(margin) - sine * jnp.sin(margin)
    beyond = own - margin * jnp.sin(margin)
    own = jnp.where(own >= -jnp.cos(margin), widened, beyond)
    return _cross_entropy(examples, cosines, own, scale, reduction)


def _cosines(examples: Projected) -> tuple[Array, Array, Array]:
    """Cosines [*batch, C], and the unit rows and columns they are products of."""
    rows = examples.safe_rows()
    units, unit_weight = unit(rows, -1), unit(examples.weight.astype(rows.dtype), 0)
    return jnp.matmul(units, unit_weight), units, unit_weight


def _cross_entropy(examples: Projected, cosines, own, scale, reduction) -> Array:
    """Of scaled cosines, with `own` [*batch, 1] in the place of each label's."""
    index = lax.broadcasted_iota(jnp.int32, cosines.shape, cosines.ndim - 1)
    cosines = jnp.where(index == examples.labels[..., None], own, cosines)
    logits = scale.astype(cosines.dtype) * cosines
    terms = label_terms(logits, examples.labels, examples.keep, -1)
    return examples.reduce(terms.nll, reduction)


def _length(x: Array) -> Array:
    """‖x‖ with slope 0 at 0; the axis is kept."""
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    return jnp.where(square == 0, 0, jnp.sqrt(jnp.where(square == 0, 1, square)))
