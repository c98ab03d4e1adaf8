"""Pictures of a sweep: a heat map over two hyperparameters, and parallel coordinates over all."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain

# What a row of a sweep's table says about a trial, and is no hyperparameter.
_FIGURES = (
    "number",
    "validation_nats",
    "accuracy",
    "train_nats",
    "skipped",
    "steps",
    "diverged",
    "rung",
)
_DIVERGED = "#b0b0b0"

Row = Mapping[str, Any]


def draw_heat_map(
    rows: Sequence[Row],
    x: str,
    y: str,
    path: Path | None = None,
    *,
    value: str = "validation_nats",
    title: str | None = None,
) -> Any:
    """Draw a figure of the trials over two hyperparameters.

    Few different values of each (a grid) make a map of cells, each the best of its trials; many (a
    random search) make points, on logarithmic axes where the values span a factor of 30.

    Args:
        rows: `SweepResult.to_table()`.
        x: the hyperparameter along the horizontal axis.
        y: along the vertical one.
        path: the picture to write; None writes none.
        value: the figure that is coloured; lower is better and brighter.
        title: above the picture.

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if rows is empty, or a name is not in it.
    """
    _check(rows, x, y, value)
    figure = new_figure(title or f"{_label(value)} over {len(rows)} trials", size=(6.8, 5.2))
    panel = figure.subplots()
    xs, ys = (_distinct([row[name] for row in rows]) for name in (x, y))
    cells = len(xs) * len(ys) <= max(2 * len(rows), 4)
    drawn = (_draw_cells if cells else _draw_points)(panel, rows, x, y, value)
    figure.colorbar(drawn, ax=panel, label=_label(value))
    panel.set(xlabel=_label(x), ylabel=_label(y))
    return _saved(figure, path)


def draw_parallel_coordinates(
    rows: Sequence[Row],
    path: Path | None = None,
    *,
    names: Sequence[str] | None = None,
    value: str = "validation_nats",
    title: str | None = None,
) -> Any:
    """Draw each trial as a line through its hyperparameters, to its figure at the right.

    The best trials are bright and in front: where they bundle, the hyperparameter matters. Trials
    that diverged are grey.

    Args:
        rows: `SweepResult.to_table()`.
        path: the picture to write; None writes none.
        names: the hyperparameters, from left to right; by default all that differ.
        value: the figure at the right; lower is better.
        title: above the picture.

    Returns:
        The matplotlib figure.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if rows is empty, or a name is not in it.
    """
    _check(rows, *(names or ()), value)
    names = names or [
        name for name in rows[0] if name not in _FIGURES and len(_distinct(_column(rows, name))) > 1
    ]
    axes = {name: _Axis(_column(rows, name)) for name in names}
    sound = [row for row in rows if not _bad(row, value)]
    axes[value] = _Axis([row[value] for row in sound] or [0.0])
    width = max(6.0, 1.7 * len(axes) + 1.5)
    figure = new_figure(title or f"{len(rows)} trials", size=(width, 4.8))
    panel = figure.subplots()
    scale = _colours([row[value] for row in sound])
    for rank, row in enumerate(sorted(rows, key=lambda row: _sort_value(row, value))[::-1]):
        bad = _bad(row, value)
        heights = [
            axis.top if bad and name == value else axis.height(row[name])
            for name, axis in axes.items()
        ]
        colour = _DIVERGED if bad else scale.to_rgba(row[value])
        panel.plot(range(len(axes)), heights, color=colour, lw=1.4, alpha=0.85, zorder=2 + rank)
    _label_axes(panel, axes)
    figure.colorbar(scale, ax=panel, label=_label(value), pad=0.08)
    return _saved(figure, path)


class _Axis:
    """Places the values of one column between 0 and 1."""

    top = 1.06  # where a trial without a figure ends

    def __init__(self, values: Sequence[Any]) -> None:
        self.names = None if _numeric(values) else [str(value) for value in _distinct(values)]
        numbers = range(len(self.names)) if self.names else [float(value) for value in values]
        self.low, self.high = float(min(numbers)), float(max(numbers))
        self.log = self.names is None and _spans_decades(values)

    def height(self, value: Any) -> float:
        """The place of a value."""
        number = float(self.names.index(str(value)) if self.names else value)
        low, high = self.low, self.high
        if self.log:
            number, low, high = np.log(number), np.log(low), np.log(high)
        return float((number - low) / (high - low)) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Places and texts."""
        if self.names:
            return [(self.height(name), name) for name in self.names]
        if self.log:
            values = np.geomspace(self.low, self.high, 5)
        else:
            values = np.linspace(self.low, self.high, 5)
        return [(self.height(value), f"{value:.3g}") for value in values]


def _label_axes(panel: Any, axes: Mapping[str, _Axis]) -> None:
    for place, axis in enumerate(axes.values()):
        panel.axvline(place, color="#4a4a4a", lw=0.9, zorder=1)
        for height, text in axis.ticks():
            panel.annotate(
                text,
                (place, height),
                (4, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                zorder=10_000,  # above every line
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
            )
    panel.set_xticks(range(len(axes)), [_label(name) for name in axes])
    panel.xaxis.tick_top()
    panel.tick_params(length=0)
    panel.set_yticks([])
    panel.set_ylim(-0.05, 1.1)
    panel.set_xlim(-0.1, len(axes) - 0.65)
    panel.spines[:].set_visible(False)


def _draw_cells(panel: Any, rows: Sequence[Row], x: str, y: str, value: str) -> Any:
    xs, ys = (_distinct(_column(rows, name)) for name in (x, y))
    best = np.full((len(ys), len(xs)), np.nan)
    for row in rows:
        at = ys.index(row[y]), xs.index(row[x])
        if not _bad(row, value):
            best[at] = np.fmin(best[at], row[value])
    scale = _colours(best[np.isfinite(best)].tolist())
    drawn = panel.imshow(best, origin="lower", aspect="auto", cmap=scale.cmap, norm=scale.norm)
    panel.set_facecolor(_DIVERGED)
    panel.set_xticks(range(len(xs)), [_value_text(each) for each in xs])
    panel.set_yticks(range(len(ys)), [_value_text(each) for each in ys])
    if best.size <= 100:
        for (j, i), each in np.ndenumerate(best):
            dark = np.isfinite(each) and scale.norm(each) > 0.55
            text = f"{each:.3g}" if np.isfinite(each) else "diverged"
            colour = "white" if dark else "black"
            panel.text(i, j, text, ha="center", va="center", fontsize=8, color=colour)
    return drawn


def _draw_points(panel: Any, rows: Sequence[Row], x: str, y: str, value: str) -> Any:
    sound = [row for row in rows if not _bad(row, value)]
    bad = [row for row in rows if _bad(row, value)]
    panel.plot(_column(bad, x), _column(bad, y), "x", color=_DIVERGED, label="diverged")
    scale = _colours(_column(sound, value))
    # The best last, so that no worse point hides it.
    sound = sorted(sound, key=lambda row: -row[value])
    panel.scatter(
        _column(sound, x),
        _column(sound, y),
        c=_column(sound, value),
        cmap=scale.cmap,
        norm=scale.norm,
        s=70,
        edgecolors="white",
        linewidths=0.8,
        zorder=3,
    )
    for name, axis in ((x, "x"), (y, "y")):
        if _numeric(_column(rows, name)) and _spans_decades(_column(rows, name)):
            getattr(panel, f"set_{axis}scale")("log")
    plain(panel)
    if bad:
        # Above the panel, where its cross is not taken for a trial.
        panel.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
    return scale


def _colours(values: Sequence[float]) -> Any:
    """A scale from the best (bright) to the worst tenth, so that outliers do not flatten it."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    known = np.asarray(values, float) if len(values) else np.zeros(1)
    return ScalarMappable(Normalize(known.min(), np.quantile(known, 0.9)), "viridis_r")


def _saved(figure: Any, path: Path | None) -> Any:
    if path is not None:
        figure.savefig(path)
    return figure


def _column(rows: Sequence[Row], name: str) -> list[Any]:
    return [row[name] for row in rows]


def _distinct(values: Sequence[Any]) -> list[Any]:
    found = list(dict.fromkeys(values))
    return sorted(found) if _numeric(found) else sorted(found, key=str)


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(v, int | float | np.number) and not isinstance(v, bool) for v in values)


def _spans_decades(values: Sequence[Any]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= 30


def _bad(row: Row, value: str) -> bool:
    return bool(row.get("diverged")) or not np.isfinite(row[value])


def _sort_value(row: Row, value: str) -> float:
    return np.inf if _bad(row, value) else float(row[value])


def _value_text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _label(name: str) -> str:
    return {"validation_nats": "validation loss (nats)"}.get(name, name.replace("_", " "))


def _check(rows: Sequence[Row], *names: str) -> None:
    if not rows:
        raise ValueError("rows must hold at least one trial, got none")
    for name in names:
        if name not in rows[0]:
            raise ValueError(f"rows have no {name!r}; they have {list(rows[0])}")
