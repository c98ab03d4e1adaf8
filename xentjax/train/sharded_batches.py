"""Sharded batches: examples cut over the data axes of a mesh, in one process or in several.

The global batch is what the optimizer sees; `batch_size` in `xentjax.data.batches` is its size
however many devices share it. Cut by `place_batch` where every process makes the whole batch, which
is simple and costs a gather on the host; by `place_local_batch` where each reads its own part.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from xentjax.train.sharding import Axes, check_auto, named_axes


def place_batch(
    batch: Mapping[str, Any], mesh: Mesh, *, data_axes: Axes = None, batch_axis: int = 1
) -> dict[str, jax.Array]:
    """A global batch that every process holds, laid out over a mesh.

    `train_loop(…, place=functools.partial(place_batch, mesh=mesh))`; for an evaluation
    `[place_batch(part, mesh, batch_axis=0) for part in padded_batches(…)]`.

    Args:
        batch: arrays [steps, B, …], the same in every process; each copies only its own part.
        mesh: as the state lies on.
        data_axes: the mesh axes that share the examples; None takes all of them.
        batch_axis: the axis of the arrays that holds the examples; 0 for arrays [B, …].

    Raises:
        ValueError: if the devices do not divide B, or an axis is not in the mesh.

    Example:
        >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        >>> tuple(place_batch({"x": np.ones((3, 8))}, mesh)["x"].sharding.spec)
        (None, 'data')
    """
    part = local_part(batch, mesh, data_axes=data_axes, batch_axis=batch_axis)
    return place_local_batch(part, mesh, data_axes=data_axes, batch_axis=batch_axis)


def place_local_batch(
    batch: Mapping[str, Any], mesh: Mesh, *, data_axes: Axes = None, batch_axis: int = 1
) -> dict[str, jax.Array]:
    """A global batch of which each process gives its own part.

    Args:
        batch: this process's part of the arrays [steps, B, …], as `local_part` cuts it.
        mesh: as the state lies on.
        data_axes: the mesh axes that share the examples; None takes all of them.
        batch_axis: the axis of the arrays that holds the examples.

    Raises:
        ValueError: if the devices do not divide B, or an axis is not in the mesh.
    """
    axes = _data_axes(mesh, data_axes)
    parts = math.prod(mesh.shape[name] for name in axes)
    here = len(_parts(parts, mesh, axes))
    _check_divides(batch, batch_axis, here, "this process's part of the batch")
    sharding = NamedSharding(mesh, PartitionSpec(*(None,) * batch_axis, axes or None))
    return {
        name: jax.make_array_from_process_local_data(sharding, np.asarray(array))
        for name, array in batch.items()
    }


def local_part(
    batch: Mapping[str, Any], mesh: Mesh, *, data_axes: Axes = None, batch_axis: int = 1
) -> dict[str, np.ndarray]:
    """The examples of a global batch that the devices of this process need.

    The parts of all processes together are the global batch; processes that share examples (their
    devices share a vocabulary) get the same. Apply it to row numbers to read only those.

    Args:
        batch: arrays [steps, B, …] on the host.
        mesh: as the state lies on.
        data_axes: the mesh axes that share the examples; None takes all of them.
        batch_axis: the axis of the arrays that holds the examples.

    Raises:
        ValueError: if the devices do not divide B, or an axis is not in the mesh.
    """
    axes = _data_axes(mesh, data_axes)
    parts = math.prod(mesh.shape[name] for name in axes)
    _check_divides(batch, batch_axis, parts, "the batch")
    if jax.process_count() == 1:
        return {name: np.asarray(array) for name, array in batch.items()}
    here = _parts(parts, mesh, axes)

    def own(array: np.ndarray) -> np.ndarray:
        cut = np.split(array, parts, axis=batch_axis)  # views
        return (
            cut[here[0]]
            if len(here) == 1
            else np.concatenate([cut[part] for part in here], axis=batch_axis)
        )

    return {name: own(np.asarray(array)) for name, array in batch.items()}


def _data_axes(mesh: Mesh, data_axes: Axes) -> tuple[str, ...]:
    check_auto(mesh)
    return named_axes(mesh, data_axes, "data_axes")


def _parts(parts: int, mesh: Mesh, axes: tuple[str, ...]) -> list[int]:
    """Which of the equal parts of a global batch the devices of this process need, in order."""
    sharding = NamedSharding(mesh, PartitionSpec(axes or None))
    indices = sharding.addressable_devices_indices_map((parts,)).values()
    return sorted({index[0].start or 0 for index in indices if index is not None})


def _check_divides(batch: Mapping[str, Any], batch_axis: int, parts: int, what: str) -> None:
    for name, array in batch.items():
        shape = np.shape(array)
        if len(shape) <= batch_axis:
            raise ValueError(
                f"batch[{name!r}] has shape {shape}, so no axis batch_axis = {batch_axis}; use "
                "batch_axis=0 for arrays [B, …] that are not stacked for several steps"
            )
        if shape[batch_axis] % parts:
            raise ValueError(
                f"batch[{name!r}]: {what} has {shape[batch_axis]} examples, which its {parts} "
                "devices do not divide; choose a batch size that is a multiple (padded_batches "
                "for an evaluation)"
            )
