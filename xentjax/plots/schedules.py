"""Schedules drawn before they are used: the value at every step."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain

_POINTS = 2000


def draw_schedules(
    schedules: Mapping[str, Callable[[Any], Any]],
    path: Path,
    *,
    steps: int,
    title: str = "learning rate over the steps",
) -> None:
    """Draw functions of the step over each other.

    Args:
        schedules: name → function of the step, such as those of `xentjax.optim.schedules`.
        path: the PNG to write.
        steps: how many steps to draw.
        title: above the picture.

    Raises:
        ValueError: if there is nothing to draw.
        ImportError: naming the extra, if matplotlib is missing.
    """
    if not schedules or steps < 1:
        raise ValueError(f"wanted schedules and steps ≥ 1, got {list(schedules)} and {steps}")
    figure = new_figure(title, size=(8.0, 4.5))
    panel = figure.subplots()
    at = np.unique(np.linspace(0, steps, min(steps + 1, _POINTS)).astype(int))
    for name, schedule in schedules.items():
        panel.plot(at, [float(schedule(int(step))) for step in at], label=name, linewidth=1.6)
    panel.set(xlabel="optimizer step", ylabel="value", ylim=(0, None))
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    plain(panel)
    figure.savefig(path)
