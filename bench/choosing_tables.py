"""What `bench.choosing` found: intervals over the seeds, tables in the document, the picture."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from bench.document import between

DOCUMENT = Path(__file__).parent.parent / "docs" / "choosing.md"
PICTURE = DOCUMENT.with_suffix(".png")
# Columns of each experiment's table: a figure of the JSON, and its heading.
_TUNING = {"untuned": "untuned", "chosen": "rate and stop by validation"}
COLUMNS = {
    "imbalance": {
        "chosen": "balanced accuracy",
        "chosen, worst class": "worst class",
        "chosen, as frequent as in training": "accuracy at the training's frequencies",
    },
    "symmetric noise": _TUNING,
    "pair noise": _TUNING,
}
_COLORS = ("#1f5f99", "#c4622d")

Rows = Mapping[str, Mapping[str, Sequence[float]]]


def interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """The mean over the seeds and the half width of its 95 % interval by Student's t."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values))
    return float(values.mean()), float(stats.t.ppf(0.975, len(values) - 1) * error)


def gain(rows: Rows, name: str, baseline: str, figure: str) -> tuple[float, float]:
    """The paired difference to the baseline: both have the same splits and initial weights."""
    return interval(np.subtract(rows[name][figure], rows[baseline][figure]))


def table(experiment: str, rows: Rows, baseline: str) -> str:
    """Markdown: each figure as mean ± half width in percent, and its paired gain."""
    columns = COLUMNS[experiment]
    heads = [head for title in columns.values() for head in (title, "gain")]
    lines = ["| loss | " + " | ".join(heads) + " |", "|---" + "|---:" * len(heads) + "|"]
    for name in rows:
        cells = []
        for figure in columns:
            cells.append(_percent(*interval(rows[name][figure])))
            difference = gain(rows, name, baseline, figure)
            cells.append("–" if name == baseline else _signed(*difference))
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_tables(text: str, results: Mapping[str, Any]) -> str:
    """The document with what stands between its markers made anew."""
    for name, rows in results["experiments"].items():
        text = between(text, name, table(name, rows, results["baseline"]))
    return between(text, "how", _how(results))


def draw(results: Mapping[str, Any], path: Path) -> None:
    """A panel for each experiment: means with their intervals, the baseline as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained")
    experiments = results["experiments"]
    for place, (name, rows) in enumerate(experiments.items()):
        _panel(figure.add_subplot(1, len(experiments), place + 1), name, rows, results["baseline"])
    figure.savefig(path, dpi=130)


def _panel(axes: Any, experiment: str, rows: Rows, baseline: str) -> None:
    places = np.arange(len(rows))[::-1]
    shown = list(COLUMNS[experiment].items())[:2]
    for (figure, label), marker, color, shift in zip(
        shown, "os", _COLORS, (0.13, -0.13), strict=True
    ):
        means, widths = np.transpose([interval(each[figure]) for each in rows.values()])
        style = {"fmt": marker, "color": color, "capsize": 2, "markersize": 5}
        axes.errorbar(100 * means, places + shift, xerr=100 * widths, label=label, **style)
        base = 100 * float(np.mean(rows[baseline][figure]))
        axes.axvline(base, color=color, linewidth=0.8, linestyle=":")
    axes.set_yticks(places, [_short(name) for name in rows], fontsize=8)
    axes.set_xlabel("% of the test", fontsize=8)
    axes.set_title(experiment, fontsize=10, pad=24)
    axes.tick_params(axis="x", labelsize=8)
    axes.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.4, 1), ncols=2, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    """A row's name in two lines at the most, without the markup."""
    bare = name.replace("`", "").replace("_cross_entropy", "").replace("_", " ")
    return bare.replace(", ", ",\n")


def _percent(mean: float, width: float) -> str:
    return f"{100 * mean:.1f} ± {100 * width:.1f}"


def _signed(mean: float, width: float) -> str:
    """In bold where the interval leaves out 0."""
    text = f"{100 * mean:+.1f} ± {100 * width:.1f}".replace("-", "−")
    return f"**{text}**" if abs(mean) > width else text


def _how(results: Mapping[str, Any]) -> str:
    machine, settings = results["environment"], results["settings"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items() if k != "python")
    rates = ", ".join(f"{rate:g}" for rate in settings["rates"])
    return (
        f"{results['seeds']} seeds; one hidden layer of {settings['width']}, Adam, "
        f"{settings['steps']} batches of {settings['batch']}, learning rate from {{{rates}}}; "
        f"{results['cpu_seconds']:.0f} s of {machine['cpu_count']} CPU cores ({versions})."
    )
