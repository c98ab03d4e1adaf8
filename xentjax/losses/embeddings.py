"""Batches of embeddings: brought to unit length, compared, and gathered from several devices.

The contrastive losses are made of these few steps. A batch is a set here: every example is the
others' candidate, so what lies on other devices has to be fetched, and a mean is over all of them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import ArrayLike
from jaxtyping import Array, Num, Shaped

from xentjax.losses.examples import Rows, read_rows
from xentjax.losses.reduction import (
    at_least_float32,
    reduce_with_mass,
    total_and_weight,
)


class Devices(NamedTuple):
    """The devices that share a batch: one, or those along an axis of a mesh."""

    axis_name: str | tuple[str, ...] | None

    def gather(self, tree: Any) -> Any:
        """The parts of all devices, one after the other on the leading axis."""
        if self.axis_name is None:
            return jax.tree.map(_unsharded, tree)

        def from_all(x):
            return lax.all_gather(x, self.axis_name, tiled=True) if x.size else x  # XLA refuses 0

        return jax.tree.map(from_all, tree)

    def positions(self, count: int) -> Array:
        """Where this device's rows, `count` of them as on every other, stand among all."""
        here = jnp.arange(count, dtype=jnp.int32)
        if self.axis_name is None:
            return here
        return here + count * lax.axis_index(self.axis_name)

    def reduce(
        self, losses: Array, keep: Array | None, weights: Array | None, reduction: str
    ) -> Array:
        """`reduce_with_mass`, where sums and means are over the examples of all devices."""
        if self.axis_name is None or reduction == "none":
            return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)
        total, weight = total_and_weight(losses, where=keep, weights=weights)
        total = lax.psum(total, self.axis_name)
        if reduction == "sum":
            return total
        weight = lax.psum(weight, self.axis_name)
        empty = weight == 0
        return jnp.where(empty, 0, total / jnp.where(empty, 1, weight))


def read_embeddings(
    axis_name: str | tuple[str, ...] | None,
    *,
    where: Shaped[ArrayLike, "..."] | None,
    weights: Num[ArrayLike, "..."] | None,
    reduction: str,
    **arrays: Num[ArrayLike, "..."],
) -> Rows:
    """Checks arrays [N, D] of one shape, named as the user knows them, and the mesh axis."""
    name, first = next(iter(arrays.items()))
    if jnp.ndim(first) != 2:
        raise ValueError(
            f"{name} must be a batch of embeddings [N, D], got shape {jnp.shape(first)}; for "
            "several batches map over them with jax.vmap"
        )
    if axis_name is not None:
        _require_bound(axis_name)
    return read_rows(axis=-1, where=where, weights=weights, reduction=reduction, **arrays)


def read_negatives(negatives: ArrayLike | None, queries: Array) -> Array:
    """Further candidates [M, D], none by default."""
    if negatives is None:
        return queries[:0]
    extra = at_least_float32(negatives, "negatives")
    if extra.ndim != 2 or extra.shape[1] != queries.shape[1]:
        raise ValueError(
            f"negatives must be embeddings [M, {queries.shape[1]}] beside queries of shape "
            f"{queries.shape}, got shape {extra.shape}"
        )
    return extra.astype(queries.dtype)


def unit(x: Array, axis: int = -1) -> Array:
    """x / ‖x‖; the zero vector stays as it is, with the derivative of x / 1, so it can leave 0."""
    # Scaled by its largest entry first, a constant that cancels, so that no square overflows; not
    # by one so large that its reciprocal, by which compilers multiply, is subnormal and flushed.
    largest = lax.stop_gradient(jnp.max(jnp.abs(x), axis=axis, keepdims=True))
    largest = jnp.minimum(largest, jnp.finfo(x.dtype).max / 256)
    zero = largest == 0
    scaled = x / jnp.where(zero, 1, largest)
    squares = jnp.sum(scaled * scaled, axis=axis, keepdims=True)
    return scaled / jnp.sqrt(jnp.where(zero, 1, squares))


def similarities(anchors: Array, candidates: Array, scale: Array) -> Array:
    """scale · ⟨aᵢ, cⱼ⟩ as [anchors, candidates], summed in the embeddings' own precision.

    The products are not left to the default precision, which is TF32 or bfloat16 on accelerators:
    at temperature 0.01 it would move a logit by 0.05 or 0.4.
    """
    scaled = anchors * scale.astype(anchors.dtype)
    return jnp.matmul(scaled, candidates.T, precision=lax.Precision.HIGHEST)


def _unsharded(x: Array) -> Array:
    """Whole on every device, where the axes of an explicit mesh hold it in parts."""
    held = jax.typeof(x).sharding
    if all(axis is None for axis in held.spec):
        return x
    return jax.sharding.reshard(x, NamedSharding(held.mesh, PartitionSpec(*(None,) * x.ndim)))


def _require_bound(axis_name: str | tuple[str, ...]) -> None:
    try:
        lax.axis_size(axis_name)
    except NameError:
        raise ValueError(
            f"axis_name={axis_name!r} is no axis around this call: call the loss inside "
            "jax.shard_map over a mesh that has it, or leave it None for one device"
        ) from None
