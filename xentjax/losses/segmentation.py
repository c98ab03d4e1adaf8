"""Segmentation: losses of the overlap between a predicted region and the true one.

One loss an image, of the set of its pixels: a class of a few pixels counts as much as the
background, where a mean of cross-entropies hardly sees it.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.complement import sigmoid_complement, softmax_complement
from xentjax.losses.images import Images, read_images


def dice_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    smooth: Num[ArrayLike, ""] = 1.0,
    spatial_dims: int = 2,
    axis: int = -1,
    class_weights: Num[ArrayLike, "..."] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    pixel_where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""One minus the soft Dice coefficient of each image, averaged over the classes.

    With sums over the pixels of an image, for each class:

        l = 1 − (2 Σ p t + 2 s) / (Σ p + Σ t + 2 s)

    This is `tversky_loss` with α = β = ½; the arguments, shapes and errors are the same there.
    (V-Net squares the terms of the denominator; this is the form most libraries train with.)

    Prefer it where the region is small and the overlap is what counts; add a cross-entropy where
    probabilities should be calibrated, for the overlap makes them sharp.

    Args:
      logits: real scores [*batch, *spatial, C], any float dtype: softmax over the classes, or
        a sigmoid where C = 1.
      labels: class indices [*batch, *spatial] (0 or 1 where C = 1), or masses in [0, 1] of the
        shape of `logits`.
      smooth: s ≥ 0, in pixels, added to overlap and union; may be traced.
      spatial_dims: how many axes before the classes are pixels: 2 for images, 3 for volumes.
      axis: the class axis.
      class_weights: real ≥ 0, [C]: the mean over classes is Σ w l / Σ w. [0, 1, 1] leaves the
        background out.
      where: boolean, broadcastable to [*batch]; False leaves an image out.
      pixel_where: boolean, broadcastable to [*batch, *spatial]; False leaves a pixel out.
      weights: real, broadcastable to [*batch].
      ignore_index: integer labels equal to it leave their pixel out.
      reduction: "none", "sum" or "mean".

    Returns:
      A share in [0, 1], float32 (float64 for float64 logits): [*batch] for "none".

    Raises:
      TypeError: logits are not floating point, or a mask is not boolean.
      ValueError: shapes do not fit, an option is out of range or (eager calls) a label is.
        Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.zeros((1, 2, 1))  # one row of two pixels, each foreground by a half
      >>> labels = jnp.array([[1, 0]])  # the first is foreground
      >>> print(f"{dice_loss(logits, labels, smooth=0.0):.4f}")  # 1 − 2 · 0.5 / (1 + 1)
      0.5000

    Reference:
      F. Milletari et al., V-Net: Fully Convolutional Neural Networks for Volumetric Medical
      Image Segmentation, 2016.

    See Also:
      `tversky_loss` where misses and false alarms cost differently.
    """
    return tversky_loss(
        logits,
        labels,
        alpha=0.5,
        beta=0.5,
        smooth=smooth,
        spatial_dims=spatial_dims,
        axis=axis,
        class_weights=class_weights,
        where=where,
        pixel_where=pixel_where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )


def tversky_loss(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    alpha: Num[ArrayLike, ""] = 0.3,
    beta: Num[ArrayLike, ""] = 0.7,
    smooth: Num[ArrayLike, ""] = 1.0,
    spatial_dims: int = 2,
    axis: int = -1,
    class_weights: Num[ArrayLike, "..."] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    pixel_where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""One minus the Tversky index of each image, averaged over the classes.

    With sums over the pixels of an image, for each class: hits H = Σ p t, false alarms
    F = Σ p (1 − t), misses M = Σ (1 − p) t and

        l = (α F + β M) / (H + α F + β M + s) = 1 − (H + s) / (H + α F + β M + s)

    The first form is computed, from 1 − p as it is and not as a difference: a nearly perfect
    mask keeps its digits. Where the denominator is 0 (s = 0, a class neither there nor
    predicted) nothing is wrong, and the loss is 0 with zero gradient.

    Prefer it to `dice_loss` (α = β = ½) where a missed lesion is worse than a false one: β > α.
    α = β = 1 is the soft Jaccard loss.

    Args:
      logits: real scores [*batch, *spatial, C], any float dtype; a class at −inf is masked.
        Softmax over the classes; where C = 1 a sigmoid, for one region against the rest.
        (Regions that may overlap: several such, `logits[..., None]` with the channels moved
        into the batch.)
      labels: class indices [*batch, *spatial] (0 or 1 where C = 1), or masses in [0, 1] of the
        shape of `logits`, floating or boolean.
      alpha: α ≥ 0, the weight of false alarms; may be traced.
      beta: β ≥ 0, the weight of misses; may be traced.
      smooth: s ≥ 0, in pixels; may be traced. It keeps the gradient of small regions tame, and
        makes the loss of an image with no such region fade instead of being 1.
      spatial_dims: how many axes before the classes are pixels: 2 for images, 3 for volumes.
        The rest is the batch.
      axis: the class axis.
      class_weights: real ≥ 0, [C]: the mean over classes is Σ w l / Σ w. [0, 1, 1] leaves the
        background out.
      where: boolean, broadcastable to [*batch]; False leaves an image out.
      pixel_where: boolean, broadcastable to [*batch, *spatial]; False leaves a pixel out,
        whatever it holds. An image without pixels has loss 0.
      weights: real, broadcastable to [*batch].
      ignore_index: integer labels equal to it leave their pixel out (commonly 255).
      reduction: "none", "sum" or "mean".

    Returns:
      A share in [0, 1] (no nats), float32 (float64 for float64 logits): [*batch] for "none".

    Raises:
      TypeError: logits are not floating point, or a mask is not boolean.
      ValueError: shapes do not fit, an option is out of range or (eager calls) a label is.
        Under jit such a label gives NaN, in the value and in the gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.zeros((1, 2, 1))  # one row of two pixels, each foreground by a half
      >>> labels = jnp.array([[1, 0]])  # H = F = M = 0.5
      >>> loss = tversky_loss(logits, labels, alpha=0.2, beta=0.6, smooth=0.0)
      >>> print(f"{loss:.4f}")  # (0.1 + 0.3) / (0.5 + 0.1 + 0.3)
      0.4444

    Reference:
      S. S. M. Salehi et al., Tversky Loss Function for Image Segmentation Using 3D Fully
      Convolutional Deep Networks, 2017.

    See Also:
      `softmax_cross_entropy`, one loss a pixel, which is often added.
    """
    images = read_images(
        logits,
        labels,
        spatial_dims=spatial_dims,
        axis=axis,
        where=where,
        pixel_where=pixel_where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    class_weights = _class_weights(class_weights, images.logits.shape[-1])
    alpha, beta, smooth = (
        inputs.non_negative(value, name)
        for name, value in (("alpha", alpha), ("beta", beta), ("smooth", smooth))
    )
    return _tversky_loss(
        images, alpha, beta, smooth, class_weights, spatial_dims=spatial_dims, reduction=reduction
    )


@partial(jax.jit, static_argnames=("spatial_dims", "reduction"), inline=True)
def _tversky_loss(images: Images, alpha, beta, smooth, class_weights, *, spatial_dims, reduction):
    logits, masses = images.safe_logits(), images.masses()
    alpha, beta, smooth = (option.astype(logits.dtype) for option in (alpha, beta, smooth))
    pixel_axes = tuple(range(-spatial_dims - 1, -1))
    p, complement = (softmax_complement if logits.shape[-1] > 1 else sigmoid_complement)(logits)
    misplaced = alpha * p * (1 - masses) + beta * complement * masses
    # The select is idle, p ≥ 0 or NaN. Without one XLA on CPU takes the arithmetic into its
    # reduction, where it runs three to eight times as long as in a loop of its own.
    hits, wrong = (
        jnp.sum(images.only_counted(jnp.where(p >= 0, x, p)), axis=pixel_axes)
        for x in (p * masses, misplaced)
    )
    union = hits + wrong + smooth
    empty = union == 0
    # Two selects: 0 / 0 must not be differentiated either.
    overlaps = jnp.where(empty, 0, wrong / jnp.where(empty, 1, union))
    losses = _class_mean(overlaps, class_weights)
    good = jnp.all(images.good(), axis=tuple(range(-spatial_dims, 0)))
    return images.reduce(losses * inputs.nan_unless(good, losses.dtype), reduction)


def _class_weights(class_weights, classes):
    """`class_weights` checked, or None."""
    inputs.require_non_negative(class_weights, "class_weights")
    if class_weights is None:
        return None
    class_weights = jnp.asarray(class_weights)
    if class_weights.shape != (classes,):
        raise ValueError(
            f"class_weights must hold one weight per class: got shape {class_weights.shape}, "
            f"wanted ({classes},)"
        )
    return class_weights


def _class_mean(losses, class_weights):
    if class_weights is None:
        return jnp.mean(losses, axis=-1)
    class_weights = class_weights.astype(losses.dtype)
    total = jnp.sum(class_weights)
    return losses @ (class_weights / jnp.where(total == 0, 1, total))
