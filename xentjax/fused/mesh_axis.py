"""What devices that share a vocabulary tell each other, inside `shard_map`.

Only row statistics travel, never scores or weights. JAX types each array with the mesh axes it
varies over; these few functions keep those types right, and do nothing where there is no mesh.
"""

from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def varying(tree: Any) -> frozenset[str]:
    """The mesh axes over which any array of the tree varies."""
    return frozenset().union(*(_axes(x) for x in jax.tree.leaves(tree)))


def as_varying(tree: Any, axes: Iterable[str]) -> Any:
    """The same values, typed as varying over these axes too."""

    def typed(x):
        missing = tuple(a for a in sorted(set(axes) - _axes(x)) if is_typed(a))
        return lax.pcast(x, missing, to="varying") if missing else x

    return jax.tree.map(typed, tree)


def total(tree: Any, axis_name: str) -> Any:
    """The sum over the devices of an axis, known to all of them."""
    return jax.tree.map(lambda x: lax.psum(x, axis_name), tree)


def gather(tree: Any, axis_name: str) -> Any:
    """Each array [R] of every device as [devices, R], known to all of them.

    A sum of arrays that are zero but for the device's own row, because JAX knows the result of a
    sum to be the same everywhere, which it does not of a gather.
    """
    size, place = lax.axis_size(axis_name), lax.axis_index(axis_name)

    def placed(x):
        mine = (jnp.arange(size) == place).reshape(size, *(1,) * x.ndim)
        return jnp.where(mine, x[None], 0)

    return total(jax.tree.map(placed, tree), axis_name)


def own(tree: Any, axis_name: str) -> Any:
    """This device's entry of what `gather` returned."""
    place = lax.axis_index(axis_name)
    return jax.tree.map(lambda x: lax.dynamic_index_in_dim(x, place, 0, keepdims=False), tree)


def is_typed(axis_name: str) -> bool:
    """Whether arrays know what they vary over: shard_map(check_vma=False) types nothing."""
    return bool(_axes(lax.axis_index(axis_name)))


def _axes(x: Array) -> frozenset[str]:
    return jax.typeof(x).manual_axis_type.varying
