"""Prediction sets: how large they are, and whether each class is covered as promised."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, plain, save

_BAR, _POINT, _PROMISE = "#9db4c8", "#2f4b66", "#c8452f"
_MOST_CLASSES = 24  # whose names can be read below each other


def draw_prediction_sets(
    coverage: Any,
    class_names: Sequence[str],
    promised: float,
    target: Path | BufferedIOBase,
    *,
    title: str = "Sets of answers that hold the right one",
) -> None:
    """Draw how many classes the sets hold, and how often they hold the true one, class by class.

    Args:
        coverage: what has `by_size` and `by_class`, each with `count`, `value`, `low` and `high`,
            such as `xentjax.audit.coverage.SetCoverage`.
        class_names: in the order of `by_class`; of more than 24 the worst covered are shown.
        promised: the coverage that was promised.
        target: the file to write, see `canvas.save`.
        title: above the picture.
    """
    order = np.argsort(np.nan_to_num(coverage.by_class.value, nan=2.0), kind="stable")
    order = np.sort(order[:_MOST_CLASSES])
    figure = new_figure(title, size=(6.0, max(4.2, 1.6 + 0.26 * len(order))))
    sizes, classes = figure.subplots(1, 2, width_ratios=[1, 1.35])
    _draw_sizes(sizes, coverage.by_size)
    _draw_classes(classes, coverage.by_class, [class_names[int(i)] for i in order], order)
    classes.axvline(
        promised, color=_PROMISE, lw=1.4, ls=(0, (5, 3)), label=f"{promised:.0%} promised"
    )
    figure.legend(*classes.get_legend_handles_labels(), frameon=False, loc="outside lower center")
    for panel in (sizes, classes):
        plain(panel)
    save(figure, target)


def _draw_sizes(panel: Any, by_size: Any) -> None:
    held = np.flatnonzero(by_size.count)
    # Three sizes at least, or a single bar fills the panel.
    first = int(held.min())
    last = max(int(held.max()), min(first + 2, len(by_size.count) - 1))
    shown = np.arange(first, last + 1)
    share = by_size.count[shown] / by_size.count.sum()
    bars = panel.bar(shown, share, color=_BAR)
    if len(shown) <= 6:
        panel.bar_label(bars, [f"{value:.0%}" for value in share], fontsize=9, padding=1)
    panel.set(xlabel="answers in the set", ylabel="share of rows", ylim=(0, 1.12 * share.max()))
    if len(shown) <= 12:
        panel.set_xticks(shown)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")


def _draw_classes(panel: Any, by_class: Any, names: Sequence[str], order: np.ndarray) -> None:
    height = np.arange(len(order))
    value = by_class.value[order]
    reach = np.maximum([value - by_class.low[order], by_class.high[order] - value], 0)
    panel.errorbar(
        value, height, xerr=reach, fmt="o", color=_POINT, markersize=5, elinewidth=1.2, capsize=2.5
    )
    low = np.nanmin(by_class.low[order]) if np.isfinite(value).any() else 0.0
    panel.set(xlabel="sets that hold the true class", xlim=(max(0.0, float(low) - 0.05), 1.02))
    panel.set_yticks(height, [literal(name, longest=14) for name in names])
    panel.set_ylim(len(order) - 0.4, -0.6)
    panel.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
