"""Sampled softmax: cross-entropy over a few classes in the place of millions.

The label's score is always there; the sum over all other classes is estimated from a sample.
"""

import math
import operator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.log_partition import label_terms
from xentjax.losses.projected import Projected, read_projected
from xentjax.losses.reduction import is_concrete, real_array

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)


class ClassSample(NamedTuple):
    """Classes drawn for `sampled_softmax_cross_entropy`, and how often each was to be expected.

    From a sampler of your own that draws S classes independently with probabilities Q:
    `ClassSample(classes, jnp.log(S * Q[classes]))`.
    """

    classes: Int[Array, " samples"]
    log_expected_count: Float[Array, " samples"]


def log_uniform_sample(
    key: Key[Array, ""] | Shaped[Array, "..."], *, count: int, classes: int
) -> ClassSample:
    r"""Draws classes by Zipf's law, independently and with replacement.

        P(c) = (log(c + 2) − log(c + 1)) / log(C + 1),   c = 0 … C − 1

    For vocabularies sorted by falling frequency, where P(c) is close to the frequency of words.
    Draw anew for each step. Each probability is right to 1e-6 of itself for any number of
    classes up to 2³¹; the usual exp(u · log(C + 1)) with u in float32 skips most classes above a
    few hundred thousand.

    Args:
      key: a key of `jax.random`.
      count: how many to draw, S.
      classes: C, at most 2³¹.

    Returns:
      The classes, int32 [S], and the logarithms of S · P(c), float32 [S].

    Raises:
      ValueError: count or classes is out of range.

    Example:
      >>> import jax
      >>> sampled = log_uniform_sample(jax.random.key(0), count=4, classes=1)
      >>> print(sampled.classes)  # P(0) = log 2 / log 2
      [0 0 0 0]
      >>> print(f"{sampled.log_expected_count[0]:.4f}")  # log 4
      1.3863

    Reference:
      S. Jean et al., On Using Very Large Target Vocabulary for Neural Machine Translation, 2015.
      The distribution: `tf.random.log_uniform_candidate_sampler`.

    See Also:
      `sampled_softmax_cross_entropy`.
    """
    count = _at_least_one(count, "count")
    classes = _at_least_one(classes, "classes")
    if classes > 2**31:
        raise ValueError(f"classes must be at most 2**31, so that int32 holds them, got {classes}")
    return _log_uniform_sample(key, count=count, classes=classes)


@partial(jax.jit, static_argnames=("count", "classes"), inline=True)
def _log_uniform_sample(key, *, count, classes):
    # The first round is outside the loop, so that what it carries varies over a mesh as the key.
    ranks, accepted, key = _propose(key, count, classes)

    def again(state):
        ranks, accepted, key = state
        others, fits, key = _propose(key, count, classes)
        return jnp.where(accepted, ranks, others), accepted | fits, key

    ranks, _, _ = lax.while_loop(lambda state: ~jnp.all(state[1]), again, (ranks, accepted, key))
    log_share = jnp.log(jnp.log1p(1 / ranks.astype(jnp.float32)))
    return ClassSample(
        classes=(ranks - 1).astype(jnp.int32),
        log_expected_count=log_share + (math.log(count) - math.log(math.log(classes + 1))),
    )


def _propose(key, count, classes):
    """Ranks n = c + 1 in 1 … C, each with its chance of at least one half to be accepted.

    Every octave [2^k, 2^(k+1)) has the same mass under P, log 2. So an octave is drawn, then a
    rank in it by its bits, exactly; what is accepted with the chance 2^k · log(1 + 1/n) ≤ 1
    follows P, and nothing beyond C is.
    """
    key, for_octave, for_bits, for_chance = jax.random.split(key, 4)
    octave = jax.random.randint(for_octave, (count,), 0, classes.bit_length(), jnp.int32)
    start = jnp.uint32(1) << octave.astype(jnp.uint32)
    ranks = start | (jax.random.bits(for_bits, (count,), jnp.uint32) & (start - jnp.uint32(1)))
    mass = start.astype(jnp.float32) * jnp.log1p(1 / ranks.astype(jnp.float32))
    chance = jax.random.uniform(for_chance, (count,), jnp.float32)
    return ranks, (chance < mass) & (ranks <= jnp.uint32(classes)), key


def sampled_softmax_cross_entropy(
    hidden: Num[ArrayLike, "..."],
    weight: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    sampled: ClassSample,
    *,
    bias: Num[ArrayLike, "..."] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Softmax cross-entropy in training, with the sum over all classes estimated from a sample.

    With scores x = hidden · weight + bias, the sample c_1 … c_S and the logarithms log n of how
    often each of its classes was to be expected in it:

        l = −log( e^(x_y) / Ẑ ),   Ẑ = e^(x_y) + Σ_{i: c_i ≠ y} e^(x_{c_i} − log n_{c_i})

    E Ẑ is the full sum Σ_c e^(x_c), so the loss and its gradient tend to the full ones as the
    sample grows; with few samples the loss is too small on average (log is concave). A sampled
    class that is the label is left out: it is there already.
    Only the columns of the labels and of the sample are read, S + 1 scores an example.

    Prefer it where even tiles of all scores cost too much time: millions of classes. Up to some
    hundred thousand `linear_cross_entropy` is exact and holds a tile at most. Never evaluate
    with it.

    TensorFlow's `sampled_softmax_loss` lowers the label's score too, by the logarithm of its own
    expected count. With replacement that is not consistent, for this count grows with S; where
    its values are wanted nevertheless pass `bias − log n` for all V classes, and a sample whose
    `log_expected_count` is 0.

    Args:
      hidden: real [*batch, D], any float dtype.
      weight: real [D, V]; an embedding table [V, D] goes in as `table.T`. Its gradient is an
        array of its size, written by a scatter.
      labels: integer class indices [*batch].
      sampled: the same for all examples; see `log_uniform_sample`. Classes may repeat.
      bias: real [V], or None.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 when hidden or weight are): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: hidden, weight or bias is not floating point, labels or sampled classes are not
        integers, `where` is not boolean.
      ValueError: shapes do not fit, or (eager calls) a label or a sampled class is outside
        [0, V), or a log_expected_count is not finite. Under jit an index outside gives NaN, in
        the value and in the gradients.

    Example:
      >>> import jax.numpy as jnp
      >>> hidden, weight = jnp.array([1.0]), jnp.log(jnp.array([[2.0, 1.0, 3.0]]))
      >>> sampled = ClassSample(jnp.array([1, 0]), jnp.log(jnp.array([0.5, 0.7])))
      >>> loss = sampled_softmax_cross_entropy(hidden, weight, jnp.array(0), sampled)
      >>> print(f"{loss:.4f}")  # 0 is the label; −log(2 / (2 + 1 / 0.5))
      0.6931

    Reference:
      Y. Bengio, J.-S. Senécal, Adaptive Importance Sampling to Accelerate Training of a Neural
      Probabilistic Language Model, 2008. S. Jean et al., On Using Very Large Target Vocabulary
      for Neural Machine Translation, 2015.

    See Also:
      `linear_cross_entropy` for all classes, in tiles.
    """
    examples = read_projected(
        weight,
        labels,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
        hidden=hidden,
    )
    vocabulary = examples.weight.shape[1]
    sampled = _read_sample(sampled, vocabulary)
    if bias is not None:
        bias = real_array(bias, "bias")
        if bias.shape != (vocabulary,):
            raise ValueError(
                f"bias must hold one number per class: got shape {bias.shape}, "
                f"wanted ({vocabulary},)"
            )
    return _sampled_softmax_cross_entropy(examples, sampled, bias, reduction=reduction)


@_compiled
def _sampled_softmax_cross_entropy(examples: Projected, sampled: ClassSample, bias, *, reduction):
    rows, labels, dtype = examples.safe_rows(), examples.labels, examples.rows.dtype
    vocabulary = examples.weight.shape[1]

    def columns(index):
        return jnp.take(examples.weight, index, axis=1, mode="clip").astype(dtype)

    def biases(index):
        return 0 if bias is None else jnp.take(bias, index, mode="clip").astype(dtype)

    own = jnp.sum(rows * jnp.moveaxis(columns(labels), 0, -1), axis=-1) + biases(labels)
    shift = biases(sampled.classes) - sampled.log_expected_count.astype(dtype)
    others = jnp.matmul(rows, columns(sampled.classes))
    others = others + jnp.broadcast_to(shift, others.shape)
    drawn = jnp.broadcast_to(sampled.classes, others.shape)
    others = jnp.where(drawn == labels[..., None], -jnp.inf, others)
    logits = jnp.concatenate([own[..., None], others], axis=-1)
    first = jnp.zeros_like(labels)
    losses = label_terms(logits, first, examples.keep, -1).nll
    known = jnp.all((sampled.classes >= 0) & (sampled.classes < vocabulary))
    losses = losses * examples.nan_if_bad() * inputs.nan_unless(known, dtype)
    return examples.reduce(losses, reduction)


def _read_sample(sampled: ClassSample, vocabulary: int) -> ClassSample:
    drawn, log_count = jnp.asarray(sampled.classes), jnp.asarray(sampled.log_expected_count)
    if not jnp.issubdtype(drawn.dtype, jnp.integer):
        raise TypeError(f"sampled.classes must be integer class indices, got {drawn.dtype}")
    if drawn.ndim != 1 or drawn.size == 0 or log_count.shape != drawn.shape:
        raise ValueError(
            "sampled.classes and sampled.log_expected_count must be [S] with S of at least 1: got "
            f"shapes {drawn.shape} and {log_count.shape}"
        )
    if is_concrete(drawn):
        position = inputs.first_false((np.asarray(drawn) >= 0) & (np.asarray(drawn) < vocabulary))
        if position is not None:
            raise ValueError(
                f"sampled.classes must lie in [0, {vocabulary}), got {drawn[position]} at position "
                f"{position}; draw with classes={vocabulary}"
            )
    if is_concrete(log_count):
        position = inputs.first_false(np.isfinite(np.asarray(log_count)))
        if position is not None:
            raise ValueError(
                f"sampled.log_expected_count must be finite, got {log_count[position]} at position "
                f"{position}: a class that was drawn was to be expected"
            )
    return ClassSample(drawn, log_count)


def _at_least_one(value: Any, name: str) -> int:
    number = operator.index(value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number
