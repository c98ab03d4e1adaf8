"""Contrastive loss over classes: examples with one label attract each other."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.embeddings import Devices, read_embeddings, similarities, unit
from xentjax.losses.examples import Rows
from xentjax.losses.row_partition import target_nll


def supervised_contrastive(
    embeddings: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    temperature: Num[ArrayLike, ""] = 0.07,
    axis_name: str | tuple[str, ...] | None = None,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Supervised contrastive loss: every other example of the same label is a positive.

    With unit vectors z and the positives P(i) = {p ≠ i : label p = label i}, the form L_out:

        lᵢ = −1/|P(i)| Σ_{p ∈ P(i)} log( exp(⟨zᵢ, z_p⟩ / τ) / Σ_{a ≠ i} exp(⟨zᵢ, z_a⟩ / τ) )

    Prefer it to cross-entropy when the embedding is the product, for retrieval or transfer, or to
    pretrain before a linear classifier. Labels that mark pairs, two views of N images as
    [x₁ … x_N, y₁ … y_N] with labels [0 … N−1, 0 … N−1], make it SimCLR's NT-Xent. Where positives
    are few or wrong, and where a class has one example in most batches, prefer another loss.

    Args:
      embeddings: [N, D], any float dtype. A zero vector has similarity 0 and the gradient it
        would have at length 1.
      labels: [N], integers of any value; equal ones attract. An example to leave out, unlabelled
        say, is for `where`.
      temperature: τ > 0, one number; may be traced and learned.
      axis_name: inside `jax.shard_map`, the mesh axis (or axes) over which the examples are
        shared. Embeddings and labels of all devices are gathered, and "sum" and "mean" are over
        all anchors: the number of one device. With check_vma=False differentiate the mapped
        function, never inside it.
      where: boolean [N]; False leaves an example out, as anchor and as candidate, whatever it
        holds.
      weights: real [N], of the anchors.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 embeddings): [N] for "none", a scalar otherwise. An
      anchor without positives has loss 0 and zero gradient, and a mean does not count it; it
      stays a candidate of the others. The similarities [N, N] are formed whole, not in chunks.

    Raises:
      TypeError: embeddings are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, τ is not positive, a label does not fit 32 bits (without
        64-bit mode), or `axis_name` is no axis around the call.

    Example:
      >>> import jax.numpy as jnp
      >>> z = jnp.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
      >>> losses = supervised_contrastive(z, jnp.array([7, 7, 5]), temperature=0.5)
      >>> print(f"{losses[0]:.4f} {losses[2]:.1f}")  # log(1 + e⁻²); no positive
      0.1269 0.0

    Reference:
      P. Khosla et al., Supervised Contrastive Learning, 2020. T. Chen et al., A Simple Framework
      for Contrastive Learning of Visual Representations, 2020 (NT-Xent).

    See Also:
      `info_nce` when queries and keys play different roles.
    """
    rows = read_embeddings(
        axis_name, where=where, weights=weights, reduction=reduction, embeddings=embeddings
    )
    return _supervised_contrastive(
        rows,
        _read_labels(labels, rows.arrays[0].shape[:1]),
        inputs.positive(temperature, "temperature"),
        devices=Devices(axis_name),
        reduction=reduction,
    )


def _read_labels(labels: ArrayLike, shape: tuple[int, ...]) -> Array:
    array = jnp.asarray(labels)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(
            f"labels must be integers that mark what belongs together, got {array.dtype}; write "
            "jnp.argmax(labels, -1) for one-hot rows"
        )
    if array.shape != shape:
        raise ValueError(
            f"labels must be one integer for each embedding: got shape {array.shape}, wanted "
            f"{shape}"
        )
    return inputs.identifiers(labels, "labels")


@partial(jax.jit, static_argnames=("devices", "reduction"), inline=True)
def _supervised_contrastive(rows: Rows, labels, temperature, *, devices, reduction):
    (anchors,) = map(unit, rows.safe())
    candidates, others, allowed = devices.gather((anchors, labels, rows.keep))
    logits = similarities(anchors, candidates, 1 / temperature)
    if not logits.size:
        return devices.reduce(jnp.sum(logits, axis=1), rows.keep, rows.weights, reduction)
    own = devices.positions(anchors.shape[0])
    rival = lax.broadcasted_iota(jnp.int32, logits.shape, 1) != own[:, None]
    if allowed is not None:
        rival &= allowed[None, :]
    positive = rival & (labels[:, None] == others[None, :])
    count = jnp.sum(positive, axis=1)
    counted = count > 0 if rows.keep is None else (count > 0) & rows.keep
    # An anchor that does not count has perhaps no rival at all, and a row of −inf is NaN.
    logits = jnp.where(rival, logits, -jnp.inf)
    logits = jnp.where(counted[:, None], logits, 0)
    targets = jnp.where(positive & counted[:, None], 1 / jnp.maximum(count, 1)[:, None], 0)
    losses = target_nll(logits, targets.astype(logits.dtype), 1)
    return devices.reduce(losses, counted, rows.weights, reduction)
