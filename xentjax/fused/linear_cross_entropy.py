"""Cross-entropy from hidden states and head weight: the logits are never held.

The loss of language models. A vocabulary of 128,256 and 4,096 tokens make logits of 2 GB, and
their gradient 2 GB more; here a tile of them exists at a time. Exact as
`softmax_cross_entropy`, in every transform, with the gradient found in the forward pass.
"""

from functools import partial

import jax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.fused import arguments
from xentjax.fused.layout import explicit_layout
from xentjax.fused.operations import reduced
from xentjax.fused.plan import Plan
from xentjax.fused.rows import CrossEntropyRows
from xentjax.fused.spec import Head, Spec
from xentjax.losses import inputs
from xentjax.losses.reduction import check_reduction, example_mask


def linear_cross_entropy(
    hidden: Num[ArrayLike, "..."],
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    bias: Num[ArrayLike, "..."] | None = None,
    vocab_axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    class_weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    label_smoothing: Num[ArrayLike, ""] = 0.0,
    z_loss: Num[ArrayLike, ""] = 0.0,
    soft_cap: Num[ArrayLike, ""] | None = None,
    logit_scale: Num[ArrayLike, ""] = 1.0,
    reduction: str = "mean",
    tile: int | Plan | None = None,
    vocab_axis_name: str | None = None,
    vocab_size: int | None = None,
) -> Float[Array, "..."]:
    r"""Cross-entropy of softmax(hidden · weight) on integer labels, without the logits.

    `softmax_cross_entropy(logits, labels, …)` for

        logits = cap · tanh(s · (hidden · weight + bias) / cap)

    with at most a tile of them in memory. For "mean" and "sum" the gradient is found in the
    forward pass: three matrix products, 6·N·D·V FLOP, for value and both gradients. For "none"
    the backward pass computes each tile again: 8·N·D·V. Where one tile holds all rows (`tile=N`,
    or `plan(…, memory_budget=…, per_token=True)`) it is kept instead: 6·N·D·V again. Prefer this
    to dense logits whenever they would be large; with a small vocabulary all rows make a single
    tile, the dense loss itself.
    Products have JAX's default precision (`jax.default_matmul_precision`), forward and backward.

    Args:
      hidden: floating [*batch, D], any leading dimensions; N examples in all.
      weight: floating [D, V]; or [V, D] with `vocab_axis=0`, such as a tied embedding, which is
        read as it lies.
      labels: integer class indices [*batch], of any integer dtype.
      bias: floating [V], added to the scores. A class at −inf is masked.
      vocab_axis: the axis of `weight` that holds the vocabulary: −1 (or 1) or 0.
      where: boolean, broadcastable to [*batch]; False leaves an example out, whatever it holds.
      weights: real, broadcastable to [*batch], multiplies the loss of each example.
      class_weights: real [V], non-negative. A mean divides by the weights of the labels.
      ignore_index: labels equal to it are left out.
      label_smoothing: α in [0, 1]; may be traced (out of range it then gives NaN).
      z_loss: ζ ≥ 0, likewise: adds ζ · lse².
      soft_cap: cap > 0, likewise, or None: keeps logits within ±cap.
      logit_scale: s, a finite number, likewise: an inverse temperature.
      reduction: "mean", "sum" or "none".
      tile: rows in a tile, or a `plan(…)`; None takes what `plan` says for these shapes.
      vocab_axis_name: inside `jax.shard_map`, the mesh axis over which `weight`, `bias` and
        `class_weights` hold parts of the vocabulary, in order. Labels stay global indices. A mean
        there is over the examples of one device: take "sum" and add up over the data's axes. With
        check_vma=False differentiate the mapped function, never inside it: a gradient taken
        inside has d weight too large by the size of the axis, as any sum over devices has there.
      vocab_size: V with `vocab_axis_name`, if the last parts are padded; columns past it count
        nothing.

    Returns:
      Nats, float32 (float64 when an operand is): a scalar, or [*batch] for "none". Gradients
      have the dtypes of their operands and are summed in float32.

    Raises:
      TypeError: hidden, weight or bias is not floating point, labels are not integers, `where`
        is not boolean.
      ValueError: shapes disagree, an option is out of range, or (eager calls with concrete
        labels) a label is outside [0, V) and not ignored. Under jit such a label gives NaN, in
        the value and in the gradients.

    Example:
      >>> import jax.numpy as jnp
      >>> hidden, weight = jnp.array([[1.0, 0.0]]), jnp.log(jnp.array([[7.0, 3.0], [1.0, 1.0]]))
      >>> print(f"{linear_cross_entropy(hidden, weight, jnp.array([0])):.4f}")  # −log 0.7
      0.3567

    Reference:
      E. Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024. P.-L. Hsu et
      al., Liger Kernel: Efficient Triton Kernels for LLM Training, 2024 (gradient in the
      forward pass). Soft cap: Gemma Team, Gemma 2: Improving Open Language Models at a Practical
      Size, 2024.

    See Also:
      `linear_log_probs` for per-token log-probabilities and entropies, `plan` for tiles and
      memory, `softmax_cross_entropy` for logits that exist already.
    """
    return checked_cross_entropy(
        hidden,
        weight,
        labels,
        bias=bias,
        vocab_axis=vocab_axis,
        where=where,
        weights=weights,
        class_weights=class_weights,
        ignore_index=ignore_index,
        options={
            "label_smoothing": label_smoothing,
            "z_loss": z_loss,
            "soft_cap": soft_cap,
            "logit_scale": logit_scale,
        },
        reduction=reduction,
        tile=tile,
        part_of=(vocab_axis_name, vocab_size),
        layout=None,
    )


def checked_cross_entropy(
    hidden,
    weight,
    labels,
    *,
    bias,
    vocab_axis,
    where,
    weights,
    class_weights,
    ignore_index,
    options,
    reduction,
    tile,
    part_of,
    layout,
) -> Array:
    """The loss with all arguments looked at, on one device, inside shard_map or over a mesh."""
    check_reduction(reduction)
    operands, axis = arguments.head(hidden, weight, bias, vocab_axis)
    hidden, weight = operands["hidden"], operands["weight"]
    vocab_axis_name, vocab_size = part_of
    classes = arguments.vocabulary(weight, axis, vocab_axis_name, vocab_size)
    ignore_index = inputs.ignored_label(ignore_index)
    keep = example_mask(where, hidden.shape[:-1])
    labels = arguments.index_labels(labels, hidden, classes, keep, ignore_index)
    operands |= arguments.class_weights(class_weights, weight.shape[axis])
    operands |= arguments.options(
        label_smoothing=(0, options["label_smoothing"], inputs.fraction),
        z_loss=(0, options["z_loss"], inputs.non_negative),
        soft_cap=(None, options["soft_cap"], inputs.positive),
        logit_scale=(1, options["logit_scale"], arguments.finite),
    )
    if layout is None and vocab_axis_name is None:
        layout = explicit_layout(hidden, weight, axis)
    if layout is not None:
        vocab_axis_name = layout.vocab_axis_name
    tiling = arguments.tiling(tile, hidden, weight.shape[axis], weight, layout=layout)
    rows = CrossEntropyRows(classes)
    return _cross_entropy(
        operands,
        labels,
        keep,
        inputs.as_array(weights),
        spec=Spec(rows, (Head(axis),), tiling.tile, tiling.block, vocab_axis_name),
        ignore_index=ignore_index,
        reduction=reduction,
        layout=layout,
    )


# Compiled as one: an eager call, and an eager gradient, is one program.
@partial(jax.jit, static_argnames=("spec", "ignore_index", "reduction", "layout"), inline=True)
def _cross_entropy(operands, labels, keep, weights, *, spec, ignore_index, reduction, layout):
    labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
    return reduced(spec, operands, labels, keep, weights, reduction, layout)
