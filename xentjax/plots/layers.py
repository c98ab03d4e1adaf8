"""The picture of a model's layers: the size of activations going in, of gradients coming back."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain, save

_READS, _GRADIENT, _DEAD = "#2f6ea5", "#c8452f", "#4a4a4a"


def draw_layers(layers: Sequence[Any], title: str, target: Path | BufferedIOBase) -> None:
    """Draw the spread of what each layer reads, its gradient, and the share of dead units.

    Args:
        layers: in order; what has `name`, `reads_std`, `gradient` and `dead`, such as the
            `Layer` of an audit; at least one.
        title: above the picture.
        target: a path, or an open file for SVG.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if there is no layer.
    """
    if not layers:
        raise ValueError("layers must hold at least one, got none")
    figure = new_figure(title, size=(7.0, 4.6))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    places = np.arange(len(layers))
    for name, colour, mark, label in (
        ("reads_std", _READS, "o", "activations read (standard deviation)"),
        ("gradient", _GRADIENT, "s", "gradient of what is written (length a row)"),
    ):
        values = np.array([getattr(layer, name) for layer in layers], float)
        # No logarithm of 0: a gap in the line.
        values[values <= 0] = np.nan
        above.plot(places, values, color=colour, marker=mark, lw=1.8, label=label)
    above.set_yscale("log")
    above.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    above.yaxis.set_minor_formatter(lambda *_: "")
    above.set(ylabel="size", ylim=_whole_decades(layers))
    dead = [100 * (layer.dead or 0.0) for layer in layers]
    below.bar(places, dead, color=_DEAD, width=0.5)
    below.set(ylabel="dead units\nread (%)", ylim=(0, max(5.0, 1.15 * max(dead))))
    below.set_xticks(places, [_short(layer.name) for layer in layers])
    below.tick_params(axis="x", rotation=0 if len(layers) <= 6 else 55)
    for panel in (above, below):
        plain(panel)
        panel.set_xlim(-0.5, len(layers) - 0.5)
    handles, labels = above.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False)
    save(figure, target)


def _whole_decades(layers: Sequence[Any]) -> tuple[float, float]:
    """Limits at powers of ten, so that the axis has at least two numbers."""
    sizes = np.array([[layer.reads_std, layer.gradient] for layer in layers], float)
    logs = np.log10(sizes[sizes > 0]) if (sizes > 0).any() else np.zeros(1)
    low, high = np.floor(logs.min()), np.ceil(logs.max())
    return float(10**low) / 1.2, float(10 ** max(high, low + 1)) * 1.2


def _short(name: str) -> str:
    return name if len(name) <= 18 else "…" + name[-17:]
