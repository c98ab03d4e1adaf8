"""The curves of a run: loss, accuracy and learning rate over the steps."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xentjax.plots.canvas import new_figure, plain

_TRAIN, _VALIDATION, _REFERENCE, _RATE = "#9db4c8", "#c8452f", "#4a4a4a", "#3f7d58"


@dataclasses.dataclass(frozen=True)
class Curves:
    """The records of one training and what to call it.

    Attributes:
        label: what to call it.
        records: what has `step`, `split`, `loss_nats`, `accuracy` and `learning_rate`, such as
            `xentjax.train.Record`.
    """

    label: str
    records: Sequence[Any]

    def points(self, split: str, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one figure, where it is known."""
        known = [
            (record.step, getattr(record, name))
            for record in self.records
            if record.split == split and getattr(record, name) is not None
        ]
        return [step for step, _ in known], [value for _, value in known]


def draw_curves(
    curves: Sequence[Curves],
    path: Path,
    *,
    title: str,
    unit: str = "nats",
    reference: tuple[str, float] | None = None,
    log_loss: bool = False,
) -> None:
    """Draw loss, accuracy and learning rate over the steps.

    Args:
        curves: one or more trainings, drawn over each other.
        path: the PNG to write.
        title: above the picture.
        unit: of the loss.
        reference: the name and the loss of a horizontal line to compare with.
        log_loss: a logarithmic axis for the loss.
    """
    figure = new_figure(title, size=(10.0, 5.6))
    panels = figure.subplot_mosaic([["loss", "accuracy"], ["loss", "rate"]], width_ratios=[1.5, 1])
    _draw_pair(panels["loss"], curves, "loss_nats")
    _draw_pair(panels["accuracy"], curves, "accuracy")
    _draw_rate(panels["rate"], curves)
    if reference is not None:
        _draw_reference(panels["loss"], *reference)
    if log_loss:
        _use_log_scale(panels["loss"])
    panels["loss"].set(ylabel=f"loss ({unit})", xlabel="optimizer step")
    panels["accuracy"].set(ylabel="accuracy")
    panels["accuracy"].yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panels["rate"].set(ylabel="learning rate", xlabel="optimizer step", ylim=(0, None))
    panels["loss"].legend(frameon=False, loc="upper right")
    for panel in panels.values():
        plain(panel)
    figure.savefig(path)


def _draw_pair(panel: Any, curves: Sequence[Curves], name: str) -> None:
    """Training below and validation above, one line a training and one legend entry a split."""
    for split, color, width in (("train", _TRAIN, 1.2), ("validation", _VALIDATION, 1.6)):
        for number, curve in enumerate(curves):
            steps, values = curve.points(split, name)
            marker = "o" if split == "validation" and len(steps) <= 20 else None
            panel.plot(
                steps,
                values,
                color=color,
                linewidth=width,
                alpha=1.0 if len(curves) == 1 else 0.75,
                marker=marker,
                markersize=4,
                label=_label(split, len(curves)) if number == 0 else None,
            )


def _label(split: str, trainings: int) -> str:
    return split if trainings == 1 else f"{split} ({trainings} seeds)"


def _draw_rate(panel: Any, curves: Sequence[Curves]) -> None:
    # All trainings of a run share the schedule.
    steps, rates = curves[0].points("train", "learning_rate")
    panel.plot(steps, rates, color=_RATE, linewidth=1.4)
    if rates:
        panel.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)


def _draw_reference(panel: Any, name: str, value: float) -> None:
    panel.axhline(value, color=_REFERENCE, linewidth=1.2, linestyle=(0, (5, 3)))
    panel.annotate(
        f"{name} {value:.2f}",
        xy=(0.98, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        color=_REFERENCE,
        ha="right",
        va="bottom",
    )


def _use_log_scale(panel: Any) -> None:
    panel.set_yscale("log")
    # 0.1 and not 10⁻¹; and no labels between the powers.
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
