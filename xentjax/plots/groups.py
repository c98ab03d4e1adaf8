"""Pictures of groups: one rate of each group, a dot with its interval."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, plain, save

_GROUP, _WORST, _OVERALL = "#5b7f9e", "#c8452f", "#4a4a4a"


def draw_groups(
    names: Sequence[str],
    counts: Sequence[int],
    rates: Any,
    overall: float,
    target: Path | BufferedIOBase,
    *,
    title: str = "Accuracy by group",
    label: str = "accuracy",
) -> None:
    """Draws one row a group, the lowest rates in their own colour and with a cross.

    Groups without the rate (NaN) are named and have no dot.

    Args:
        names: of the groups.
        counts: rows of each.
        rates: what has `value`, `low` and `high`, each [G]; such as `GroupRates.accuracy`.
        overall: the rate of all rows, a dashed line.
        target: the picture to write.
        title: above it.
        label: of the axis.
    """
    values = np.asarray(rates.value, float)
    figure = new_figure(title, size=(7.2, 1.7 + 0.42 * len(names)))
    panel = figure.subplots()
    known = ~np.isnan(values)
    lowest = np.nanmin(values) if known.any() else np.nan
    panel.axvline(overall, color=_OVERALL, lw=1.2, ls=(0, (5, 3)), zorder=0)
    for place, value in enumerate(values):
        if not known[place]:
            continue
        # The crosses tell the lowest to those who do not tell the colours.
        colour, mark = (_WORST, "X") if value == lowest else (_GROUP, "o")
        ends = [float(rates.low[place]), float(rates.high[place])]
        panel.plot(ends, [place, place], color=colour, lw=3, alpha=0.45)
        panel.plot([value], [place], mark, color=colour, ms=8)
        panel.annotate(
            f"{value:.1%}",
            (1.01, place),
            xycoords=("axes fraction", "data"),
            color=colour,
            va="center",
            annotation_clip=False,
            fontsize=10,
        )
    panel.set_yticks(
        range(len(names)),
        [f"{literal(n, longest=22)} ({c})" for n, c in zip(names, counts, strict=True)],
    )
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    panel.locator_params(axis="x", nbins=6)
    panel.set_xlabel(f"{label}; dashed: all rows, {overall:.1%}")
    plain(panel)
    panel.grid(visible=False, axis="y")
    save(figure, target)
