"""Pictures of robustness: accuracy against the size of an attack or of noise."""

import dataclasses
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain, save

# By order: the strongest attack is drawn in the strongest colour.
_COLOURS = ("#c8452f", "#c98a1b", "#2f6ea5", "#8a5fa8", "#4a4a4a")
_MARKS = ("o", "s", "^", "D", "v")


@dataclasses.dataclass(frozen=True)
class AccuracyCurve:
    """Accuracy by size, with its interval.

    Attributes:
        label: what was done.
        sizes: [S].
        accuracy: [S].
        low: [S].
        high: [S].
        points: [S, R], single repetitions, or None.
    """

    label: str
    sizes: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    points: np.ndarray | None = None


def draw_accuracy_curves(
    curves: Sequence[AccuracyCurve],
    title: str,
    xlabel: str,
    chance: float,
    target: Path | BufferedIOBase,
) -> None:
    """Draw accuracies over sizes with bands for their intervals, and what guessing would give.

    Sizes are placed side by side at equal distances, for they often double.

    Args:
        curves: with the same sizes, shares that are shown in percent; at least one.
        title: above the picture.
        xlabel: below it: what a size is.
        chance: accuracy of the most frequent class.
        target: a path, or an open file for SVG.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if there is no curve.
    """
    if not curves:
        raise ValueError("curves must hold at least one, got none")
    figure = new_figure(title, size=(7.0, 4.2))
    panel = figure.subplots()
    sizes = curves[0].sizes
    places = np.arange(len(sizes))
    for number, curve in enumerate(curves):
        colour, mark = _COLOURS[number % 5], _MARKS[number % 5]
        panel.fill_between(places, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
        panel.plot(places, curve.accuracy, color=colour, marker=mark, lw=1.8, label=curve.label)
        if curve.points is not None:
            spread = np.broadcast_to(places[:, None], curve.points.shape)
            panel.scatter(spread, curve.points, s=9, color=colour, alpha=0.5, zorder=3)
    panel.axhline(chance, color="#4a4a4a", lw=1.1, ls=(0, (5, 3)), label="most frequent class")
    panel.set_xticks(
        places, [f"{size:.2%}".rstrip("0%").rstrip(".") + "%" if size else "0" for size in sizes]
    )
    panel.set(xlabel=xlabel, ylabel="accuracy", ylim=(-0.02, 1.03))
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _legend(figure, panel)
    plain(panel)
    save(figure, target)


def _legend(figure: Any, panel: Any) -> None:
    """Below, where no curve runs."""
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
