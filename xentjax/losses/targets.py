"""Targets made softer: smoothed, or mixed together with the inputs they belong to.

All three return distributions for a loss that takes them, such as `softmax_cross_entropy`. They
are steps before a loss, on a batch, and take their randomness as a key.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num, PRNGKeyArray, Shaped

from xentjax.losses import inputs
from xentjax.losses.reduction import at_least_float32, fit_to_shape, real_array


class Mixed(NamedTuple):
    """A batch in which examples were mixed with a partner of the same batch."""

    x: Shaped[Array, "batch ..."]  # inputs, in the shape and dtype they came in
    targets: Float[Array, "batch classes"]  # mixed in the same proportion
    share: Float[Array, " batch"]  # how much of each is its own, in [0, 1]; the rest is its partner


def smooth_labels(
    labels: Num[ArrayLike, "..."],
    alpha: Num[ArrayLike, ""],
    *,
    axis: int | Sequence[int] = -1,
    class_where: Shaped[ArrayLike, "..."] | None = None,
) -> Float[Array, "..."]:
    r"""(1 − α) t + α / K: some mass moved from the label to all K classes that are allowed.

    Prefer the option `label_smoothing` of `softmax_cross_entropy`, which needs no array of
    distributions; take this one for any other loss of distributions.

    Args:
      labels: distributions [*batch, C], floating, non-negative.
      alpha: α in [0, 1], one number; may be traced. 0 changes nothing.
      axis: the class axis.
      class_where: boolean, broadcastable to `labels`; a class that is False gets no share, and
        K counts the others. Mass the labels already have there stays, so that a loss can tell.

    Returns:
      The shape and dtype of `labels`; the same sum over the allowed classes where that was 1.

    Raises:
      TypeError: labels are not floating point (write jax.nn.one_hot), `class_where` not boolean.
      ValueError: shapes do not fit, α is out of range or (eager calls) labels are negative.

    Example:
      >>> import jax.numpy as jnp
      >>> print(smooth_labels(jnp.array([0.0, 1.0, 0.0, 0.0]), 0.2))  # 0.8 + 0.2 / 4, and 0.2 / 4
      [0.05 0.85 0.05 0.05]
      >>> allowed = jnp.array([True, True, False, False])
      >>> print(smooth_labels(jnp.array([0.0, 1.0, 0.0, 0.0]), 0.5, class_where=allowed))
      [0.25 0.75 0.   0.  ]

    Reference:
      C. Szegedy et al., Rethinking the Inception Architecture for Computer Vision, 2016.
    """
    labels = _distributions(labels, "labels")
    axes = inputs.class_axes(labels, axis, "labels")
    inputs.require_distribution(labels, None, axes, "labels")
    allowed = _allowed(class_where, labels.shape)
    return _smooth_labels(labels, inputs.fraction(alpha, "alpha"), allowed, axes=axes)


@partial(jax.jit, static_argnames="axes", inline=True)
def _smooth_labels(labels, alpha, allowed, *, axes):
    t = at_least_float32(labels, "labels")
    allowed = jnp.ones_like(t) if allowed is None else allowed.astype(t.dtype)
    count = jnp.sum(allowed, axis=axes, keepdims=True)
    uniform = allowed / jnp.maximum(count, 1)  # no class allowed: no share, and no 0 / 0
    alpha = alpha.astype(t.dtype)
    return ((1 - alpha) * t + alpha * uniform).astype(labels.dtype)


def mixup(
    key: PRNGKeyArray,
    x: Num[ArrayLike, "..."],
    targets: Num[ArrayLike, "..."],
    *,
    alpha: Num[ArrayLike, ""] = 0.2,
    per_example: bool = False,
) -> Mixed:
    r"""Straight mixtures of examples: λ x + (1 − λ) x', and the targets likewise.

    x' is the same batch in random order, λ ~ Beta(α, α). Prefer it against overconfidence and
    memorized labels where a blend of two inputs still means something: images, spectra, tables,
    hidden states; `cutmix` keeps patches sharp. The larger α, the more even the mixtures.

    Args:
      key: a JAX random key; the same key gives the same mixture.
      x: floating inputs [B, ...].
      targets: floating distributions [B, C]; for class indices write jax.nn.one_hot.
      alpha: α > 0, one number; may be traced. The paper takes 0.1 to 0.4 on ImageNet.
      per_example: one λ for each example; False, as in the paper, draws one for the batch.

    Returns:
      `Mixed(x, targets, share)` with share [B] = λ. Inputs and targets keep their dtypes.

    Raises:
      TypeError: inputs or targets are not floating point.
      ValueError: shapes do not fit, or α is not positive. A traced one gives NaN.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> targets = jnp.eye(2)
      >>> mixed = mixup(jax.random.key(1), 10 * targets, targets, alpha=1.0)
      >>> print(bool(jnp.allclose(mixed.x, 10 * mixed.targets)))  # both mixed by the same λ
      True
      >>> print(mixed.targets.sum(axis=1))
      [1. 1.]

    Reference:
      H. Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018.
    """
    x = jnp.asarray(x)
    at_least_float32(x, "x")
    targets = _targets(targets, x, "x")
    return _mixup(key, x, targets, inputs.positive(alpha, "alpha"), per_example=per_example)


@partial(jax.jit, static_argnames="per_example")
def _mixup(key, x, targets, alpha, *, per_example):
    for_order, for_share = jax.random.split(key)
    batch = x.shape[0]
    order = jax.random.permutation(for_order, batch)
    drawn = jax.random.beta(for_share, alpha, alpha, (batch,) if per_example else ())
    share = jnp.broadcast_to(drawn, (batch,))
    return Mixed(_blend(x, order, share), _blend(targets, order, share), share)


def cutmix(
    key: PRNGKeyArray,
    images: Num[ArrayLike, "..."],
    targets: Num[ArrayLike, "..."],
    *,
    alpha: Num[ArrayLike, ""] = 1.0,
) -> Mixed:
    r"""A box of each image replaced by its partner's, targets mixed by the pixels that were.

    The partner is the same batch in random order. λ ~ Beta(α, α); the box has the image's
    proportions, about (1 − λ) H W pixels, and a centre anywhere, so that the border may cut it.
    The share is counted afterwards: kept pixels / H W, exactly.

    Prefer it to `mixup` for images in which parts tell the class: every pixel stays a real one.

    Args:
      key: a JAX random key; the same key gives the same boxes.
      images: [B, H, W, C], any real dtype.
      targets: floating distributions [B, C]; for class indices write jax.nn.one_hot.
      alpha: α > 0, one number; may be traced. 1 draws λ evenly.

    Returns:
      `Mixed(x, targets, share)`; one box for the batch, so share [B] repeats one number. Images
      and targets keep their dtypes.

    Raises:
      TypeError: targets are not floating point.
      ValueError: shapes do not fit, or α is not positive. A traced one gives a NaN share.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> targets = jnp.eye(2)
      >>> images = jnp.zeros((2, 8, 8, 1)).at[1].set(1.0)  # class 0 is black, class 1 white
      >>> mixed = cutmix(jax.random.key(0), images, targets)
      >>> white = mixed.x.mean(axis=(1, 2, 3))
      >>> print(bool(jnp.all(white == mixed.targets[:, 1])))  # as much white as class 1
      True

    Reference:
      S. Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
      Features, 2019.
    """
    images = real_array(images, "images")
    if images.ndim != 4:
        raise ValueError(f"images must have the shape [B, H, W, C], got {images.shape}")
    targets = _targets(targets, images, "images")
    return _cutmix(key, images, targets, inputs.positive(alpha, "alpha"))


@jax.jit
def _cutmix(key, images, targets, alpha):
    for_order, for_share, for_box = jax.random.split(key, 3)
    batch, height, width, _ = images.shape
    order = jax.random.permutation(for_order, batch)
    wanted = jax.random.beta(for_share, alpha, alpha)
    box = _box(for_box, jnp.sqrt(1 - wanted), height, width)
    mixed = jnp.where(box[None, :, :, None], images[order], images)
    # + 0 λ: without it a NaN from α would leave the images whole and say nothing.
    kept = jnp.sum(~box) / (height * width) + 0 * wanted
    share = jnp.broadcast_to(kept.astype(wanted.dtype), (batch,))
    return Mixed(mixed, _blend(targets, order, share), share)


def _box(key, side, height, width) -> Bool[Array, "height width"]:
    """A box of `side` times the image's sides around a random pixel, cut off at the border."""
    spans = []
    for axis_key, size in zip(jax.random.split(key), (height, width), strict=True):
        length = jnp.floor(size * side)
        start = jax.random.randint(axis_key, (), 0, size) - jnp.floor(length / 2)
        place = jnp.arange(size)
        spans.append((place >= start) & (place < start + length))
    return spans[0][:, None] & spans[1][None, :]


def _blend(x, order, share):
    """share · own + (1 − share) · partner, in at least float32, rounded once."""
    wide = at_least_float32(x, "x")
    share = jnp.expand_dims(share, range(1, x.ndim)).astype(wide.dtype)
    return (share * wide + (1 - share) * wide[order]).astype(x.dtype)


def _distributions(labels, name):
    labels = real_array(labels, name)
    if not jnp.issubdtype(labels.dtype, jnp.floating):
        raise TypeError(
            f"{name} must be floating distributions over classes, got {labels.dtype}; write "
            f"jax.nn.one_hot({name}, classes) for class indices"
        )
    return labels


def _targets(targets, x, name):
    targets = _distributions(targets, "targets")
    if x.ndim == 0 or targets.ndim != 2 or targets.shape[0] != x.shape[0]:
        raise ValueError(
            f"targets must have the shape [B, C] with the B of {name}: got {targets.shape} beside "
            f"{x.shape}"
        )
    return targets


def _allowed(class_where, shape):
    if class_where is None:
        return None
    class_where = jnp.asarray(class_where)
    if class_where.dtype != jnp.bool_:
        raise TypeError(f"class_where must be boolean, got {class_where.dtype}")
    return fit_to_shape(class_where, shape, "class_where", "labels")
