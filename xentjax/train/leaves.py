"""Leaves: a state as the named plain arrays that files hold, and back.

Files know no typed JAX keys and no placement: a key becomes integers, and what is read takes key,
placement and structure from a state like the one that was written.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def named_leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path, such as "params/head/bias/value".

    Raises:
        ValueError: if two paths read the same.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    if len(named) < len(leaves):
        raise ValueError(
            "state: two of its arrays have the same path; use no '/' in the names of parameters"
        )
    return named


def to_arrays(tree: Any) -> dict[str, jax.Array]:
    """The named leaves as plain arrays, keys as the integers in them."""
    return {name: _plain(leaf) for name, leaf in named_leaves(tree).items()}


def to_shapes(tree: Any) -> dict[str, jax.ShapeDtypeStruct]:
    """What `to_arrays` would return, as shapes, dtypes and placements."""
    return {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)
        for name, array in to_arrays(tree).items()
    }


def from_arrays(arrays: Mapping[str, jax.Array], like: Any) -> Any:
    """Puts named plain arrays into the structure of another pytree, keys as keys again.

    They are no more bound to their device than the leaves of `like` are: where those may move to
    other devices, so may these.
    """
    leaves = [_like(leaf, arrays[name]) for name, leaf in named_leaves(like).items()]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _plain(leaf: Any) -> jax.Array:
    return jax.random.key_data(leaf) if _is_key(leaf) else jnp.asarray(leaf)


def _like(leaf: Any, array: jax.Array) -> jax.Array:
    if isinstance(leaf, jax.Array) and not leaf.committed:
        array = jnp.array(np.asarray(array))
    if _is_key(leaf):
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
    return array


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)
