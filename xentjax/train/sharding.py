"""Sharding: a training state laid out over a mesh, whole on each device or in parts (FSDP).

The step stays the one of a single device: JAX compiles it for where its arrays lie. In parts,
parameters and the optimizer's moments take 1/n of the memory on each of n devices; a parameter is
brought together where it is used, and its gradient is added up over the examples and cut again.
Without that rule, which a placed state's architecture carries, the compiler would rather bring the
activations of all examples together. `place_batch` cuts the batches to match.
"""

import dataclasses
import difflib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from xentjax.train.sharded_architecture import ShardedArchitecture
from xentjax.train.state import TrainState

Axes: TypeAlias = str | Sequence[str] | None

# Below 64 KiB in float32 bringing the parts together is all latency, and nothing is saved.
_MIN_SIZE = 1 << 14


def state_shardings(
    state: TrainState,
    mesh: Mesh,
    *,
    shard: str = "fsdp",
    shard_axes: Axes = None,
    specs: Mapping[str, PartitionSpec] | None = None,
    min_size: int = _MIN_SIZE,
) -> TrainState:
    """Where each array of a training state lies.

    With "fsdp" each parameter is cut along its largest axis that the devices of `shard_axes`
    divide, and every array of the optimizer's state that belongs to it lies as it does. The step,
    the keys and the rest of the model (batch statistics) are whole on each device.

    Args:
        state: a state, or its shapes from `jax.eval_shape`.
        mesh: devices; all axes of type Auto.
        shard: "fsdp", or "replicated" where a device has memory to spare: no parameter travels.
        shard_axes: the mesh axes over which parameters are in parts; None takes all that `specs`
            leave.
        specs: parameters that stay in parts while they are used, by path such as "head/kernel":
            a vocabulary shared by the mesh axis "model" is `{"embedding": P("model")}` for a tied
            `GPT`, `{"head/kernel": P(None, "model")}` for an untied one. FSDP cuts another axis.
        min_size: smaller arrays, in numbers, are whole on each device.

    Returns:
        The state with a `NamedSharding` in place of each array: shardings for `jax.jit` and
        `jax.device_put`.

    Raises:
        ValueError: if an axis of the mesh is not Auto, an axis or path does not exist, or a spec
            does not divide its parameter.

    Example:
        >>> import optax
        >>> from xentjax.train import from_apply
        >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
        >>> model = from_apply(lambda params, x: x @ params["w"], {"w": jnp.ones((2, 6))})
        >>> state = TrainState.create(model, optax.adam(0.1), key=jax.random.key(0))
        >>> tuple(state_shardings(state, mesh, min_size=0).params["w"].spec)
        (None, 'data')
    """
    check_auto(mesh)
    if shard not in ("replicated", "fsdp"):
        raise ValueError(f"shard must be 'fsdp' or 'replicated', got {shard!r}")
    used = _used_specs(state.params, mesh, specs or {})
    taken = {name for spec in used.values() for name in _spec_axes(spec)}
    axes = () if shard == "replicated" else named_axes(mesh, shard_axes, "shard_axes", leave=taken)
    if clash := taken & set(axes):
        raise ValueError(
            f"specs and shard_axes both use {sorted(clash)}; name other shard_axes of the mesh, "
            f"which has {mesh.axis_names}"
        )
    cut = functools.partial(_cut, mesh=mesh, axes=axes, min_size=min_size)
    by_path = {
        path: cut(leaf, used.get(_name(path), PartitionSpec()))
        for path, leaf in jax.tree_util.tree_leaves_with_path(state.params)
    }
    whole = NamedSharding(mesh, PartitionSpec())
    return dataclasses.replace(
        jax.tree.map(lambda _: whole, state),
        params=jax.tree.unflatten(jax.tree.structure(state.params), by_path.values()),
        opt_state=_optimizer_shardings(state, by_path, cut),
    )


def place_state(
    state: TrainState,
    mesh: Mesh,
    *,
    shard: str = "fsdp",
    shard_axes: Axes = None,
    specs: Mapping[str, PartitionSpec] | None = None,
    min_size: int = _MIN_SIZE,
) -> TrainState:
    """A state laid out over a mesh, ready for any step, loop or evaluation.

    Prefer `create_sharded` for a model that does not fit on one device. In several processes each
    calls this with the same state; a state on another mesh of the same processes is moved.

    Args:
        state: the state; it stays usable.
        mesh: as in `state_shardings`, like all that follow.
        shard: "fsdp" or "replicated".
        shard_axes: the mesh axes over which parameters are in parts.
        specs: parameters that stay in parts while they are used.
        min_size: smaller arrays are whole on each device.

    Returns:
        The same numbers in buffers of their own, with an architecture that brings parameters
        together where they are used.

    Raises:
        ValueError: as `state_shardings`.
    """
    shardings = state_shardings(
        state, mesh, shard=shard, shard_axes=shard_axes, specs=specs, min_size=min_size
    )
    placed = jax.tree.map(_place, state, shardings)
    return _with_layout(placed, shardings, specs or {})


def create_sharded(
    create: Callable[[], TrainState],
    mesh: Mesh,
    *,
    shard: str = "fsdp",
    shard_axes: Axes = None,
    specs: Mapping[str, PartitionSpec] | None = None,
    min_size: int = _MIN_SIZE,
) -> TrainState:
    """A new state of which no device ever holds more than its parts.

    `place_state(create(), …)`, but the initial numbers are drawn by a compiled program, each device
    its own.

    Args:
        create: makes the state, such as `lambda: TrainState.create(GPT(config, rngs=nnx.Rngs(0)),
            optimizer, key=jax.random.key(0))`; everything in it is traced.
        mesh: as in `state_shardings`, like all that follow.
        shard: "fsdp" or "replicated".
        shard_axes: the mesh axes over which parameters are in parts.
        specs: parameters that stay in parts while they are used.
        min_size: smaller arrays are whole on each device.

    Raises:
        ValueError: as `state_shardings`.
    """
    shardings = state_shardings(
        jax.eval_shape(create),
        mesh,
        shard=shard,
        shard_axes=shard_axes,
        specs=specs,
        min_size=min_size,
    )
    return _with_layout(jax.jit(create, out_shardings=shardings)(), shardings, specs or {})


def check_auto(mesh: Mesh) -> None:
    """Refuses a mesh whose axes JAX does not lay out by itself."""
    if set(mesh.axis_types) != {AxisType.Auto}:
        types = ", ".join(
            f"{n}: {t.name}" for n, t in zip(mesh.axis_names, mesh.axis_types, strict=True)
        )
        raise ValueError(
            f"mesh must have Auto axes, got {types}; models here leave the layout of "
            "activations to the compiler. Make it with jax.make_mesh("
            f"…, axis_types=(jax.sharding.AxisType.Auto,) * {len(mesh.axis_names)})"
        )


def named_axes(
    mesh: Mesh, axes: Axes, argument: str, *, leave: set[str] | frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """The mesh axes that an argument names; for None all but those to leave."""
    if axes is None:
        return tuple(name for name in mesh.axis_names if name not in leave)
    names = (axes,) if isinstance(axes, str) else tuple(axes)
    for name in names:
        if name not in mesh.axis_names:
            raise ValueError(f"{argument}: the mesh has no axis {name!r}, only {mesh.axis_names}")
    return names


def _with_layout(
    state: TrainState, shardings: TrainState, specs: Mapping[str, PartitionSpec]
) -> TrainState:
    inner = state.architecture
    inner = inner.inner if isinstance(inner, ShardedArchitecture) else inner
    stored = jax.tree_util.tree_leaves_with_path(shardings.params)
    used = tuple(
        NamedSharding(sharding.mesh, specs.get(_name(path), PartitionSpec()))
        for path, sharding in stored
    )
    architecture = ShardedArchitecture(inner, tuple(sharding for _, sharding in stored), used)
    return dataclasses.replace(state, architecture=architecture)


def _place(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """One array laid out, in a buffer of its own: a step will donate it."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _place(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    if sharding.is_fully_addressable or not leaf.is_fully_addressable:
        # Copied first, for device_put keeps the buffer of a device that already holds the array.
        return jax.device_put(jnp.copy(leaf), sharding)
    # In several processes device_put would first compare all of them, number by number.
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index].copy())


def _cut(
    leaf: Any, spec: PartitionSpec, *, mesh: Mesh, axes: tuple[str, ...], min_size: int
) -> NamedSharding:
    """Cut along the largest axis that is still whole and that the devices divide."""
    parts = math.prod(mesh.shape[name] for name in axes)
    entries = [*spec, *(None,) * (leaf.ndim - len(spec))]
    fitting = [i for i, n in enumerate(leaf.shape) if entries[i] is None and n and n % parts == 0]
    if axes and fitting and leaf.size >= min_size:
        longest = max(fitting, key=lambda i: leaf.shape[i])
        entries[longest] = axes[0] if len(axes) == 1 else axes
    while entries and entries[-1] is None:
        entries.pop()
    return NamedSharding(mesh, PartitionSpec(*entries))


def _optimizer_shardings(
    state: TrainState, by_path: Mapping[Any, NamedSharding], cut: Callable[..., NamedSharding]
) -> Any:
    """Moments lie as their parameters do; what has another shape, such as factors, by its own."""
    shapes = {path: leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state.params)}

    def found(path: tuple[Any, ...], leaf: Any) -> NamedSharding:
        # An optimizer keeps trees like the parameters', so a moment's path ends in theirs.
        for start in range(len(path)):
            if shapes.get(path[start:]) == leaf.shape:
                return by_path[path[start:]]
        return cut(leaf, PartitionSpec())

    return jax.tree_util.tree_map_with_path(found, state.opt_state)


def _used_specs(
    params: Any, mesh: Mesh, specs: Mapping[str, PartitionSpec]
) -> dict[str, PartitionSpec]:
    shapes = {_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    for name, spec in specs.items():
        if name not in shapes:
            near = difflib.get_close_matches(name, shapes, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {sorted(shapes)}"
            raise ValueError(f"specs: no parameter has the path {name!r}; {hint}")
        named_axes(mesh, _spec_axes(spec), f"specs[{name!r}]")
        try:
            NamedSharding(mesh, spec).shard_shape(shapes[name])
        except ValueError as error:
            raise ValueError(
                f"specs[{name!r}] = {spec} does not divide its shape {shapes[name]} on a mesh of "
                f"{dict(mesh.shape)}; pad that axis of the model, or leave it whole"
            ) from error
    return dict(specs)


def _spec_axes(spec: PartitionSpec) -> tuple[str, ...]:
    entries = [entry if isinstance(entry, tuple) else (entry,) for entry in spec]
    return tuple(name for entry in entries for name in entry if name is not None)


def _name(path: tuple[Any, ...]) -> str:
    """A parameter's path as one writes it: "blocks/0/qkv/kernel"."""
    # The last key of an nnx parameter is its .value, which nobody writes.
    keys = path[:-1] if path and getattr(path[-1], "name", None) == "value" else path
    return jax.tree_util.keystr(keys, simple=True, separator="/")
