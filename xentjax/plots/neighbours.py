"""The picture of influence: a test image beside the training images most alike to the model."""

import dataclasses
from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, save

_TEST, _SAME, _OTHER = "#4a4a4a", "#2f6ea5", "#c8452f"


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """A test image and training images.

    Attributes:
        label: of the test image, such as "3, read as 8".
        image: [height, width] or [height, width, channels].
        others: of the training images, the closest first.
        other_labels: what each is called.
        alike: whether each has the test image's label.
    """

    label: str
    image: np.ndarray
    others: Sequence[np.ndarray]
    other_labels: Sequence[str]
    alike: Sequence[bool]


def draw_neighbours(rows: Sequence[Neighbours], title: str, target: Path | BufferedIOBase) -> None:
    """Draw each test image and, to its right, its training images.

    A blue frame is a training image of the same label as the test image, a red one of another.

    Args:
        rows: with the same number of training images; at least one.
        title: above the picture.
        target: a path, or an open file for SVG.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if there is no row.
    """
    if not rows:
        raise ValueError("rows must hold at least one test image, got none")
    columns = 1 + max(len(row.others) for row in rows)
    figure = new_figure(title, size=(7.2, 0.6 + (7.2 / columns + 0.2) * len(rows)))
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(panels, rows, strict=True):
        _draw(line[0], row.image, row.label, _TEST)
        for panel, image, label, alike in zip(
            line[1:], row.others, row.other_labels, row.alike, strict=False
        ):
            _draw(panel, image, label, _SAME if alike else _OTHER)
        for panel in line[1 + len(row.others) :]:
            panel.set_axis_off()
    save(figure, target)


def _draw(panel: Any, image: np.ndarray, label: str, colour: str) -> None:
    squeezed = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    low, high = float(squeezed.min()), float(squeezed.max())
    panel.imshow((squeezed - low) / max(high - low, 1e-12), cmap="gray_r")
    panel.set(xticks=[], yticks=[])
    panel.set_title(literal(label, longest=12), fontsize=11, color=colour)
    panel.spines[:].set(color=colour, linewidth=2.5)
