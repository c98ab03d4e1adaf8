"""Risk against coverage: how many mistakes are left if the least confident rows are handed over."""

from io import BufferedIOBase
from pathlib import Path
from typing import Any

from xentjax.plots.canvas import new_figure, plain, save

_MODEL, _BEST, _RANDOM, _CHOSEN = "#2f4b66", "#3f7d58", "#8a8a8a", "#c8452f"


def draw_risk_coverage(
    curve: Any,
    chosen: tuple[float, float] | None,
    target: Path | BufferedIOBase,
    *,
    title: str = "Mistakes left, if the doubtful rows go to a human",
) -> None:
    """Draw the risk among the most confident rows, between the best and a random order.

    Args:
        curve: what has `coverage`, `risk` and `best_risk`, arrays [N], such as
            `xentjax.audit.selective.RiskCoverage`.
        chosen: coverage and risk of a chosen threshold, or None.
        target: the file to write, see `canvas.save`.
        title: above the picture.
    """
    figure = new_figure(title, size=(6.0, 4.2))
    panel = figure.subplots()
    panel.axhline(curve.risk[-1], color=_RANDOM, lw=1.2, ls=(0, (5, 3)), label="in random order")
    panel.plot(curve.coverage, curve.risk, color=_MODEL, lw=2.0, label="most confident first")
    panel.plot(curve.coverage, curve.best_risk, color=_BEST, lw=1.4, ls=":", label="best possible")
    if chosen is not None:
        panel.plot(*chosen, "o", ms=9, color=_CHOSEN, zorder=3, label="chosen threshold")
    top = max(float(curve.risk.max()), 0.01)
    # The first rows are few: one mistake among them would squeeze all the rest.
    top = min(top, max(3 * float(curve.risk[-1]), 0.01))
    panel.set(
        xlabel="share of rows the model decides",
        ylabel="share of those it gets wrong",
        xlim=(0, 1),
        ylim=(-0.02 * top, 1.1 * top),
    )
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    plain(panel)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    save(figure, target)
