"""Cross-entropy from hidden states and head weight: the logits are never held.

The loss of language models. A vocabulary of 128,256 and 4,096 tokens make logits of 2 GB, and
their gradient 2 GB more; here a tile of them exists at a time. Exact as
`softmax_cross_entropy`, in every transform, with the gradient found in the forward pass.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.fused import arguments
from xentjax.fused.operations import flat, label_weights, row_values, weighted_total
from xentjax.fused.plan import Plan
from xentjax.fused.products import sum_dtype
from xentjax.fused.rows import CrossEntropyRows
from xentjax.fused.tiles import Head, Spec
from xentjax.losses import inputs
from xentjax.losses.reduction import (
    check_reduction,
    example_shares,
    example_weights,
    reduce_with_mass,
)


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
    the backward pass computes each tile again: 8·N·D·V. Prefer it to dense logits whenever they
    would be large; small ones make a single tile, and cost the same.

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
        `class_weights` hold parts of the vocabulary, in order. Labels stay global indices.
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
    check_reduction(reduction)
    operands, axis = arguments.head(hidden, weight, bias, vocab_axis)
    hidden, weight = operands["hidden"], operands["weight"]
    part = weight.shape[axis]
    classes = arguments.vocabulary(part, vocab_axis_name, vocab_size)
    ignore_index = inputs.as_index(ignore_index, "ignore_index")
    keep = arguments.mask(where, hidden.shape[:-1])
    labels = arguments.index_labels(labels, hidden, classes, keep, ignore_index)
    operands |= arguments.class_weights(class_weights, part)
    operands |= arguments.options(
        label_smoothing=(0, label_smoothing, inputs.fraction),
        z_loss=(0, z_loss, inputs.non_negative),
        soft_cap=(None, soft_cap, inputs.positive),
        logit_scale=(1, logit_scale, arguments.finite),
    )
    tiling = arguments.tiling(tile, hidden, part, weight)
    return _linear_cross_entropy(
        operands,
        labels,
        keep,
        inputs.as_array(weights),
        spec=Spec(
            CrossEntropyRows(classes), (Head(axis),), tiling.tile, tiling.block, vocab_axis_name
        ),
        ignore_index=ignore_index,
        reduction=reduction,
    )


@partial(jax.jit, static_argnames=("spec", "ignore_index", "reduction"), inline=True)
def _linear_cross_entropy(operands, labels, keep, weights, *, spec, ignore_index, reduction):
    batch = labels.shape
    labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
    like = jnp.zeros(batch, sum_dtype(*operands.values()))
    weights = example_weights(weights, like)
    if reduction == "none":
        operands, examples = flat(spec, operands, labels, keep)
        losses = row_values(spec, operands, examples).reshape(batch)
        return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)
    mass = None
    if reduction == "mean" and "class_weights" in operands:
        mass = label_weights(spec, operands["class_weights"].astype(like.dtype), labels)
    shares = example_shares(keep, weights, mass, like, reduction)
    operands, examples, shares = flat(spec, operands, labels, keep, shares)
    return weighted_total(spec, shares, operands, examples)
