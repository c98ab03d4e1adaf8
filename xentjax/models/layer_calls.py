"""Which layers a model calls, in what order, and what they return: a trace that is listened to.

The model is traced on shapes, never run. Each layer of a copy is made to report its calls, and to
stand in a scope of its own in the traced program.
"""

import dataclasses
import functools
from typing import Any

import jax
from flax import nnx

from xentjax.models.product_flops import scope_name


@dataclasses.dataclass
class LayerCalls:
    """What the calls of one layer returned.

    Attributes:
        path: of the layer in the model.
        shapes: of the arrays of the last call.
        new_bytes: of the arrays of all calls that nobody had returned before.
    """

    path: tuple[Any, ...]
    shapes: tuple[tuple[int, ...], ...] = ()
    new_bytes: int = 0


def trace_calls(
    model: nnx.Module, inputs: tuple[Any, ...], named_inputs: dict[str, Any]
) -> tuple[Any, list[LayerCalls]]:
    """Traces a model in evaluation mode.

    Args:
        model: it is not changed.
        inputs: arrays or `jax.ShapeDtypeStruct`s.
        named_inputs: the same, by keyword.

    Returns:
        The program, where the products of the layer of number n stand in scope n, and the layers
        called, in order of their first call: the model itself is number 0.
    """
    graphdef, state = nnx.split(model)
    listener = _Listener()

    def forward(state: Any, inputs: Any, named_inputs: Any) -> Any:
        # A copy of the trace's own, so that the classes and modes changed are not the caller's.
        copy = nnx.merge(graphdef, state)
        copy.eval()
        for path, module in list(nnx.iter_modules(copy)):
            _listen(module, path, listener)
        listener.returned = {id(leaf): leaf for leaf in jax.tree.leaves((inputs, named_inputs))}
        return copy(*inputs, **named_inputs)

    program = jax.make_jaxpr(forward)(state, inputs, named_inputs)
    return program, listener.calls


class _Listener:
    """The calls so far, and the arrays returned so far, held so that no id is used twice."""

    def __init__(self) -> None:
        self.calls: list[LayerCalls] = []
        self.returned: dict[int, Any] = {}

    def number(self, path: tuple[Any, ...]) -> int:
        """The number of a layer, a new one at its first call."""
        for number, layer in enumerate(self.calls):
            if layer.path == path:
                return number
        self.calls.append(LayerCalls(path))
        return len(self.calls) - 1

    def hear(self, number: int, output: Any) -> None:
        arrays = [leaf for leaf in jax.tree.leaves(output) if hasattr(leaf, "shape")]
        layer = self.calls[number]
        layer.shapes = tuple(tuple(array.shape) for array in arrays)
        new = [array for array in arrays if id(array) not in self.returned]
        layer.new_bytes += sum(array.size * array.dtype.itemsize for array in new)
        self.returned.update({id(array): array for array in new})


def _listen(module: Any, path: tuple[Any, ...], listener: _Listener) -> None:
    # Around nnx's own __setattr__, which would make these attributes part of the model. The class
    # of the one object is changed, not the class: other models are not listened to.
    object.__setattr__(module, "__class__", _listening(type(module)))
    object.__setattr__(module, "_call_listener", (listener, path))


@functools.cache
def _listening(layer_class: type) -> type:
    """A subclass whose calls are reported, made once a class since JAX registers each."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        listener, path = self._call_listener
        number = listener.number(path)
        with jax.named_scope(scope_name(number)):
            output = layer_class.__call__(self, *args, **kwargs)  # pyright: ignore
        listener.hear(number, output)
        return output

    return type(layer_class)(layer_class.__name__, (layer_class,), {"__call__": call})
