"""Distillation between two heads over one vocabulary, neither side's logits held."""

from functools import partial

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.fused import arguments
from xentjax.fused.layout import explicit_layout
from xentjax.fused.operations import reduced
from xentjax.fused.plan import Plan
from xentjax.fused.rows import DivergenceRows
from xentjax.fused.spec import Head, Spec
from xentjax.losses import inputs
from xentjax.losses.reduction import check_reduction, example_mask


def linear_kl_divergence(
    student_hidden: Num[ArrayLike, "..."],
    student_weight: Num[ArrayLike, "..."],
    teacher_hidden: Num[ArrayLike, "..."],
    teacher_weight: Num[ArrayLike, "..."],
    *,
    temperature: Num[ArrayLike, ""] = 1.0,
    student_bias: Num[ArrayLike, "..."] | None = None,
    teacher_bias: Num[ArrayLike, "..."] | None = None,
    vocab_axis: int = -1,
    teacher_vocab_axis: int | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    student_soft_cap: Num[ArrayLike, ""] | None = None,
    teacher_soft_cap: Num[ArrayLike, ""] | None = None,
    reduction: str = "mean",
    tile: int | Plan | None = None,
) -> Float[Array, "..."]:
    r"""KL(softmax(teacher / T) ‖ softmax(student / T)) of two linear heads, without logits.

    `kl_divergence_with_logits(student_hidden · student_weight, teacher_hidden · teacher_weight)`.
    Differentiable in all four; wrap the teacher's in `jax.lax.stop_gradient`, or leave them out
    of `argnums`, and its two backward products disappear. No factor T² is applied.

    Args:
      student_hidden: floating [*batch, D].
      student_weight: floating [D, V]; or [V, D] with `vocab_axis=0`.
      teacher_hidden: floating [*batch, E]; the hidden sizes D and E may differ.
      teacher_weight: floating [E, V]; or [V, E] with `teacher_vocab_axis=0`.
      temperature: T > 0, may be traced.
      student_bias: floating [V] or None.
      teacher_bias: floating [V] or None.
      vocab_axis: the axis of `student_weight` that holds the vocabulary.
      teacher_vocab_axis: the same of `teacher_weight`; None for the student's.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      student_soft_cap: keeps the student's logits within ±cap, or None.
      teacher_soft_cap: the same for the teacher.
      reduction: "mean" (over examples; torch calls it "batchmean"), "sum" or "none".
      tile: rows in a tile; or a `plan(…)`, of whose rows two heads take half; None likewise.

    Returns:
      Nats ≥ 0, float32 (float64 when an operand is): a scalar, or [*batch] for "none".

    Raises:
      TypeError: an operand is not floating point, or `where` is not boolean.
      ValueError: shapes disagree, an option is out of range, or the reduction is unknown.

    Example:
      >>> import jax.numpy as jnp
      >>> one, student = jnp.ones((1, 1)), jnp.zeros((1, 2))
      >>> teacher = jnp.log(jnp.array([[3.0, 1.0]]))
      >>> print(f"{linear_kl_divergence(one, student, one, teacher):.4f}")  # log 2 − H(¾, ¼)
      0.1308

    Reference:
      G. Hinton, O. Vinyals, J. Dean, Distilling the Knowledge in a Neural Network, 2015.

    See Also:
      `kl_divergence_with_logits`, `distillation_loss`.
    """
    check_reduction(reduction)
    if teacher_vocab_axis is None:
        teacher_vocab_axis = vocab_axis
    student = arguments.head(student_hidden, student_weight, student_bias, vocab_axis, "student_")
    teacher = arguments.head(
        teacher_hidden, teacher_weight, teacher_bias, teacher_vocab_axis, "teacher_"
    )
    operands = student[0] | teacher[0]
    arguments.require_same_vocabulary(operands, student[1], teacher[1])
    hidden, weight = operands["student_hidden"], operands["student_weight"]
    classes = weight.shape[student[1]]
    operands |= arguments.options(
        temperature=(1, temperature, inputs.positive),
        student_soft_cap=(None, student_soft_cap, inputs.positive),
        teacher_soft_cap=(None, teacher_soft_cap, inputs.positive),
    )
    layout = explicit_layout(hidden, weight, student[1])
    if layout is not None and layout.vocab_axis_name is not None:
        raise ValueError(
            "linear_kl_divergence needs the whole vocabulary on every device: student_weight is "
            f"{jax.typeof(weight)}; jax.reshard it, or share the examples instead"
        )
    tiling = arguments.tiling(tile, hidden, classes, weight, heads=2, layout=layout)
    heads = tuple(
        Head(axis, owner + "hidden", owner + "weight")
        for owner, (_, axis) in (("student_", student), ("teacher_", teacher))
    )
    return _kl_divergence(
        operands,
        example_mask(where, hidden.shape[:-1]),
        inputs.as_array(weights),
        spec=Spec(DivergenceRows(), heads, tiling.tile, tiling.block),
        reduction=reduction,
        layout=layout,
    )


@partial(jax.jit, static_argnames=("spec", "reduction", "layout"), inline=True)
def _kl_divergence(operands, keep, weights, *, spec, reduction, layout):
    return reduced(spec, operands, None, keep, weights, reduction, layout)
