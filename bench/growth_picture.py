"""The curves of `bench.growth` as a picture: memory above, time below; N left, V right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.contest import Contest
from bench.growth import BUDGETED
from bench.linear_contestants import OPTAX, THREE_PRODUCTS, XENTJAX

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "linear_memory.png"
# Colours that the colour-blind can tell apart, as in the other pictures of the documentation.
COLOURS = {XENTJAX: "#0072B2", BUDGETED: "#56B4E9", OPTAX: "#D55E00", THREE_PRODUCTS: "0.55"}


def draw_growth(contests: Sequence[Contest], path: Path) -> None:
    """Draws the four panels.

    Args:
        contests: of the bench "growth", all four tables.
        path: the PNG to write.
    """
    try:
        # A Figure of its own, and not pyplot, which keeps every figure in global state.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('the plot needs matplotlib: pip install "xentjax[plot]"') from error
    figure = Figure(figsize=(10, 6.6), dpi=130, layout="constrained")
    panels = figure.subplots(2, 2, sharey="row")
    for column, axis in enumerate("NV"):
        for row, what in enumerate(("memory", "time")):
            curve = [c for c in contests if c.table.startswith(f"{what} with {axis}")]
            _draw_panel(panels[row, column], curve, what)
            panels[row, column].set_xlabel("tokens N" if axis == "N" else "vocabulary V")
    panels[0, 0].set_ylabel("temporary memory")
    panels[1, 0].set_ylabel("time of value and both gradients")
    handles = {
        label: handle
        for panel in panels.flat
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    order = [name for name in COLOURS if name in handles]
    names = [handles[name] for name in order]
    figure.legend(names, order, frameon=False, loc="outside upper center", ncols=len(order))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_panel(panel: Any, contests: Sequence[Contest], what: str) -> None:
    sizes = [int(contest.case) for contest in contests]
    for name in reversed(COLOURS):
        medians = [
            entry.spread.median
            for contest in contests
            for entry in contest.entries
            if entry.name == name
        ]
        if not medians:
            continue
        dashes = (0, (4, 3)) if name == THREE_PRODUCTS else "solid"
        colour = COLOURS[name]
        panel.plot(sizes, medians, "o", ls=dashes, ms=4, lw=1.6, color=colour, label=name)
        if what == "memory":
            place = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
            end = (sizes[-1], medians[-1])
            panel.annotate(_memory_text(medians[-1]), end, (0, 7), color=colour, **place)
    panel.set_title(contests[0].table, loc="left")
    _label_axes(panel, sizes, what)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.25, linewidth=0.6)


def _label_axes(panel: Any, sizes: Sequence[int], what: str) -> None:
    from matplotlib.ticker import LogLocator

    memory = what == "memory"
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.set_xticks(sizes[:: 2 if len(sizes) > 6 else 1])
    panel.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    panel.yaxis.set_major_locator(LogLocator(subs=(1,) if memory else (1, 2, 5)))
    as_text = _memory_text if memory else lambda seconds: f"{seconds:g} s"
    panel.yaxis.set_major_formatter(lambda figure, _: as_text(figure))
    panel.yaxis.set_minor_formatter(lambda *_: "")


def _memory_text(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
