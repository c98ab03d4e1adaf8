"""Connectionist temporal classification: a label sequence without its alignment to the frames."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.alignments import Transcript, alignment_nll
from xentjax.losses.reduction import (
    at_least_float32,
    check_reduction,
    example_mask,
    fit_to_examples,
    is_concrete,
    reduce_with_mass,
)


def ctc_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    frame_lengths: Shaped[ArrayLike, "..."] | None = None,
    label_lengths: Shaped[ArrayLike, "..."] | None = None,
    *,
    blank: int = 0,
    zero_infinity: bool = False,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""−log of the probability that the frames spell the labels, in whatever alignment.

    An alignment a gives each frame a class; B(a) merges repetitions, then drops blanks
    (B(aa-ab-) = aab). Over all alignments that spell the labels y:

        l = −log Σ_{a: B(a) = y} Π_t softmax(x_t)_{a_t}

    Prefer it where a long input (sound, handwriting) has a shorter label sequence in the same
    order and nobody knows which frame holds which label. It takes frames as independent and
    labels as no longer than the frames; where they are longer or in another order, use a decoder
    trained by `softmax_cross_entropy`.

    The loss is never negative, and its error is some roundings of the cost of the likely
    alignments, however small that is. Labels that no alignment can spell (more labels than
    frames, counting one more frame for the blank between equal neighbours) cost +inf, with zero
    gradient.

    From torch: `frame_lengths` is input_lengths, `label_lengths` is target_lengths, time comes
    after the batch, logits need no log_softmax, and "mean" does not divide each loss by its
    target length: write `weights=1 / label_lengths` with "sum" for that. From optax: the lengths
    are (1 − paddings).sum(−1) as integers, blank is blank_id.

    Args:
      logits: real scores [*batch, T, C], T ≥ 1 frames, any float dtype. A class at −inf is
        masked; +inf gives inf or NaN.
      labels: integer class indices [*batch, L], none of them the blank; what lies beyond a
        length is not looked at.
      frame_lengths: integers in [0, T], broadcastable to [*batch]; None means T. What lies beyond
        may be NaN.
      label_lengths: integers in [0, L], broadcastable to [*batch]; None means L. A sequence of
        length 0 is spelled by blanks alone.
      blank: the class that spells nothing.
      zero_infinity: whether infinite losses become 0; they still count in a mean.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch], multiplies the loss of each example.
      reduction: "none", "sum" or "mean" (Σ w·l / Σ w).

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels or lengths are not integers, `where` is
        not boolean.
      ValueError: shapes do not fit, `blank` is no class, or (eager calls) a label within its
        length is the blank or outside [0, C), or a length is out of range. Under jit these give
        NaN, in the value and in the gradient of the example.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([[0.4, 0.6], [0.3, 0.7]]))  # two frames; blank, "a"
      >>> loss = ctc_loss(logits, jnp.array([1]))
      >>> print(f"{loss:.4f}")  # aa, a-, -a: −log(0.6·0.7 + 0.6·0.3 + 0.4·0.7) = −log 0.88
      0.1278
      >>> print(ctc_loss(logits, jnp.array([1, 1])))  # "aa" needs three frames: a-a
      inf

    Reference:
      A. Graves et al., Connectionist Temporal Classification: Labelling Unsegmented Sequence Data
      with Recurrent Neural Networks, 2006.

    See Also:
      `softmax_cross_entropy` where each frame has a label of its own.
    """
    check_reduction(reduction)
    logits = at_least_float32(logits, "logits")
    batch, classes = _batch_shape(logits), logits.shape[-1]
    blank = _blank_class(blank, classes)
    given_labels, labels = labels, _integers(labels, "labels")
    if labels.shape[:-1] != batch or labels.ndim == 0:
        raise ValueError(
            f"labels must have shape [*batch, L] beside logits of shape [*batch, T, C] = "
            f"{logits.shape}: got {labels.shape}, wanted {(*batch, 'L')}"
        )
    keep = example_mask(where, batch)
    frames = _lengths(frame_lengths, batch, logits.shape[-2], keep, "frame_lengths")
    letters = _lengths(label_lengths, batch, labels.shape[-1], keep, "label_lengths")
    _require_labels(given_labels, classes, blank, letters, keep)
    return _ctc_loss(
        logits,
        inputs.narrow_indices(labels, None, None)[0],
        frames,
        letters,
        keep,
        inputs.as_array(weights),
        blank=blank,
        zero_infinity=bool(zero_infinity),
        reduction=reduction,
    )


@partial(jax.jit, static_argnames=("blank", "zero_infinity", "reduction"), inline=True)
def _ctc_loss(
    logits, labels, frame_lengths, label_lengths, keep, weights, *, blank, zero_infinity, reduction
):
    batch, (steps, classes) = logits.shape[:-2], logits.shape[-2:]
    lengths = label_lengths
    if lengths is None:
        # Derived from the labels, so that it lies where they lie on a mesh.
        lengths = jnp.sum(jnp.ones_like(labels), -1, dtype=jnp.int32)
    good = _good_examples(labels, lengths, frame_lengths, steps, classes, blank)
    frames = _counted_frames(logits, frame_lengths, keep)
    if keep is not None:
        good |= ~keep
    transcript = Transcript(
        _flat(labels, 1), _flat(lengths, 0), None if frames is None else _flat(frames, 1)
    )
    losses = alignment_nll(_flat(logits, 2), transcript, blank).reshape(batch)
    if zero_infinity:
        losses = jnp.where(losses == jnp.inf, 0, losses)
    losses *= inputs.nan_unless(good, losses.dtype)
    return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)


def _counted_frames(logits: Array, lengths: Array | None, keep: Array | None) -> Array | None:
    """Which frames are looked at, [*batch, T], or None for all; none of a masked example."""
    frames = None if lengths is None else ~_beyond(logits[..., 0], lengths)
    if keep is None:
        return frames
    keep = jnp.broadcast_to(keep[..., None], logits.shape[:-1])
    return keep if frames is None else keep & frames


def _flat(x: Array, event_dims: int) -> Array:
    """The array with one batch axis."""
    if x.ndim == event_dims + 1:
        return x
    batch = x.shape[: x.ndim - event_dims]
    return x.reshape(math.prod(batch), *x.shape[len(batch) :])


def _good_examples(labels, label_lengths, frame_lengths, steps, classes, blank) -> Array:
    spelled = (labels >= 0) & (labels < classes) & (labels != blank)
    good = jnp.all(spelled | _beyond(labels, label_lengths), axis=-1)
    good &= (label_lengths >= 0) & (label_lengths <= labels.shape[-1])
    if frame_lengths is not None:
        good &= (frame_lengths >= 0) & (frame_lengths <= steps)
    return good


def _beyond(x: Array, lengths: Array) -> Array:
    """Which entries of the last axis lie beyond the length of their row."""
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1) >= lengths[..., None]


def _batch_shape(logits: Array) -> tuple[int, ...]:
    if logits.ndim < 2 or 0 in logits.shape[-2:]:
        raise ValueError(
            "logits must have shape [*batch, T, C] with at least one frame and one class, got "
            f"{logits.shape}"
        )
    return logits.shape[:-2]


def _blank_class(blank: int, classes: int) -> int:
    found = inputs.as_index(blank, "blank")
    if found is None or not 0 <= found < classes:
        raise ValueError(
            f"blank must be one of the classes, in [0, {classes}), got {blank}; the last class "
            f"is {classes - 1}"
        )
    return found


def _integers(x: ArrayLike, name: str) -> Array:
    x = inputs.label_array(x)
    if not jnp.issubdtype(x.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {x.dtype}")
    return x


def _lengths(
    given: ArrayLike | None, batch: tuple[int, ...], most: int, keep: Array | None, name: str
) -> Array | None:
    if given is None:
        return None
    lengths = fit_to_examples(_integers(given, name), batch, name)
    if is_concrete(given, keep):
        values = np.broadcast_to(np.asarray(given), batch)
        good = (values >= 0) & (values <= most)
        position = inputs.first_false(good if keep is None else good | ~np.asarray(keep))
        if position is not None:
            raise ValueError(
                f"{name} must lie in [0, {most}], got {values[position]} at position {position}"
            )
    return inputs.narrow_indices(lengths, None, None)[0]


def _require_labels(
    labels: ArrayLike, classes: int, blank: int, lengths: Array | None, keep: Array | None
) -> None:
    """Raises ValueError when a known label that counts is the blank or no class."""
    if not is_concrete(labels, lengths, keep):
        return
    values = np.asarray(labels)
    good = (values >= 0) & (values < classes) & (values != blank)
    if lengths is not None:
        good |= np.arange(values.shape[-1]) >= np.asarray(lengths)[..., None]
    if keep is not None:
        good |= ~np.asarray(keep)[..., None]
    position = inputs.first_false(good)
    if position is not None:
        value = int(values[position])
        what = "the blank, which is spelled by no label" if value == blank else "no class"
        raise ValueError(
            f"labels must lie in [0, {classes}) without the blank {blank}, got {value} at "
            f"position {position}: {what}; give label_lengths to leave padding out"
        )
