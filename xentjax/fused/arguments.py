"""What the fused losses accept, said once: heads, labels, options and tiles.

Known bad values raise here, before anything is compiled; traced ones become NaN, in the value
and in the gradient, as everywhere in `xentjax.losses`.
"""

import math
import operator
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array

from xentjax.fused import mesh_axis
from xentjax.fused.layout import Layout
from xentjax.fused.plan import Plan, plan, planned, usual_block
from xentjax.losses import inputs
from xentjax.losses.reduction import real_array


def head(
    hidden: ArrayLike, weight: ArrayLike, bias: ArrayLike | None, vocab_axis: Any, owner: str = ""
) -> tuple[dict[str, Array], int]:
    """The operands of one head by name, and its vocabulary axis, 0 or 1.

    Args:
      hidden: floating [*batch, D].
      weight: floating [D, V], or [V, D] with vocab_axis 0.
      bias: floating [V] or None.
      vocab_axis: 0, 1, -1 or -2.
      owner: what the names begin with, such as "teacher_".
    """
    hidden_name, weight_name, bias_name = (owner + name for name in ("hidden", "weight", "bias"))
    hidden = _floating(hidden, hidden_name, "hidden states")
    weight = _floating(weight, weight_name, "a head's matrix")
    axis = _vocab_axis(vocab_axis, owner)
    if weight.ndim != 2 or hidden.ndim < 1:
        raise ValueError(
            f"{weight_name} must be a matrix and {hidden_name} [*batch, D]: got shapes "
            f"{weight.shape} and {hidden.shape}"
        )
    if hidden.shape[-1] != weight.shape[1 - axis]:
        raise ValueError(_disagreement(hidden, weight, axis, owner))
    if 0 in weight.shape:
        raise ValueError(
            f"{weight_name} needs at least one class and one hidden unit: got shape {weight.shape}"
        )
    operands = {hidden_name: hidden, weight_name: weight}
    if bias is not None:
        bias = _floating(bias, bias_name, "one number for each class")
        operands[bias_name] = _per_class(bias, weight.shape[axis], bias_name)
    return operands, axis


def _floating(x: ArrayLike, name: str, what: str) -> Array:
    x = real_array(x, name)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"{name} ({what}) must be floating point, got {x.dtype}; convert with "
            f"jnp.asarray({name}, jnp.float32)"
        )
    if x.dtype.itemsize < 2:
        raise TypeError(
            f"{name} is {x.dtype}, whose scale is not part of the array: multiply it out first, "
            f"{name}.astype(jnp.bfloat16) * scale"
        )
    return x


def _vocab_axis(vocab_axis: Any, owner: str) -> int:
    try:
        axis = None if isinstance(vocab_axis, bool) else operator.index(vocab_axis)
    except TypeError:
        axis = None
    if axis not in (0, 1, -1, -2):
        raise ValueError(
            f"{owner}vocab_axis must be -1 (weight [D, V]) or 0 (weight [V, D]), got {vocab_axis!r}"
        )
    return axis % 2


def _disagreement(hidden, weight, axis, owner) -> str:
    hidden_name, weight_name = owner + "hidden", owner + "weight"
    layout = "[D, V]" if axis == 1 else "[V, D]"
    text = (
        f"{hidden_name} and {weight_name} must share the hidden size D: got {hidden_name} of shape "
        f"{hidden.shape} and {weight_name} {layout} of shape {weight.shape}"
    )
    if hidden.shape[-1] == weight.shape[axis]:
        other = 0 if axis == 1 else -1
        text += f"; for a {weight_name} stored the other way pass {owner}vocab_axis={other}"
    return text


def _per_class(x: ArrayLike, classes: int, name: str) -> Array:
    x = real_array(x, name)
    if x.shape != (classes,):
        raise ValueError(
            f"{name} must hold one number per class: got shape {x.shape}, wanted ({classes},)"
        )
    return x


def vocabulary(weight: Array, axis: int, axis_name: str | None, vocab_size: int | None) -> int:
    """The classes of the whole vocabulary, of which this device's weight may hold a part."""
    part = weight.shape[axis]
    given = inputs.as_index(vocab_size, "vocab_size")
    if axis_name is None:
        if given not in (None, part):
            raise ValueError(
                f"vocab_size={given} goes with vocab_axis_name= (a vocabulary in parts); without "
                f"it the head has {part} classes"
            )
        return part
    try:
        held = part * lax.axis_size(axis_name)
    except NameError:
        raise ValueError(
            f"vocab_axis_name={axis_name!r} is no mesh axis here: call inside jax.shard_map over a "
            "mesh with that axis, or use sharded_linear_cross_entropy"
        ) from None
    if mesh_axis.is_typed(axis_name) and axis_name not in mesh_axis.varying(weight):
        raise ValueError(
            f"weight is the same on every device of {axis_name!r}, where each should hold its part "
            f"of the vocabulary: shard it in in_specs, or leave out vocab_axis_name"
        )
    if given is not None and not 0 < given <= held:
        raise ValueError(f"vocab_size must lie in [1, {held}], got {given}")
    return held if given is None else given


def require_same_vocabulary(
    operands: dict[str, Array], student_axis: int, teacher_axis: int
) -> None:
    """Raises ValueError unless both heads have as many classes, and as many examples."""
    student, teacher = operands["student_weight"], operands["teacher_weight"]
    if student.shape[student_axis] != teacher.shape[teacher_axis]:
        raise ValueError(
            f"both heads need one vocabulary: got {student.shape[student_axis]} classes in "
            f"student_weight {student.shape} and {teacher.shape[teacher_axis]} in teacher_weight "
            f"{teacher.shape}"
        )
    student, teacher = operands["student_hidden"], operands["teacher_hidden"]
    if student.shape[:-1] != teacher.shape[:-1]:
        raise ValueError(
            "both hidden states need the same batch dimensions: got student_hidden of shape "
            f"{student.shape} and teacher_hidden of shape {teacher.shape}"
        )


def class_weights(value: ArrayLike | None, classes: int) -> dict[str, Array]:
    """Non-negative [V] by name, or nothing."""
    if value is None:
        return {}
    inputs.require_non_negative(value, "class_weights")
    return {"class_weights": _per_class(value, classes, "class_weights")}


def options(**given: tuple[int | None, ArrayLike | None, Callable]) -> dict[str, Array]:
    """Scalar options by name, without those at the number where they do nothing.

    Each is given as (idle number or None, value, check).
    """
    found = {}
    for name, (idle, value, check) in given.items():
        if value is None or (idle is not None and inputs.is_number(value, idle)):
            continue
        found[name] = check(value, name)
    return found


def finite(value: ArrayLike, name: str) -> Array:
    """An option that may be any finite number."""
    return inputs.scalar(value, name, "be finite", lambda v: abs(v) < jnp.inf)


def index_labels(
    labels: ArrayLike,
    hidden: Array,
    classes: int,
    keep: Array | None,
    ignore_index: int | None,
) -> Array:
    """Integer labels, one for each example, those that count known to be in [0, V)."""
    found = inputs.label_array(labels)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integer indices, got {found.dtype}; distributions over the "
            "vocabulary are as large as the logits: softmax_cross_entropy takes them"
        )
    beside = f"hidden of shape {hidden.shape}"
    inputs.require_indices(labels, hidden.shape[:-1], classes, keep, ignore_index, beside)
    return found


def tiling(
    tile: int | Plan | None,
    hidden: Array,
    classes: int,
    weight: Array,
    *,
    heads: int = 1,
    layout: Layout | None = None,
) -> Plan:
    """The plan asked for, or the usual one; with two heads a tile has half as many rows.

    Over a mesh it is the plan of one device.
    """
    n, d = math.prod(hidden.shape[:-1]), hidden.shape[-1]
    if layout is not None:
        n = -(-n // layout.devices(*layout.data_axes))
        classes = -(-classes // layout.devices(layout.vocab_axis_name))
    dtype = jnp.result_type(hidden, weight)
    if tile is None:
        tile = plan(n, d, classes, dtype)
    if isinstance(tile, Plan):
        rows = max(1, tile.tile // heads)
        return planned(n, d, classes, dtype, rows, tile.block)
    try:
        rows = operator.index(tile)
    except TypeError:
        rows = None
    if rows is None or isinstance(tile, bool):
        raise TypeError(f"tile must be a number of rows or a plan(...), got {tile!r}")
    if rows < 1:
        raise ValueError(f"tile must be at least 1 row, got {rows}")
    return planned(n, d, classes, dtype, rows, usual_block())
