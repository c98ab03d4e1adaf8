"""A gallery of rows whose labels are under suspicion, for rows that are images."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, save

_GIVEN, _SUGGESTED = "#c8452f", "#2f6690"
_COLUMNS, _MOST = 4, 12


def draw_suspects(
    images: Any, given: Sequence[str], suggested: Sequence[str], target: Path | BufferedIOBase
) -> None:
    """Draw images with the label each was given above and the one suggested below.

    Args:
        images: [n, height, width] of one number a pixel, most suspicious first; the first 12 are
            drawn, each on a scale of its own.
        given: names of the labels given.
        suggested: names of the labels a model suggests.
        target: a path, or an open file for SVG.

    Raises:
        ValueError: if there is no image, or names and images differ in number.
    """
    images = np.asarray(images)
    if images.ndim != 3 or not len(images) or not len(images) == len(given) == len(suggested):
        raise ValueError(
            f"images must be [n, height, width] with n ≥ 1 names of each kind, got shape "
            f"{images.shape}, {len(given)} given and {len(suggested)} suggested"
        )
    shown = min(len(images), _MOST)
    columns = min(shown, _COLUMNS)
    rows = -(-shown // columns)
    figure = new_figure("Labels to look at", size=(1.65 * _COLUMNS + 0.4, 2.15 * rows + 0.5))
    # Always as wide as a full row, so that a single image is no poster.
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for panel in panels[shown:]:
        panel.set_axis_off()
    for number in range(shown):
        panel = panels[number]
        panel.set(xticks=[], yticks=[])
        panel.spines[:].set_color("#d0d0d0")
        panel.imshow(images[number], cmap="Greys", interpolation="nearest")
        panel.set_title(
            f"given {literal(given[number], longest=9)}", fontsize=13, color=_GIVEN, pad=3
        )
        panel.text(
            0.5,
            -0.04,
            f"rather {literal(suggested[number], longest=9)}?",
            transform=panel.transAxes,
            ha="center",
            va="top",
            fontsize=13,
            color=_SUGGESTED,
        )
    save(figure, target)
