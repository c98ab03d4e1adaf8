"""Plots: the curves of a run, as a picture beside its figures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xentjax.train.record import Record

_TRAIN, _VALIDATION, _REFERENCE, _RATE = "#9db4c8", "#c8452f", "#4a4a4a", "#3f7d58"


@dataclasses.dataclass(frozen=True)
class Curves:
    """The records of one training and what to call it."""

    label: str
    records: Sequence[Record]

    def points(self, split: str, name: str) -> tuple[list[int], list[float]]:
        """Steps and values of one figure, where it is known."""
        known = [
            (record.step, getattr(record, name))
            for record in self.records
            if record.split == split and getattr(record, name) is not None
        ]
        return [step for step, _ in known], [value for _, value in known]


def require_matplotlib() -> None:
    """Raise an ImportError that names the extra, if matplotlib is missing."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'the curves are drawn by matplotlib: pip install "xentjax[plot]"'
        ) from error


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
    require_matplotlib()
    # A Figure of its own, and not pyplot, which keeps every figure in global state.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=13, fontweight="bold")
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
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25, linewidth=0.6)
        panel.margins(x=0.02)
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
    panel.plot(*curves[0].points("train", "learning_rate"), color=_RATE, linewidth=1.4)
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
