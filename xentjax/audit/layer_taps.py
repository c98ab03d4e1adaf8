"""Taps: what the layers of a running model read and write, without a word in the model.

Each layer that holds a weight of two axes or more is made to report its calls, and to add a given
number to what it writes, so that the gradient for that number is the gradient of its output.
"""

import functools
from typing import Any, NamedTuple

import jax
from flax import nnx


class Taps(NamedTuple):
    """The calls of a model's layers, in their order."""

    names: tuple[str, ...]
    paths: tuple[tuple[Any, ...], ...]
    reads: list[Any]  # first argument of each call, [n, …]
    writes: list[Any]  # what it returned, [n, …]


# Names and paths are static: they pass through jit beside the arrays.
jax.tree_util.register_pytree_node(
    Taps,
    lambda taps: ((taps.reads, taps.writes), (taps.names, taps.paths)),
    lambda static, arrays: Taps(*static, *arrays),
)


def tapped(model: nnx.Module, x: Any, nudges: list[Any] | None) -> tuple[Any, Taps]:
    """Calls a model and listens.

    Args:
        model: of the trace's own; its layers stay tapped.
        x: what it is called with.
        nudges: one array for each tap, added to what the layer writes, or None.

    Returns:
        The logits and the taps.
    """
    listener = _Listener(nudges)
    for path, module in list(nnx.iter_modules(model)):
        if any(isinstance(v, nnx.Param) and v[...].ndim > 1 for v in vars(module).values()):
            # Around nnx's own __setattr__, which would make these part of the model; the class
            # of this object alone is changed.
            object.__setattr__(module, "__class__", _tapped_class(type(module)))
            object.__setattr__(module, "_tap", (listener, path))
    logits = model(x)  # pyright: ignore[reportCallIssue]
    return logits, listener.taps()


class _Listener:
    """The calls so far."""

    def __init__(self, nudges: list[Any] | None) -> None:
        self.nudges = nudges
        self.calls: list[tuple[tuple[Any, ...], Any, Any]] = []

    def hear(self, path: tuple[Any, ...], read: Any, written: Any) -> Any:
        if self.nudges is not None:
            written = written + self.nudges[len(self.calls)]
        self.calls.append((path, read, written))
        return written

    def taps(self) -> Taps:
        paths = tuple(path for path, _, _ in self.calls)
        names = tuple(".".join(map(str, path)) or "(model)" for path in paths)
        return Taps(names, paths, [c[1] for c in self.calls], [c[2] for c in self.calls])


@functools.cache
def _tapped_class(layer_class: type) -> type:
    """A subclass whose calls are heard, made once a class since JAX registers each."""

    def call(self: Any, x: Any, *args: Any, **kwargs: Any) -> Any:
        written = layer_class.__call__(self, x, *args, **kwargs)  # pyright: ignore
        listener, path = self._tap
        return listener.hear(path, x, written)

    return type(layer_class)(layer_class.__name__, (layer_class,), {"__call__": call})
