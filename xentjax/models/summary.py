"""What a model is made of: layers, shapes, parameters, FLOPs and bytes of one forward pass.

Ask before training: is it the size you meant, and where does the time go? The model is traced on
shapes alone, so a summary costs no memory and no arithmetic, however large the model.
"""

import collections
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from xentjax.models.layer_calls import LayerCalls, trace_calls
from xentjax.models.product_flops import count_product_flops

_HEADER = ("layer", "type", "output", "parameters", "FLOPs", "parameter bytes", "output bytes")


@dataclasses.dataclass(frozen=True)
class LayerSummary:
    """One layer, without the layers inside it: those have rows of their own.

    Attributes:
        path: where it is in the model, such as "blocks.0.qkv"; "" for the model itself.
        type: the name of its class.
        output_shapes: of the arrays its last call returned; empty if it was never called.
        parameters: numbers in the `nnx.Param`s it holds itself.
        flops: of the matrix products and convolutions it takes itself, all calls together.
        parameter_bytes: of those parameters.
        output_bytes: of the arrays its calls returned that no layer had returned before.
    """

    path: str
    type: str
    output_shapes: tuple[tuple[int, ...], ...]
    parameters: int
    flops: int
    parameter_bytes: int
    output_bytes: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """The layers of a model in the order they are called, the model itself first.

    Every figure belongs to one layer, so the totals are sums over the rows. `str()` gives a table
    in plain text, `cells()` its cells for a table of your own.

    Attributes:
        layers: the rows; layers that hold, compute and return nothing new are left out.
        has_unbounded_loop: whether there is a loop whose length XLA does not know (`while_loop`);
            its body is counted once.
    """

    layers: tuple[LayerSummary, ...]
    has_unbounded_loop: bool

    @property
    def parameters(self) -> int:
        """Numbers that are trained; a shared layer or tied weight counts once."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def flops(self) -> int:
        """FLOPs of one forward pass; forward and backward together take three times as many."""
        return sum(layer.flops for layer in self.layers)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters; gradients take as many again, Adam's moments twice as many."""
        return sum(layer.parameter_bytes for layer in self.layers)

    @property
    def output_bytes(self) -> int:
        """Bytes of all layers' outputs: about what the backward pass must have kept, at least."""
        return sum(layer.output_bytes for layer in self.layers)

    def cells(self) -> tuple[tuple[str, ...], ...]:
        """The table as text: a header, a row a layer, and the totals."""
        rows = [_cells(layer) for layer in self.layers]
        totals = (self.parameters, self.flops, self.parameter_bytes, self.output_bytes)
        return (_HEADER, *rows, ("total", "", "", *(f"{total:,}" for total in totals)))

    def __str__(self) -> str:
        cells = self.cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = []
        for row in cells:
            words = [word.ljust(width) for word, width in zip(row[:3], widths[:3], strict=True)]
            numbers = [word.rjust(width) for word, width in zip(row[3:], widths[3:], strict=True)]
            lines.append("  ".join(words + numbers))
        if self.has_unbounded_loop:
            lines.append("FLOPs count the body of a loop of unknown length once.")
        return "\n".join(lines)


def summarize(model: Any, *inputs: Any, **named_inputs: Any) -> Summary:
    """Summarizes the layers of a model and one forward pass, in evaluation mode.

    FLOPs are 2·M·K·N for a product of `[M, K]` by `[K, N]`, and 2 for each output times each entry
    of the kernel that it reads for a convolution, padding included. Elementwise work, softmax and
    norms are left out, as is usual; so is what a hand-written kernel does inside. A scan's body
    counts once for each of its steps, which XLA's own cost analysis does not do; of the branches
    of a condition the dearest counts.

    Args:
        model: a flax.nnx model; it is not changed. One made by `nnx.eval_shape` has shapes in
            place of weights, and needs no memory either.
        inputs: what it is called with: arrays, or `jax.ShapeDtypeStruct`s in their place.
        named_inputs: the same, by keyword.

    Returns:
        The summary.

    Raises:
        TypeError: if model is not a flax.nnx module.

    Example:
        >>> from xentjax.models.mlp import MLP, MLPConfig
        >>> model = MLP(MLPConfig(in_features=4, hidden_features=(8,), classes=3), rngs=nnx.Rngs(0))
        >>> summary = summarize(model, jax.ShapeDtypeStruct((2, 4), "float32"))
        >>> summary.parameters, summary.flops  # 4·8 + 8 + 8·3 + 3, and 2·2·(4·8 + 8·3)
        (67, 224)
        >>> [layer.path for layer in summary.layers]
        ['', 'layers.0', 'dropouts.0', 'head']
    """
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"model must be a flax.nnx module, got {type(model).__name__}; give a Linen module "
            "through nnx.bridge.ToNNX"
        )
    program, calls = trace_calls(model, inputs, named_inputs)
    flops, has_unbounded_loop = count_product_flops(program)
    types = {path: type(module).__name__ for path, module in nnx.iter_modules(model)}
    parameters = _parameters_by_layer(model, tuple(types))
    called = [layer.path for layer in calls]
    never = [path for path in parameters if path not in called]
    calls += [LayerCalls(path) for path in sorted(never, key=str)]
    layers = [
        LayerSummary(
            path=".".join(map(str, call.path)),
            type=types[call.path],
            output_shapes=call.shapes,
            parameters=sum(leaf.size for leaf in parameters[call.path]),
            flops=flops.get(number, 0),
            parameter_bytes=sum(leaf.size * leaf.dtype.itemsize for leaf in parameters[call.path]),
            output_bytes=call.new_bytes,
        )
        for number, call in enumerate(calls)
    ]
    kept = (
        row for row in layers if not row.path or row.parameters or row.flops or row.output_bytes
    )
    return Summary(layers=tuple(kept), has_unbounded_loop=has_unbounded_loop)


def abstract_model(architecture: Callable[..., nnx.Module], config: Any) -> nnx.Module:
    """A model of shapes alone, to summarize one that would not fit in memory.

    Args:
        architecture: the class, such as GPT.
        config: its config.

    Example:
        >>> from xentjax.models.mlp import MLP, MLPConfig
        >>> model = abstract_model(MLP, MLPConfig(in_features=10**6, hidden_features=(10**6,)))
        >>> summarize(model, jax.ShapeDtypeStruct((1, 10**6), "float32")).parameter_bytes
        4000044000040
    """
    return nnx.eval_shape(lambda: architecture(config, rngs=nnx.Rngs(0)))


def _parameters_by_layer(
    model: nnx.Module, paths: tuple[tuple[Any, ...], ...]
) -> collections.defaultdict[tuple[Any, ...], list[Any]]:
    """The arrays that each layer holds itself: those of no layer inside it."""
    owned: collections.defaultdict[tuple[Any, ...], list[Any]] = collections.defaultdict(list)
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Param)):
        owners = (owner for owner in paths if path[: len(owner)] == owner)
        owned[max(owners, key=len)] += jax.tree.leaves(variable)
    return owned


def _cells(layer: LayerSummary) -> tuple[str, ...]:
    shapes = ", ".join(str(list(shape)) for shape in layer.output_shapes)
    numbers = (layer.parameters, layer.flops, layer.parameter_bytes, layer.output_bytes)
    return (layer.path or "(model)", layer.type, shapes, *(f"{number:,}" for number in numbers))
