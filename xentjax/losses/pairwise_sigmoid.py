"""The sigmoid loss over pairs: every image and text are asked whether they belong together."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.embeddings import Devices, read_embeddings, similarities, unit
from xentjax.losses.examples import Rows
from xentjax.losses.exponentials import softplus


def siglip_loss(
    image_embeddings: Num[ArrayLike, "..."],
    text_embeddings: Num[ArrayLike, "..."],
    *,
    logit_scale: Num[ArrayLike, ""] = 10.0,
    bias: Num[ArrayLike, ""] = -10.0,
    chunk: int | None = None,
    axis_name: str | tuple[str, ...] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""SigLIP's loss: binary cross-entropy of each image with each text of the batch.

    With unit vectors x (images) and y (texts), zᵢᵢ = 1, zᵢⱼ = −1 else, and s = `logit_scale`:

        lᵢ = −Σⱼ log σ( zᵢⱼ (s ⟨xᵢ, yⱼ⟩ + b) )

    The mean over images is the paper's 1/N Σᵢ Σⱼ. Prefer it to `clip_loss` for batches below some
    16 thousand, or where the batch's N² similarities do not fit: no pair needs another pair's.

    Args:
      image_embeddings: [N, D], any float dtype; normalised here, which leaves unit vectors be.
      text_embeddings: [N, D]; text i belongs to image i.
      logit_scale: s > 0, the multiplier itself, that is 1 / temperature; may be traced. To learn
        it as in the paper, hold t = log s as the parameter, first log 10, and pass jnp.exp(t).
      bias: b, one number; may be traced. At −10, the paper's start, all pairs are first taken for
        strangers, as nearly all are.
      chunk: texts to compare with at a time; memory is then N · chunk numbers for N², also in the
        gradient, which computes each chunk again. None compares with all at once.
      axis_name: inside `jax.shard_map`, the mesh axis (or axes) over which the pairs are shared.
        The texts go round the devices in a ring, so that each compares with one device's texts
        at a time; "sum" and "mean" are over all images: the number of one device. (For the
        gradient a device keeps the N · D numbers that passed through it, never N² / devices.)
        With check_vma=False differentiate the mapped function, never inside it.
      where: boolean [N]; False leaves a pair out, its text also as a negative, whatever it holds.
      weights: real [N], of the images.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 images): [N] for "none", a scalar otherwise.

    Raises:
      TypeError: an input is not floating point, `where` is not boolean, or `chunk` not an integer.
      ValueError: shapes differ, s is not positive, `chunk` is below 1, or `axis_name` is no axis
        around the call.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.eye(2)  # logits 2 · 1 − 1 with its own text, 2 · 0 − 1 with the other
      >>> loss = siglip_loss(x, x, logit_scale=2.0, bias=-1.0)
      >>> print(f"{loss[0]:.4f}")  # log(1 + e⁻¹) + log(1 + e⁻¹)
      0.6265

    Reference:
      X. Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023.

    See Also:
      `clip_loss`, `sigmoid_cross_entropy`.
    """
    rows = read_embeddings(
        axis_name,
        where=where,
        weights=weights,
        reduction=reduction,
        image_embeddings=image_embeddings,
        text_embeddings=text_embeddings,
    )
    chunk = inputs.as_index(chunk, "chunk")
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be at least 1, or None for all at once, got {chunk}")
    return _siglip_loss(
        rows,
        inputs.positive(logit_scale, "logit_scale"),
        inputs.scalar(bias, "bias", "be finite", lambda b: abs(b) < jnp.inf),
        chunk=chunk,
        devices=Devices(axis_name),
        reduction=reduction,
    )


@partial(jax.jit, static_argnames=("chunk", "devices", "reduction"), inline=True)
def _siglip_loss(rows: Rows, scale, bias, *, chunk, devices, reduction):
    images, texts = map(unit, rows.safe())
    own = devices.positions(images.shape[0])
    allowed = jnp.ones_like(own, bool) if rows.keep is None else rows.keep
    compare = partial(_compared, scale=scale, bias=bias.astype(images.dtype), chunk=chunk)
    part = (texts, allowed, own)
    if devices.axis_name is None:
        losses = compare(images, own, devices.gather(part))
    else:
        losses = _around_the_ring(compare, images, own, part, devices.axis_name)
    return devices.reduce(losses, rows.keep, rows.weights, reduction)


def _around_the_ring(compare, images, own, part, axis_name):
    """The comparisons with the texts of all devices, one device's after the other's."""
    size = lax.axis_size(axis_name)
    ring = [(i, (i + 1) % size) for i in range(size)]
    compare = jax.checkpoint(compare)

    def step(carry, _):
        losses, part = carry
        part = jax.tree.map(lambda x: lax.ppermute(x, axis_name, ring), part)
        return (losses + compare(images, own, part), part), None

    (losses, _), _ = lax.scan(step, (compare(images, own, part), part), length=size - 1)
    return losses


def _compared(images, own, part, *, scale, bias, chunk):
    """Σⱼ −log σ(±logit) of each image over some texts, `chunk` of them at a time."""
    anchors = images * scale.astype(images.dtype)
    count = part[0].shape[0]
    if chunk is None or chunk >= count:
        return _sum_over_texts(anchors, own, bias, part)

    def in_chunks(x):
        # What is added is not allowed: zeros are False.
        padded = jnp.pad(x, [(0, -count % chunk), *[(0, 0)] * (x.ndim - 1)])
        return padded.reshape(-1, chunk, *x.shape[1:])

    one = jax.checkpoint(_sum_over_texts)
    add = lambda total, some: (total + one(anchors, own, bias, some), None)  # noqa: E731
    # Zeros made from the data, so that on a mesh they vary over the same axes.
    total, _ = lax.scan(add, 0 * anchors[:, 0], jax.tree.map(in_chunks, part))
    return total


def _sum_over_texts(anchors, own, bias, part):
    texts, allowed, positions = part
    logits = similarities(anchors, texts, jnp.ones((), anchors.dtype)) + bias
    signs = jnp.where(own[:, None] == positions[None, :], -1, 1).astype(logits.dtype)
    terms = softplus(signs * logits)
    return jnp.sum(jnp.where(allowed[None, :], terms, 0), axis=1)
