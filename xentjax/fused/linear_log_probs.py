"""Per-token log-probabilities and entropies from hidden states: what policy losses are made of.

DPO, PPO, GRPO and their kin need log π(token) of long sequences, often the entropy too, and
gradients through both with cotangents of their own. Here they come from one pass over tiles.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Num, Shaped

from xentjax.fused import arguments
from xentjax.fused.layout import explicit_layout
from xentjax.fused.operations import rows
from xentjax.fused.plan import Plan
from xentjax.fused.rows import LogProbRows
from xentjax.fused.spec import Head, Spec
from xentjax.losses import inputs
from xentjax.losses.reduction import example_mask


class LinearLogProbs(NamedTuple):
    """What the head says of each token, [*batch]; 0 and False where a token is left out.

    Attributes:
      log_prob: log softmax(logits)[label], nats ≤ 0.
      logsumexp: log Σ exp(logits), nats.
      entropy: −Σ p log p, nats in [0, log V].
      prediction: index of the largest logit, int32; the first of equal ones. No derivative.
      correct: whether the prediction is the label. No derivative.
    """

    log_prob: Float[Array, "..."]
    logsumexp: Float[Array, "..."]
    entropy: Float[Array, "..."]
    prediction: Int[Array, "..."]
    correct: Bool[Array, "..."]


def linear_log_probs(
    hidden: Num[ArrayLike, "..."],
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    bias: Num[ArrayLike, "..."] | None = None,
    vocab_axis: int = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    soft_cap: Num[ArrayLike, ""] | None = None,
    logit_scale: Num[ArrayLike, ""] = 1.0,
    tile: int | Plan | None = None,
    vocab_axis_name: str | None = None,
    vocab_size: int | None = None,
) -> LinearLogProbs:
    r"""log softmax(hidden · weight) at the labels, with log-partition, entropy and prediction.

    All of one row from one tile; log_prob, logsumexp and entropy are differentiable together,
    with any cotangents, in every transform. The backward pass computes each tile again
    (8·N·D·V FLOP in all; 6·N·D·V with `tile=N`, where one tile holds all rows). For a plain sum or
    mean `linear_cross_entropy` needs 6·N·D·V.

    Args:
      hidden: floating [*batch, D].
      weight: floating [D, V]; or [V, D] with `vocab_axis=0`.
      labels: integer token indices [*batch].
      bias: floating [V], added to the scores.
      vocab_axis: the axis of `weight` that holds the vocabulary.
      where: boolean, broadcastable to [*batch]; False leaves a token out.
      ignore_index: tokens equal to it are left out.
      soft_cap: keeps logits within ±cap, or None; see `linear_cross_entropy`.
      logit_scale: multiplies the logits; 1/temperature of a sampler.
      tile: rows in a tile, or a `plan(…)`.
      vocab_axis_name: inside `jax.shard_map`, the mesh axis that holds the vocabulary in parts.
      vocab_size: V with `vocab_axis_name`, if the last parts are padded.

    Returns:
      `LinearLogProbs`: nats, float32 (float64 when an operand is).

    Raises:
      TypeError: hidden, weight or bias is not floating point, labels are not integers, `where`
        is not boolean.
      ValueError: shapes disagree, an option is out of range, or (eager calls with concrete
        labels) a label is outside [0, V). Under jit such a label gives NaN, in the value and in
        the gradients.

    Example:
      >>> import jax.numpy as jnp
      >>> hidden, weight = jnp.array([[1.0, 0.0]]), jnp.log(jnp.array([[7.0, 3.0], [1.0, 1.0]]))
      >>> found = linear_log_probs(hidden, weight, jnp.array([0]))
      >>> print(f"{found.log_prob[0]:.4f} {found.entropy[0]:.4f}")  # log 0.7; 0.61 nats
      -0.3567 0.6109
      >>> print(found.prediction[0], found.correct[0])
      0 True

    Reference:
      R. Rafailov et al., Direct Preference Optimization, 2023. Z. Shao et al., DeepSeekMath
      (GRPO), 2024.

    See Also:
      `linear_cross_entropy`, `linear_kl_divergence`.
    """
    operands, axis = arguments.head(hidden, weight, bias, vocab_axis)
    hidden, weight = operands["hidden"], operands["weight"]
    part = weight.shape[axis]
    classes = arguments.vocabulary(weight, axis, vocab_axis_name, vocab_size)
    ignore_index = inputs.ignored_label(ignore_index)
    keep = example_mask(where, hidden.shape[:-1])
    labels = arguments.index_labels(labels, hidden, classes, keep, ignore_index)
    operands |= arguments.options(
        soft_cap=(None, soft_cap, inputs.positive),
        logit_scale=(1, logit_scale, arguments.finite),
    )
    layout = explicit_layout(hidden, weight, axis) if vocab_axis_name is None else None
    if layout is not None:
        vocab_axis_name = layout.vocab_axis_name
    tiling = arguments.tiling(tile, hidden, part, weight, layout=layout)
    spec = Spec(LogProbRows(classes), (Head(axis),), tiling.tile, tiling.block, vocab_axis_name)
    return _log_probs(operands, labels, keep, spec=spec, ignore_index=ignore_index, layout=layout)


@partial(jax.jit, static_argnames=("spec", "ignore_index", "layout"), inline=True)
def _log_probs(operands, labels, keep, *, spec, ignore_index, layout):
    labels, keep = inputs.narrow_indices(labels, keep, ignore_index)
    found = rows(spec, operands, labels, keep, layout)
    prediction = found.prediction.astype(jnp.int32)
    found = LinearLogProbs(
        found.log_prob, found.logsumexp, found.entropy, prediction, prediction == labels
    )
    return found if keep is None else jax.tree.map(lambda x: jnp.where(keep, x, 0), found)
