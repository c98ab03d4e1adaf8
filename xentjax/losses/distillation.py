"""Knowledge distillation: learn from a teacher's whole distribution and from the labels."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.divergence import kl_divergence_with_logits
from xentjax.losses.reduction import reduce_with_mass, times
from xentjax.losses.softmax import softmax_cross_entropy


def distillation_loss(
    student_logits: Num[ArrayLike, "..."],
    teacher_logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    temperature: Num[ArrayLike, ""],
    alpha: Num[ArrayLike, ""],
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""A blend of the teacher's softened distribution and the labels.

        l = α T² KL(softmax(teacher / T) ‖ softmax(student / T)) + (1 − α) CE(student, labels)

    T² keeps the size of the first gradient independent of T. The teacher is differentiated as
    any argument is; wrap it in `jax.lax.stop_gradient` if it shares parameters with the student.

    Args:
      student_logits: real [*batch, C].
      teacher_logits: real, the shape of `student_logits`.
      labels: integer [*batch] or distributions [*batch, C], as in `softmax_cross_entropy`.
      temperature: T > 0, may be traced; 2 to 5 is usual.
      alpha: the teacher's share, in [0, 1], may be traced.
      axis: the class axis.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, at least float32.

    Raises:
      TypeError: logits are not floating point, or `where` is not boolean.
      ValueError: shapes do not fit, T is not positive, α lies outside [0, 1], a label is bad.

    Example:
      >>> import jax.numpy as jnp
      >>> student, teacher = jnp.log(jnp.array([[1.0, 1.0]])), jnp.log(jnp.array([[4.0, 1.0]]))
      >>> loss = distillation_loss(student, teacher, jnp.array([0]), temperature=1.0, alpha=0.5)
      >>> print(f"{loss[0]:.4f}")  # ½ (0.8 log 1.6 + 0.2 log 0.4) + ½ log 2
      0.4429

    Reference:
      G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.

    See Also:
      `kl_divergence_with_logits`, `softmax_cross_entropy`.
    """
    soft = kl_divergence_with_logits(
        student_logits, teacher_logits, temperature=temperature, axis=axis, where=where
    )
    hard = softmax_cross_entropy(student_logits, labels, axis=axis, where=where)
    alpha = inputs.fraction(alpha, "alpha").astype(soft.dtype)
    temperature = jnp.asarray(temperature).astype(soft.dtype)
    losses = times(alpha, temperature**2 * soft) + times(1 - alpha, hard)
    return reduce_with_mass(losses, where=where, weights=weights, reduction=reduction)
