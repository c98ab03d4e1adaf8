"""`xentjax summary …`: a model's layers and what one forward pass takes."""

import jax
import jax.numpy as jnp
from rich import box
from rich.console import Console
from rich.table import Table

from xentjax.cli.models import SummarizeCNN, SummarizeGPT, SummarizeMLP, SummarizeRNN
from xentjax.models import CNN, GPT, MLP, RNN, abstract_model, summarize

Options = SummarizeMLP | SummarizeCNN | SummarizeRNN | SummarizeGPT
_MODELS = {
    SummarizeMLP: ("MLP", MLP),
    SummarizeCNN: ("CNN", CNN),
    SummarizeRNN: ("RNN", RNN),
    SummarizeGPT: ("GPT", GPT),
}


def run_summary(options: Options, console: Console) -> None:
    """Print the table."""
    for size in ("batch", "side", "length"):
        if getattr(options, size, 1) < 1:
            raise ValueError(f"--{size} must be at least 1, got {getattr(options, size)}")
    name, model_type = _MODELS[type(options)]
    summary = summarize(abstract_model(model_type, options.model), _input(options))
    table = Table(
        title=f"{name}, a forward pass of a batch of {options.batch}",
        box=box.SIMPLE_HEAD,
        title_justify="left",
        show_footer=True,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    # Where a terminal is narrow the paths give way, never the figures.
    table.add_column("layer", footer="total", overflow="ellipsis", no_wrap=True)
    table.add_column("type", overflow="ellipsis", no_wrap=True)
    table.add_column("output", no_wrap=True, min_width=10)
    totals = summary.parameters, summary.flops, summary.output_bytes
    for label, total in zip(("params", " FLOPs", "out B"), totals, strict=True):
        figure = _short(total)
        table.add_column(label, footer=figure, justify="right", no_wrap=True, min_width=len(label))
    for layer in summary.layers:
        shapes = " ".join("×".join(map(str, shape)) for shape in layer.output_shapes)
        figures = map(_short, (layer.parameters, layer.flops, layer.output_bytes))
        table.add_row(layer.path or "(model)", layer.type, shapes, *figures)
    console.print(table)
    size = summary.parameter_bytes
    console.print(
        f"{summary.parameters:,} parameters, {_short(size)}B; with gradients and Adam's two "
        f"moments {_short(4 * size)}B. Forward {summary.flops:,} FLOPs; with the backward pass "
        "three times as many.",
        highlight=False,
    )


def _input(options: Options) -> jax.ShapeDtypeStruct:
    if isinstance(options, SummarizeMLP):
        return jax.ShapeDtypeStruct((options.batch, options.model.in_features), jnp.float32)
    if isinstance(options, SummarizeCNN):
        side, channels = options.side, options.model.in_channels
        return jax.ShapeDtypeStruct((options.batch, side, side, channels), jnp.float32)
    time = options.length if isinstance(options, SummarizeRNN) else options.model.block_size
    return jax.ShapeDtypeStruct((options.batch, time), jnp.int32)


def _short(number: int) -> str:
    """Three digits and a prefix: 1,234,567 is 1.23M."""
    if number < 1000:
        return f"{number:g}" if number else "·"
    power = 1
    while number >= 999.5 * 1000**power and power < 4:
        power += 1
    return f"{number / 1000**power:.3g}{'kMGT'[power - 1]}"
