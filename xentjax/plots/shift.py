"""A picture of how far each feature moved between two sets of rows."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, plain, save

_ALIKE, _MOVED, _REFERENCE = "#9db4c8", "#c8452f", "#4a4a4a"
_MOST = 10


def draw_shift(
    distances: Any, adjusted: Any, names: Sequence[str], target: Path | BufferedIOBase
) -> None:
    """Draw the features that moved most, those beyond chance in another colour.

    Args:
        distances: Kolmogorov–Smirnov distances, [F].
        adjusted: their p-values, corrected for F features.
        names: of the features.
        target: a path, or an open file for SVG.

    Raises:
        ValueError: if there is no feature, or the three differ in length.
    """
    distances, adjusted = np.asarray(distances), np.asarray(adjusted)
    if not len(distances) or not len(distances) == len(adjusted) == len(names):
        raise ValueError(
            "distances, adjusted and names must have one entry a feature, got "
            f"{len(distances)}, {len(adjusted)} and {len(names)}"
        )
    kept = np.argsort(-distances, kind="stable")[:_MOST][::-1]
    figure = new_figure("Features that differ most", size=(7.0, 0.34 * len(kept) + 1.5))
    panel = figure.subplots()
    moved = adjusted[kept] < 0.05
    panel.barh(range(len(kept)), distances[kept], color=np.where(moved, _MOVED, _ALIKE))
    for place, (number, beyond) in enumerate(zip(kept, moved, strict=True)):
        panel.annotate(
            f"{distances[number]:.2f}{' beyond chance' if beyond else ''}",
            (distances[number], place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=_REFERENCE,
        )
    panel.set_yticks(
        range(len(kept)), [literal(names[int(k)], longest=32) for k in kept], fontsize=11
    )
    panel.set_xlabel("largest gap of the two distributions (0 alike, 1 apart)", fontsize=11)
    panel.set_xlim(0, max(0.1, 1.35 * float(distances[kept].max())))
    plain(panel)
    panel.grid(axis="y", visible=False)
    save(figure, target)
