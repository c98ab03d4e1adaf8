"""The picture of a learning-rate range test: loss against rate, with the rates it suggests."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from xentjax.plots.canvas import new_figure, plain

_RAW, _SMOOTHED, _DIVERGED = "#b9c7d3", "#2f4b66", "#c8452f"
_SUGGESTED = {"valley": "#3f7d58", "steepest": "#8a5fa8", "minimum_tenth": "#c98a1b"}


@runtime_checkable
class Curve(Protocol):
    """What is drawn: a `RateCurve`, or anything with these."""

    @property
    def rates(self) -> np.ndarray:
        """[steps], rising."""
        ...

    @property
    def losses(self) -> np.ndarray:
        """[steps], nats."""
        ...

    @property
    def smoothed(self) -> np.ndarray:
        """[steps], nats."""
        ...

    @property
    def stopped_at(self) -> int | None:
        """The step it diverged at."""
        ...

    @property
    def suggestions(self) -> Mapping[str, float | None]:
        """Rates by name."""
        ...


def draw_rate_curve(
    curve: Curve, path: Path | None = None, *, title: str = "learning-rate range test"
) -> Any:
    """Draw losses and smoothed losses over a logarithmic axis of rates, and mark the suggestions.

    Args:
        curve: from `lr_find`.
        path: the picture to write, its kind by its ending; None writes none.
        title: above the picture.

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if the curve has no point.
    """
    if not len(curve.rates):
        raise ValueError("curve holds no step, so there is nothing to draw; its notes say why")
    figure = new_figure(title, size=(7.5, 4.6))
    panel = figure.subplots()
    panel.plot(curve.rates, curve.losses, color=_RAW, lw=1.0, label="loss of each batch")
    panel.plot(curve.rates, curve.smoothed, color=_SMOOTHED, lw=1.8, label="smoothed")
    _mark_suggestions(panel, curve)
    if curve.stopped_at is not None:
        panel.axvline(curve.rates[-1], color=_DIVERGED, lw=1.2, ls=(0, (4, 3)), label="diverged")
    panel.set_xscale("log")
    panel.set_ylim(*_limits(curve))
    panel.set(xlabel="learning rate", ylabel="loss (nats)")
    plain(panel)
    figure.legend(frameon=False, loc="outside lower center", ncols=3, fontsize=9)
    if path is not None:
        figure.savefig(path)
    return figure


def _mark_suggestions(panel: Any, curve: Curve) -> None:
    for name, rate in curve.suggestions.items():
        if rate is None:
            continue
        loss = np.interp(np.log(rate), np.log(curve.rates), curve.smoothed)
        label = f"{name.replace('_', ' ')}: {rate:.2g}"
        panel.plot([rate], [loss], "o", ms=8, color=_SUGGESTED.get(name), label=label, zorder=3)


def _limits(curve: Curve) -> tuple[float, float]:
    """From the lowest loss to a little above the beginning: a divergence may go to infinity."""
    low = min(curve.losses.min(), curve.smoothed.min())
    # The early losses show how high the test began, and the noise of a batch.
    early = curve.losses[: max(1, len(curve.losses) // 2)].max()
    high = max(early, curve.smoothed[0]) * 1.25
    margin = 0.05 * max(high - low, 1e-6)
    return float(low - margin), float(high + margin)
