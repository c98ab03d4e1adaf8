"""Pictures of gaps: a score on each split with its interval, and marks to compare with."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from xentjax.plots.canvas import new_figure, plain, save

_COLOURS = {"train": "#5b7f9e", "validation": "#c8452f", "test": "#3f7d58"}
_REFERENCE = "#4a4a4a"
_NEAR = 4  # times the largest loss


def draw_gaps(
    splits: Sequence[Any],
    references: Sequence[tuple[str, float]],
    target: Path | BufferedIOBase,
    *,
    title: str = "Loss and accuracy by split",
    unit: str = "nats",
    counted: str = "rows",
) -> None:
    """Draws loss and accuracy of each split as a dot with its interval.

    Args:
        splits: what has `name`, `rows`, `loss` and `accuracy`, each of the two with `value`, `low`
            and `high`; such as `Generalization.splits`.
        references: names and losses of models that look at nothing, drawn as vertical lines
            where they are not beyond four times the largest loss.
        target: the picture to write.
        title: above it.
        unit: of the losses.
        counted: what `rows` counts.
    """
    figure = new_figure(title, size=(7.2, 3.6))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
    for panel, name in ((left, "loss"), (right, "accuracy")):
        for place, split in enumerate(splits):
            _draw_estimate(panel, place, getattr(split, name), split.name, name)
        plain(panel)
        panel.grid(visible=False, axis="y")
        panel.margins(x=0.12)
    # Far references would press the splits together: those are left to the words below.
    most = max(split.loss.high for split in splits)
    near = [(name, value) for name, value in references if value <= _NEAR * most]
    left.set_xlim(0, 1.1 * max([most, *(value for _, value in near)]) or 1.0)
    for number, (name, value) in enumerate(near):
        _draw_reference(left, len(splits) - 0.25 + 0.36 * number, name, value, number)
    left.set_yticks(
        range(len(splits)), [f"{split.name}\n{split.rows} {counted}" for split in splits]
    )
    left.set_ylim(len(splits) - 0.4 + 0.36 * len(near), -0.6)
    left.set_xlabel(f"loss ({unit})")
    right.set_xlabel("accuracy")
    right.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g} %")
    right.locator_params(axis="x", nbins=4)
    save(figure, target)


def _draw_reference(panel: Any, place: float, name: str, value: float, number: int) -> None:
    """A line with its name below the splits, where names of lines close together stay apart."""
    panel.axvline(value, color=_REFERENCE, lw=1.2, ls=((0, (5, 3)), (0, (1, 2)))[number % 2])
    right_half = value > 0.5 * panel.get_xlim()[1]
    panel.annotate(
        f"{name} {value:.2f}",
        (value, place),
        (-4 if right_half else 4, 0),
        textcoords="offset points",
        ha="right" if right_half else "left",
        va="center",
        color=_REFERENCE,
        fontsize=9,
        bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"},
    )


def _draw_estimate(panel: Any, place: int, estimate: Any, split: str, name: str) -> None:
    colour = _COLOURS.get(split, _REFERENCE)
    panel.plot([estimate.low, estimate.high], [place, place], color=colour, lw=3, alpha=0.45)
    panel.plot([estimate.value], [place], "o", color=colour, ms=8)
    # Losses crowd at the left end of their axis and accuracies at the right end.
    at_right = name == "accuracy"
    text = f"{estimate.value:.1%}" if at_right else f"{estimate.value:.3g}"
    panel.annotate(
        text,
        (estimate.value, place),
        (6 if at_right else -6, 8),
        textcoords="offset points",
        ha="right" if at_right else "left",
        color=colour,
        fontsize=10,
    )
