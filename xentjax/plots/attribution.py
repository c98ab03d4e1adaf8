"""Pictures of attributions: maps beside images, bars for the features of a table, deletion."""

import dataclasses
from collections.abc import Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, plain, save

_FOR, _AGAINST, _REFERENCE = "#c8452f", "#2f6ea5", "#4a4a4a"


@dataclasses.dataclass(frozen=True)
class ExplainedImage:
    """An image and what several methods say of it.

    Attributes:
        label: beside it, such as "3, read as 8".
        image: [height, width] or [height, width, channels].
        maps: name of a method → [height, width], signed.
    """

    label: str
    image: np.ndarray
    maps: Mapping[str, np.ndarray]


def draw_explained_images(
    examples: Sequence[ExplainedImage], title: str, target: Path | BufferedIOBase
) -> None:
    """Draw each image in a row with its maps: red speaks for the class, blue against it.

    Every map has a scale of its own, so sizes are compared within a map only.

    Args:
        examples: one row each, with the same methods; at least one.
        title: above the picture.
        target: a path, or an open file for SVG.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if there is no example.
    """
    if not examples:
        raise ValueError("examples must hold at least one image, got none")
    names = list(examples[0].maps)
    columns = 1 + len(names)
    figure = new_figure(title, size=(7.2, 0.6 + 7.2 / columns * len(examples)))
    panels = figure.subplots(len(examples), columns, squeeze=False)
    for row, example in zip(panels, examples, strict=True):
        _draw_image(row[0], example.image)
        row[0].set_ylabel(literal(example.label, longest=24), fontsize=11)
        for panel, name in zip(row[1:], names, strict=True):
            _draw_map(panel, example.maps[name])
    for panel, name in zip(panels[0], ["input", *names], strict=True):
        panel.set_title(name, fontsize=11)
    save(figure, target)


def draw_feature_bars(
    names: Sequence[str],
    values: np.ndarray,
    intervals: np.ndarray,
    title: str,
    target: Path | BufferedIOBase,
) -> None:
    """Draw the mean size of each feature's attribution, the largest on top.

    Args:
        names: of the features, as long as values.
        values: [F], at least 0.
        intervals: [F, 2], low and high.
        title: above the picture.
        target: a path, or an open file for SVG.

    Raises:
        ImportError: if matplotlib is missing.
    """
    order = np.argsort(values)
    figure = new_figure(title, size=(7.0, 1.3 + 0.32 * len(order)))
    panel = figure.subplots()
    places = np.arange(len(order))
    away = np.abs(intervals[order].T - values[order][None])
    panel.barh(places, values[order], color=_AGAINST, height=0.7)
    panel.errorbar(
        values[order], places, xerr=away, fmt="none", ecolor=_REFERENCE, elinewidth=1.2, capsize=2
    )
    panel.set_yticks(places, [literal(names[int(number)], longest=28) for number in order])
    panel.set(xlabel="mean size of the attribution, in units of the logit", xlim=(0, None))
    plain(panel)
    panel.grid(visible=False, axis="y")
    save(figure, target)


def draw_deletion_curve(curve: Any, title: str, target: Path | BufferedIOBase) -> None:
    """Draw the label's probability as features go, the most attributed first and at random.

    Args:
        curve: what has `shares`, `attributed` and `random`, such as a `DeletionCurve`.
        title: above the picture.
        target: a path, or an open file for SVG.

    Raises:
        ImportError: if matplotlib is missing.
    """
    figure = new_figure(title, size=(7.0, 3.8))
    panel = figure.subplots()
    panel.fill_between(curve.shares, curve.attributed, curve.random, color=_FOR, alpha=0.12)
    panel.plot(curve.shares, curve.random, color=_REFERENCE, ls=(0, (5, 3)), label="at random")
    panel.plot(curve.shares, curve.attributed, color=_FOR, lw=2, label="most attributed first")
    panel.set(xlabel="share of the features taken away", ylabel="mean probability", ylim=(0, 1.03))
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.legend(frameon=False, loc="upper right")
    plain(panel)
    save(figure, target)


def _draw_image(panel: Any, image: np.ndarray) -> None:
    squeezed = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
    low, high = float(squeezed.min()), float(squeezed.max())
    panel.imshow((squeezed - low) / max(high - low, 1e-12), cmap="gray_r")
    _bare(panel)


def _draw_map(panel: Any, values: np.ndarray) -> None:
    size = max(float(np.abs(values).max()), 1e-12)
    panel.imshow(values, cmap="RdBu_r", vmin=-size, vmax=size)
    _bare(panel)


def _bare(panel: Any) -> None:
    panel.set(xticks=[], yticks=[])
    panel.spines[:].set_color("#c9c9c9")
