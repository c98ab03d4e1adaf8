"""An architecture whose parameters lie in parts over a mesh, and are brought together to be used.

`place_state` and `create_sharded` put it around a state's own. A gather of the parameters is what
makes FSDP: left to itself, the compiler brings the activations of all examples together instead,
so that every device computes with all of them.
"""

import dataclasses
from typing import Any

import jax
from jax.sharding import NamedSharding

from xentjax.train.architecture import Architecture


@dataclasses.dataclass(frozen=True)
class ShardedArchitecture:
    """Computes what `inner` does.

    Attributes:
        inner: the architecture of one device.
        stored: where each parameter lies between steps, in the order of the tree's leaves.
        used: where it lies while the model computes.
    """

    inner: Architecture
    stored: tuple[NamedSharding, ...]
    used: tuple[NamedSharding, ...]

    def merge(self, params: Any, rest: Any, *, training: bool, key: Any) -> Any:
        """Returns the inner model with its parameters brought together."""
        leaves, tree = jax.tree.flatten(params)
        leaves = map(_brought_together, leaves, self.stored, self.used)
        return self.inner.merge(jax.tree.unflatten(tree, leaves), rest, training=training, key=key)

    def rest_of(self, model: Any) -> Any:
        """Returns what the inner model has made of its rest."""
        return self.inner.rest_of(model)


def _brought_together(leaf: Any, stored: NamedSharding, used: NamedSharding) -> Any:
    # Transposed, the first constraint cuts the gradient, so that it is kept in parts only.
    leaf = jax.lax.with_sharding_constraint(leaf, stored)
    return leaf if stored == used else jax.lax.with_sharding_constraint(leaf, used)
