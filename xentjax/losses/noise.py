"""Correction for a known noise of the labels."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.log_partition import label_terms, pick_label, top_logit
from xentjax.losses.reduction import is_concrete, real_array

_compiled = partial(jax.jit, static_argnames="reduction", inline=True)
# How far a row of the noise matrix may be from 1: the rounding of 16-bit entries stays below.
_SLACK = 0.01


def forward_corrected_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    noise: Num[ArrayLike, "..."],
    *,
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy of the noisy label, when the model predicts the true one.

    With the noise matrix T, T_ij = P(label j is seen | class i is true):

        l = −log Σ_c T_cy p_c

    Its minimiser over all models is the distribution of the true classes, so the logits are
    those of the clean task and need no correction afterwards. Prefer it where the noise is known
    or can be measured (some examples labelled twice); a matrix that is wrong biases the model.
    With T the identity it is the cross-entropy, to the last digit.

    It is n_r(x) − n_r(x + log T_·y) − log T_ry for the class r that explains the label best, with
    n_r = −log softmax(·)_r: no probability is formed, and nothing large cancels.

    Args:
      logits: real scores [*batch, C] of the true classes, any float dtype; a class at −inf is
        masked.
      labels: integer class indices [*batch], as seen.
      noise: T, real [C, C]; each row is a distribution. Entries of 0 are allowed, and get no
        gradient if T is trained.
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise. +inf
      where no class that is allowed can be seen as the label.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit or (eager calls) a row of T is no distribution, or a label is
        outside [0, C). Under jit either gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([0.75, 0.25]))
      >>> noise = jnp.array([[0.8, 0.2], [0.4, 0.6]])  # a true 0 is seen as 1 in 20 of 100
      >>> loss = forward_corrected_cross_entropy(logits, jnp.array(1), noise)
      >>> print(f"{loss:.4f}")  # −log(0.2 · 0.75 + 0.6 · 0.25) = −log 0.3
      1.2040

    Reference:
      G. Patrini et al., Making Deep Neural Networks Robust to Label Noise: A Loss Correction
      Approach, 2017.

    See Also:
      `generalized_cross_entropy` where the noise is not known.
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
    matrix = _read_noise(noise, examples.logits.shape[-1])
    return _forward_corrected(examples, matrix, reduction=reduction)


def _read_noise(noise: ArrayLike, classes: int) -> Array:
    matrix = real_array(noise, "noise")
    if matrix.shape != (classes, classes):
        raise ValueError(
            f"noise must hold P(seen | true) for each pair of classes: got shape {matrix.shape}, "
            f"wanted {(classes, classes)}"
        )
    if not is_concrete(noise):
        return matrix
    values = np.asarray(noise, np.float64)
    position = inputs.first_false((values >= 0) & (values <= 1 + _SLACK))
    if position is not None:
        raise ValueError(
            f"noise must hold probabilities, got {values[position]} at position {position}"
        )
    totals = values.sum(1)
    position = inputs.first_false(np.abs(totals - 1) < _SLACK)
    if position is not None:
        raise ValueError(
            f"the rows of noise must sum to 1, got {totals[position]:g} in row {position[0]}; "
            "row i holds the labels seen when i is true: divide it by its sum, or transpose"
        )
    return matrix


@_compiled
def _forward_corrected(examples: Labelled, noise, *, reduction):
    logits, labels = examples.safe_logits(), examples.labels
    noise = noise.astype(logits.dtype)
    used = noise > 0
    log_noise = jnp.where(used, jnp.log(jnp.where(used, noise, 1)), -jnp.inf)
    seen = jnp.take(log_noise.T, labels, axis=0, mode="clip")  # log T_·y for each example
    losses = _explained(logits, seen, jnp.clip(labels, 0, logits.shape[-1] - 1))
    good = jnp.all(noise >= 0) & jnp.all(jnp.abs(jnp.sum(noise, 1) - 1) < _SLACK)
    losses *= inputs.nan_unless(good, losses.dtype) * examples.nan_if_bad()
    return examples.reduce(losses, reduction)


def _explained(logits: Array, seen: Array, labels: Array) -> Array:
    """−log Σ_c p_c e^(seen_c), measured from the class that holds most of the sum.

    The sum does not depend on that class, so its choice has no derivative. Both losses are exact
    where that class leads, in value and slope; the second is at most log C.
    """
    top = top_logit(logits, -1)
    # Adding zero keeps a caller's product from being fused with the difference; see `unit_exp`.
    joint = ((logits + 0 * top) - top) + seen
    impossible = jnp.all(joint == -jnp.inf, -1)
    # Where nothing explains the label it is measured from itself: −log p_y or −log T_yy is +inf.
    best = jnp.where(impossible, labels, jnp.argmax(joint, -1)).astype(jnp.int32)
    joint = jnp.where(impossible[..., None], 0, joint)
    log_share = pick_label(seen, best, -1)[..., 0]
    own, among_joint = (label_terms(x, best, None, -1).nll for x in (logits, joint))
    return own - among_joint - log_share
