"""Where the parts of a fused loss lie on a mesh: examples shared, the vocabulary shared, or both.

Each device multiplies its examples with its columns of the head. What travels is a few numbers
an example for the loss, one sum of the examples' gradient over the vocabulary's axis and one of
the head's gradient over the examples' axes: never logits, never the head.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from xentjax.fused.spec import PER_CLASS, Spec


@dataclass(frozen=True)
class Layout:
    """A mesh and what its axes share.

    Attributes:
      mesh: the devices.
      batch: for each batch axis of the examples the mesh axes that share it, possibly none.
      vocab_axis_name: the mesh axis that shares the vocabulary, or None.
    """

    mesh: Mesh | AbstractMesh
    batch: tuple[tuple[str, ...], ...]
    vocab_axis_name: str | None

    @property
    def data_axes(self) -> tuple[str, ...]:
        """All mesh axes that share examples."""
        return tuple(name for names in self.batch for name in names)

    def devices(self, *names: str | None) -> int:
        """How many parts these mesh axes make."""
        return math.prod(self.mesh.shape[name] for name in names if name is not None)


def explicit_layout(hidden: Array, weight: Array, vocab_axis: int) -> Layout | None:
    """The layout that types of arrays on an explicit mesh speak of; None where nothing is shared.

    A hidden size that is shared (parameters in parts by FSDP) is gathered for the product, as it
    is for any other layer.
    """
    mesh = jax.typeof(weight).sharding.mesh
    if mesh.empty:
        mesh = jax.typeof(hidden).sharding.mesh
    if AxisType.Explicit not in mesh.axis_types:
        return None
    batch = tuple(_names(entry) for entry in jax.typeof(hidden).sharding.spec[:-1])
    vocabulary = _names(jax.typeof(weight).sharding.spec[vocab_axis])
    if not any(batch) and not vocabulary:
        return None
    if len(vocabulary) > 1 or set(vocabulary) & {name for names in batch for name in names}:
        raise ValueError(
            "the vocabulary must be shared by one mesh axis that shares no examples: weight is "
            f"{jax.typeof(weight)}, hidden is {jax.typeof(hidden)}; jax.reshard one of them"
        )
    return Layout(mesh, batch, vocabulary[0] if vocabulary else None)


def _names(entry: Any) -> tuple[str, ...]:
    if entry is None:
        return ()
    return entry if isinstance(entry, tuple) else (entry,)


def over_mesh(
    layout: Layout,
    spec: Spec,
    fun: Callable[..., Any],
    operands: dict[str, Array],
    labels: Array | None,
    keep: Array | None,
    shares: Array | None,
) -> Any:
    """fun(operands, labels, keep, shares) of what each device holds.

    With shares the result is a sum over all examples, without them one value an example. Sizes
    that the mesh does not divide are padded with examples and classes that count nothing.
    """
    batch = operands[spec.heads[0].hidden].shape[:-1]
    parts = [layout.devices(*names) for names in layout.batch]
    if any(size % count for size, count in zip(batch, parts, strict=True)) and keep is None:
        keep = jnp.ones(batch, bool)
    by_example = PartitionSpec(*(names or None for names in layout.batch))
    specs = {name: _spec(name, spec, layout) for name in operands}
    arrays = {name: _padded(x, specs[name], layout) for name, x in operands.items()}
    examples = {"labels": labels, "keep": keep, "shares": shares}
    examples = {k: _padded(x, by_example, layout) for k, x in examples.items() if x is not None}
    specs = specs, dict.fromkeys(examples, by_example)

    def local(arrays, examples):
        found = fun(arrays, *(examples.get(name) for name in ("labels", "keep", "shares")))
        add_up = shares is not None and layout.data_axes
        return lax.psum(found, layout.data_axes) if add_up else found

    out_specs = by_example if shares is None else PartitionSpec()
    shared = jax.shard_map(local, mesh=layout.mesh, in_specs=specs, out_specs=out_specs)
    found = shared(*_placed((arrays, examples), specs, layout.mesh))
    if shares is not None or not any(s % c for s, c in zip(batch, parts, strict=True)):
        return found
    found = jax.tree.map(lambda x: whole(x, layout), found)
    return jax.tree.map(lambda x: x[tuple(slice(size) for size in batch)], found)


def _spec(name: str, spec: Spec, layout: Layout) -> PartitionSpec:
    """How an operand is cut."""
    for head in spec.heads:
        if name == head.hidden:
            return PartitionSpec(*(names or None for names in layout.batch), None)
        if name == head.weight:
            return PartitionSpec(*(None,) * head.vocab_axis, layout.vocab_axis_name)
    return PartitionSpec(layout.vocab_axis_name) if name in PER_CLASS else PartitionSpec()


def _padded(x: Array, spec: PartitionSpec, layout: Layout) -> Array:
    """The array with zeros at the end of its axes, so that the mesh divides it."""
    short = [-n % layout.devices(*_names(s)) for n, s in zip(x.shape, spec, strict=False)]
    if not any(short):
        return x
    return jnp.pad(whole(x, layout), [(0, n) for n in short] + [(0, 0)] * (x.ndim - len(short)))


def whole(x: Array, layout: Layout | None) -> Array:
    """The array, where axes are explicit, as every device holding all of it."""
    if layout is None or AxisType.Explicit not in layout.mesh.axis_types:
        return x
    return jax.reshard(x, NamedSharding(layout.mesh, PartitionSpec()))


def _placed(arrays: Any, specs: Any, mesh: Mesh | AbstractMesh) -> Any:
    """Arrays laid out for a mesh whose axes are explicit; others JAX lays out itself."""
    if AxisType.Explicit not in mesh.axis_types:
        return arrays
    return jax.tree.map(lambda x, s: jax.reshard(x, NamedSharding(mesh, s)), arrays, specs)
