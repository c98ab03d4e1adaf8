"""Reliability diagrams: how often what was said with some confidence came true."""

from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain, save

_BEFORE, _AFTER, _IDEAL = "#c8452f", "#2f4b66", "#8a8a8a"


def draw_reliability(
    before: Any,
    after: Any | None,
    target: Path | BufferedIOBase,
    *,
    title: str = "Does it come true as often as it is said?",
    unit: str = "rows",
) -> None:
    """Draw accuracy against confidence, with intervals, above the number of rows in each bin.

    Args:
        before: what has `count`, `confidence`, `accuracy`, `low` and `high`, arrays [bins], such as
            `xentjax.audit.calibration.ReliabilityDiagram`.
        after: the same after a correction, or None.
        target: the file to write, see `canvas.save`.
        title: above the picture.
        unit: what is counted.
    """
    figure = new_figure(title, size=(6.0, 5.0))
    curve, rows = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    curve.plot([0, 1], [0, 1], color=_IDEAL, lw=1.2, ls=(0, (5, 3)))
    drawn = [(before, _BEFORE, "as trained", "o", -1)]
    if after is not None:
        drawn.append((after, _AFTER, "after temperature scaling", "s", 1))
    for diagram, colour, label, marker, side in drawn:
        _draw_points(curve, diagram, colour, label, marker)
        width = 1 / len(diagram.count)
        centres = (np.arange(len(diagram.count)) + 0.5) * width
        part = 0.8 * width / len(drawn)
        offset = 0.0 if len(drawn) == 1 else side * part / 2
        rows.bar(centres + offset, diagram.count, width=part, color=colour)
    curve.annotate(
        "too sure of itself", (0.97, 0.06), ha="right", fontsize=10, color=_IDEAL, style="italic"
    )
    curve.annotate(
        "not sure enough", (0.03, 0.92), va="top", fontsize=10, color=_IDEAL, style="italic"
    )
    curve.set(ylabel="how often it was right", xlim=(0, 1), ylim=(0, 1.02))
    rows.set(xlabel="how sure the model said it was", ylabel=unit, yscale="log", ylim=(0.7, None))
    rows.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axis in (curve.xaxis, curve.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    for panel in (curve, rows):
        plain(panel)
    figure.legend(
        *curve.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2
    )
    save(figure, target)


def _draw_points(panel: Any, diagram: Any, colour: str, label: str, marker: str) -> None:
    held = diagram.count > 0
    accuracy = diagram.accuracy[held]
    # Roundings must not make a whisker negative.
    reach = np.maximum([accuracy - diagram.low[held], diagram.high[held] - accuracy], 0)
    panel.errorbar(
        diagram.confidence[held],
        accuracy,
        yerr=reach,
        color=colour,
        marker=marker,
        markersize=5,
        linewidth=1.0,
        elinewidth=1.2,
        capsize=2.5,
        label=label,
    )
