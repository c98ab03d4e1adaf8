"""A picture of how many rows each class has in each split."""

from collections.abc import Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, plain, save

_COLOURS = ("#9db4c8", "#c8452f", "#4a4a4a", "#3f7d58")
_MOST = 20  # classes whose bars can be told apart


def draw_class_counts(
    counts: Mapping[str, Any], names: Sequence[str], target: Path | BufferedIOBase
) -> None:
    """Draw a bar for each class and split: its share of the rows, the number above it.

    Of more than 20 classes the 10 largest and the 10 smallest are drawn.

    Args:
        counts: of each split the rows of each class, [C].
        names: of the classes.
        target: a path, or an open file for SVG.

    Raises:
        ValueError: if there is no split, or names and counts differ in number.
    """
    wrong = [split for split, row in counts.items() if len(row) != len(names)]
    if not counts or wrong:
        raise ValueError(f"counts must hold one number for each of {len(names)} names, got {wrong}")
    first = np.asarray(next(iter(counts.values())))
    kept = np.arange(len(names))
    if len(names) > _MOST:
        order = np.argsort(-first, kind="stable")
        kept = np.concatenate([order[: _MOST // 2], order[-_MOST // 2 :]])
    figure = new_figure("Rows of each class", size=(7.0, 3.8))
    panel = figure.subplots()
    _draw_bars(panel, {split: np.asarray(row) for split, row in counts.items()}, kept)
    shown = [names[int(k)] for k in kept]
    texts = [literal(name, longest=12) for name in shown]
    slanted = sum(map(len, texts)) > 60
    panel.set_xticks(
        range(len(kept)),
        texts,
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        fontsize=11,
    )
    panel.set_ylabel("share of the split", fontsize=11)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    plain(panel)
    panel.grid(axis="x", visible=False)
    figure.legend(frameon=False, loc="outside lower center", ncols=len(counts), fontsize=11)
    save(figure, target)


def _draw_bars(panel: Any, counts: Mapping[str, np.ndarray], kept: np.ndarray) -> None:
    width = 0.8 / len(counts)
    for number, (split, row) in enumerate(counts.items()):
        places = np.arange(len(kept)) + (number - (len(counts) - 1) / 2) * width
        shares = row[kept] / max(row.sum(), 1)
        panel.bar(
            places,
            shares,
            width=0.92 * width,
            color=_COLOURS[number % len(_COLOURS)],
            label=f"{split} ({row.sum():,} rows)",
        )
        if len(kept) * len(counts) <= 16:
            for place, share, rows in zip(places, shares, row[kept], strict=True):
                panel.annotate(
                    f"{rows:,}",
                    (place, share),
                    (0, 2),
                    textcoords="offset points",
                    ha="center",
                    va="bottom",
                    fontsize=9,
                )
