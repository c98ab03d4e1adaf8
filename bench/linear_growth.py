"""How the time and the temporary memory of a linear head's loss grow with N and with V.

Part of `python -m bench.linear`. Memory is what XLA plans for value and both gradients: it takes
a compilation and no run, so the largest sizes cost nothing. Times alternate as in the tables.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.linear_contestants import (
    OPTAX,
    THREE_PRODUCTS,
    XENTJAX,
    Loss,
    gradients,
    optax_loss,
    random_inputs,
    three_products,
    xentjax_loss,
)
from xentjax.fused import plan
from xentjax.fused.cases import Case
from xentjax.timing import compare
from xentjax.timing.figures import UNKNOWN

CENTRE = Case(2048, 512, 32768)
BUDGET = 64 * 2**20
BUDGETED = f"xentjax within {BUDGET >> 20} MiB"
MEMORY_N = tuple(2**k for k in range(8, 18))
MEMORY_V = tuple(2**k for k in range(11, 19))
TIME_N = (512, 1024, 2048, 4096)
TIME_V = (4096, 8192, 16384, 32768, 65536)
# Colours that the colour-blind can tell apart, as in the other pictures of the documentation.
COLOURS = {XENTJAX: "#0072B2", BUDGETED: "#56B4E9", OPTAX: "#D55E00", THREE_PRODUCTS: "0.55"}


class Sizes(NamedTuple):
    """Where the curves are taken: along N with V fixed, along V with N fixed."""

    centre: Case
    memory_n: Sequence[int]
    memory_v: Sequence[int]
    time_n: Sequence[int]
    time_v: Sequence[int]

    def cases(self, what: str, axis: str) -> list[Case]:
        """The shapes of one curve: what "memory" or "time", axis "n" or "v"."""
        sizes = getattr(self, f"{what}_{axis}")
        return [self.centre._replace(**{axis: size}) for size in sizes]


SIZES = Sizes(CENTRE, MEMORY_N, MEMORY_V, TIME_N, TIME_V)
TINY = Sizes(Case(64, 16, 512), (32, 64, 128), (256, 512), (32, 64), (256, 512))


class Point(NamedTuple):
    """One contestant at one shape on one curve; bytes or seconds."""

    what: str
    axis: str
    n: int
    d: int
    v: int
    contestant: str
    figure: float


def memory_points(sizes: Sizes, axis: str) -> list[Point]:
    """Temporary bytes of value and both gradients, by compilation alone."""
    points = []
    for case in sizes.cases("memory", axis):
        for name, loss in _losses(case, axis).items():
            temp = _temp_bytes(gradients(loss), case)
            points.append(Point("memory", axis, *case, name, temp))
    return points


def time_points(sizes: Sizes, axis: str, rounds: int) -> list[Point]:
    """Median seconds of value and both gradients, and of the three bare products."""
    points = []
    for case in sizes.cases("time", axis):
        inputs = random_inputs(case, jnp.float32)
        entries: dict[str, Any] = {
            XENTJAX: (gradients(xentjax_loss), inputs.arrays),
            OPTAX: (gradients(optax_loss), inputs.arrays),
            THREE_PRODUCTS: (three_products, inputs[:2]),
        }
        comparison = compare(entries, runs=rounds, warmup=1)
        points += [
            Point("time", axis, *case, each.name, each.median_seconds)
            for each in comparison.measurements
        ]
    return points


def measure_growth(sizes: Sizes, rounds: int, console: Console) -> list[Point]:
    points = []
    for axis in ("n", "v"):
        console.print(f"[dim]memory and time along {axis.upper()} …[/dim]")
        points += memory_points(sizes, axis) + time_points(sizes, axis, rounds)
    return points


def _losses(case: Case, axis: str) -> dict[str, Loss]:
    losses: dict[str, Loss] = {XENTJAX: xentjax_loss, OPTAX: optax_loss}
    if axis == "v":  # a tile grows with V, not with N: here a budget makes a difference
        tiling = plan(*case, memory_budget=BUDGET)
        losses[BUDGETED] = partial(xentjax_loss, tile=tiling)
    return losses


def _temp_bytes(fn: Callable, case: Case) -> int:
    hidden, weight = (case.n, case.d), (case.d, case.v)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (hidden, weight)]
    labels = jax.ShapeDtypeStruct((case.n,), jnp.int32)
    stats = jax.jit(fn).lower(*shapes, labels).compile().memory_analysis()
    if stats is None:
        raise RuntimeError("XLA keeps no account of memory on this device: run on a CPU")
    return int(stats.temp_size_in_bytes)


# --- the table --------------------------------------------------------------------------------


def growth_table(points: Sequence[Point], axis: str) -> Table:
    """A row for each size along one axis: temporary memory, then times."""
    fixed = next(point for point in points if point.axis == axis)
    rest = f"V = {fixed.v}" if axis == "n" else f"N = {fixed.n}"
    title = f"growth with {axis.upper()}: value and both gradients, D = {fixed.d}, {rest}, float32"
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)
    memory = (XENTJAX, OPTAX) if axis == "n" else (XENTJAX, BUDGETED, OPTAX)
    columns = [("memory", name, "MB") for name in memory]
    columns += [("time", name, "ms") for name in (XENTJAX, OPTAX, THREE_PRODUCTS)]
    for column in (axis.upper(), *(f"{name}\n{unit}" for _, name, unit in columns)):
        table.add_column(column, justify="right")
    figures = {
        (point.what, point.contestant, getattr(point, axis)): point.figure
        for point in points
        if point.axis == axis
    }
    for size in sorted({size for _, _, size in figures}):
        cells = []
        for what, name, unit in columns:
            figure = figures.get((what, name, size))
            scaled = None if figure is None else figure / 1e6 if unit == "MB" else figure * 1e3
            cells.append(UNKNOWN if scaled is None else f"{scaled:.1f}")
        table.add_row(str(size), *cells)
    return table


# --- the picture ------------------------------------------------------------------------------


def draw_growth(points: Sequence[Point], path: Path) -> None:
    """Memory above, time below; N to the left, V to the right.

    Args:
        points: of both kinds along both axes.
        path: the PNG to write.
    """
    try:
        # A Figure of its own, and not pyplot, which keeps every figure in global state.
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('the plot needs matplotlib: pip install "xentjax[plot]"') from error
    figure = Figure(figsize=(10, 6.6), dpi=130, layout="constrained")
    panels = figure.subplots(2, 2, sharey="row")
    for column, axis in enumerate("nv"):
        for row, what in enumerate(("memory", "time")):
            curves = [point for point in points if (point.what, point.axis) == (what, axis)]
            _draw_panel(panels[row, column], curves, axis)
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


def _draw_panel(panel: Any, points: Sequence[Point], axis: str) -> None:
    memory = points[0].what == "memory"
    for name in reversed(COLOURS):
        curve = [point for point in points if point.contestant == name]
        if not curve:
            continue
        xs, ys = [getattr(point, axis) for point in curve], [point.figure for point in curve]
        dashes = (0, (4, 3)) if name == THREE_PRODUCTS else "solid"
        colour = COLOURS[name]
        panel.plot(xs, ys, "o", ls=dashes, ms=4, lw=1.6, color=colour, label=name)
        if memory:
            place = {"textcoords": "offset points", "ha": "center", "fontsize": 9}
            panel.annotate(_memory_text(ys[-1]), (xs[-1], ys[-1]), (0, 7), color=colour, **place)
    _label_axes(panel, points, axis, memory)
    panel.spines[["top", "right"]].set_visible(False)
    panel.grid(alpha=0.25, linewidth=0.6)


def _label_axes(panel: Any, points: Sequence[Point], axis: str, memory: bool) -> None:
    from matplotlib.ticker import LogLocator

    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    sizes = sorted({getattr(point, axis) for point in points})
    panel.set_xticks(sizes[:: 2 if len(sizes) > 6 else 1])
    panel.xaxis.set_major_formatter(lambda size, _: f"{size:,.0f}")
    panel.yaxis.set_major_locator(LogLocator(subs=(1,) if memory else (1, 2, 5)))
    as_text = _memory_text if memory else lambda seconds: f"{seconds:g} s"
    panel.yaxis.set_major_formatter(lambda figure, _: as_text(figure))
    panel.yaxis.set_minor_formatter(lambda *_: "")
    panel.set_xlabel("tokens N" if axis == "n" else "vocabulary V")
    point, what = points[0], "Memory" if memory else "Time"
    fixed = f"V = {point.v:,}" if axis == "n" else f"N = {point.n:,}"
    panel.set_title(f"{what} with {axis.upper()}, at {fixed}, D = {point.d}", loc="left")


def _memory_text(count: float) -> str:
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"
