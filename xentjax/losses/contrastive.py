"""Contrastive losses over pairs: each example must find its partner among all in the batch.

A cross-entropy whose classes are the other examples: larger batches give harder problems. The
similarity matrix [N, N] is formed whole; nothing is computed in chunks here.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.embeddings import (
    Devices,
    read_embeddings,
    read_negatives,
    similarities,
    unit,
)
from xentjax.losses.examples import Rows
from xentjax.losses.log_partition import label_terms


def info_nce(
    queries: Num[ArrayLike, "..."],
    keys: Num[ArrayLike, "..."],
    *,
    temperature: Num[ArrayLike, ""] = 0.07,
    negatives: Num[ArrayLike, "..."] | None = None,
    normalize: bool = True,
    axis_name: str | tuple[str, ...] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""InfoNCE: softmax cross-entropy of finding key i for query i among all keys.

    With unit vectors q = queries / |queries| and k = keys / |keys|:

        lᵢ = −log( exp(⟨qᵢ, kᵢ⟩ / τ) / Σⱼ exp(⟨qᵢ, kⱼ⟩ / τ) )

    Prefer it to learn embeddings from pairs when the roles differ: a query and its document, a
    sequence and its future. `clip_loss` is its mean over both directions; `supervised_contrastive`
    also sets queries against queries, as SimCLR does.

    Args:
      queries: [N, D], any float dtype. A zero vector has similarity 0 and the gradient it
        would have at length 1.
      keys: [N, D]; key i is the positive of query i, all others are its negatives.
      temperature: τ > 0, one number; may be traced and learned.
      negatives: [M, D], further keys that are nobody's positive: hard negatives, a queue.
      normalize: False takes plain dot products, as dense retrieval does.
      axis_name: inside `jax.shard_map`, the mesh axis (or axes) over which the examples are
        shared. The keys of all devices are gathered, and "sum" and "mean" are over all examples:
        the number of one device. With check_vma=False differentiate the mapped function, never
        inside it.
      where: boolean [N]; False leaves a pair out, as a query and as a key, whatever it holds.
      weights: real [N], of the queries.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 queries): [N] for "none", a scalar otherwise. Each loss
      depends on the whole batch; log N is that of guessing.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes do not fit, τ is not positive, or `axis_name` is no axis around the call.

    Example:
      >>> import jax.numpy as jnp
      >>> x = jnp.eye(2)  # similarities 1 and 0, at τ = 1/2 logits 2 and 0
      >>> print(f"{info_nce(x, 3 * x, temperature=0.5)[0]:.4f}")  # log(1 + e⁻²)
      0.1269

    Reference:
      A. van den Oord, Y. Li, O. Vinyals, Representation Learning with Contrastive Predictive
      Coding, 2018.

    See Also:
      `clip_loss`, `siglip_loss`, `supervised_contrastive`.
    """
    rows = read_embeddings(
        axis_name, where=where, weights=weights, reduction=reduction, queries=queries, keys=keys
    )
    return _info_nce(
        rows,
        read_negatives(negatives, rows.arrays[0]),
        inputs.positive(temperature, "temperature"),
        normalize=bool(normalize),
        devices=Devices(axis_name),
        reduction=reduction,
    )


@partial(jax.jit, static_argnames=("normalize", "devices", "reduction"), inline=True)
def _info_nce(rows: Rows, negatives, temperature, *, normalize, devices, reduction):
    vectors = (*rows.safe(), negatives)
    queries, keys, negatives = map(unit, vectors) if normalize else vectors
    losses = _nll_of_partners(queries, keys, negatives, rows.keep, 1 / temperature, devices)
    return devices.reduce(losses, rows.keep, rows.weights, reduction)


def clip_loss(
    image_embeddings: Num[ArrayLike, "..."],
    text_embeddings: Num[ArrayLike, "..."],
    *,
    logit_scale: Num[ArrayLike, ""] = 1 / 0.07,
    axis_name: str | tuple[str, ...] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""CLIP's loss: each image must find its text, and each text its image.

    With unit vectors x (images) and y (texts) and s = `logit_scale`, for pair i:

        lᵢ = −½ log softmaxⱼ(s ⟨xᵢ, yⱼ⟩)ᵢ − ½ log softmaxⱼ(s ⟨xⱼ, yᵢ⟩)ᵢ

    Prefer it to train two towers whose embeddings are searched in both directions, with batches
    of thousands. `siglip_loss` needs no softmax over the batch and does well with smaller ones.

    Args:
      image_embeddings: [N, D], any float dtype; normalised here, which leaves unit vectors be.
      text_embeddings: [N, D]; text i belongs to image i.
      logit_scale: s > 0, the multiplier itself, that is 1 / temperature; may be traced. To learn
        it as CLIP and open_clip do, hold t = log s as the parameter and pass jnp.exp(t), perhaps
        jnp.minimum(jnp.exp(t), 100).
      axis_name: inside `jax.shard_map`, the mesh axis (or axes) over which the pairs are shared.
        Both sides' embeddings are gathered, and "sum" and "mean" are over all pairs: the number
        of one device. With check_vma=False differentiate the mapped function, never inside it.
      where: boolean [N]; False leaves a pair out, also as a candidate, whatever it holds.
      weights: real [N], of the pairs.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 images): [N] for "none", a scalar otherwise.

    Raises:
      TypeError: an input is not floating point, or `where` is not boolean.
      ValueError: shapes differ, s is not positive, or `axis_name` is no axis around the call.

    Example:
      >>> import jax.numpy as jnp
      >>> images, texts = jnp.eye(2), jnp.array([[1.0, 0.0], [1.0, 0.0]])
      >>> loss = clip_loss(images, texts, logit_scale=1.0)  # logits [[1, 1], [0, 0]]
      >>> print(f"{loss[0]:.4f}")  # ½ log 2 + ½ log(1 + e⁻¹)
      0.5032

    Reference:
      A. Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
      2021.

    See Also:
      `info_nce` for one direction, `siglip_loss`.
    """
    rows = read_embeddings(
        axis_name,
        where=where,
        weights=weights,
        reduction=reduction,
        image_embeddings=image_embeddings,
        text_embeddings=text_embeddings,
    )
    scale = inputs.positive(logit_scale, "logit_scale")
    return _clip_loss(rows, scale, devices=Devices(axis_name), reduction=reduction)


@partial(jax.jit, static_argnames=("devices", "reduction"), inline=True)
def _clip_loss(rows: Rows, scale, *, devices, reduction):
    images, texts = map(unit, rows.safe())
    if devices.axis_name is None:
        to_text, to_image = _nll_both_ways(images, texts, rows.keep, scale, devices)
    else:
        none = images[:0]
        to_text = _nll_of_partners(images, texts, none, rows.keep, scale, devices)
        to_image = _nll_of_partners(texts, images, none, rows.keep, scale, devices)
    losses = (to_text + to_image) / 2
    return devices.reduce(losses, rows.keep, rows.weights, reduction)


def _nll_of_partners(anchors, partners, others, keep, scale, devices):
    """−log softmax of each anchor's own partner among all partners and others, [N]."""
    partners, others, allowed = devices.gather((partners, others, keep))
    logits = similarities(anchors, jnp.concatenate([partners, others]), scale)
    if not logits.size:
        return jnp.sum(logits, axis=1)  # an empty batch has no largest logit
    if allowed is not None:
        allowed = jnp.concatenate([allowed, jnp.ones_like(others[:, 0], bool)])
        logits = jnp.where(allowed[None, :], logits, -jnp.inf)
    return label_terms(logits, devices.positions(anchors.shape[0]), keep, 1).nll


def _nll_both_ways(images, texts, keep, scale, devices):
    """The same by rows and by columns of the one matrix [N, N]."""
    texts, allowed = devices.gather((texts, keep))
    logits = similarities(images, texts, scale)
    if not logits.size:
        return (jnp.sum(logits, axis=1),) * 2
    if keep is not None:
        logits = jnp.where(keep[:, None] & allowed[None, :], logits, -jnp.inf)
    own = devices.positions(logits.shape[0])
    return label_terms(logits, own, keep, 1).nll, label_terms(logits, own, allowed, 0).nll
