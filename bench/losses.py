"""Every loss of the family, value and gradient, beside the same loss in optax and torch.

Run `python -m bench.losses`, or name some: `python -m bench.losses focal GCE`. All contestants of a
loss alternate in one run under a mean over the examples; a ratio is the median of ratios paired by
round, ± the standard error of that median. The bare pass, x·2, reads and writes the first input
once: what a gradient with respect to it must do at the least.
"""

import argparse
import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.cases import CASES, FAMILIES
from bench.cases.case import LossCase
from bench.dense import parse_rounds, torch_note
from bench.document import between
from xentjax.timing import Comparison, Plain, compare
from xentjax.timing.figures import UNKNOWN, ratio_text, seconds_text

OURS, OPTAX, TORCH, BARE = "xentjax", "optax", "torch", "bare pass"
# The bar: no loss may cost more than this times optax's.
BAR = 1.2
RESULTS = Path(__file__).parent / "results" / "losses.json"
DOCUMENT = Path(__file__).parent.parent / "docs" / "losses.md"


def contestants(case: LossCase, seed: int = 0) -> dict[str, tuple[Any, tuple]]:
    """The loss and its counterparts on the same random inputs."""
    drawn = case.draw(np.random.default_rng(seed), *case.size)
    arrays = tuple(jax.device_put(x) for x in drawn)
    argnums = case.contract.get("argnums", (0,))
    ours = _value_and_gradient(lambda *xs: case.loss(*xs, reduction="mean"), argnums)
    entries: dict[str, tuple[Any, tuple]] = {OURS: (ours, arrays)}
    if case.optax is not None:
        optax_loss = case.optax
        entries[OPTAX] = (_value_and_gradient(lambda *xs: optax_loss(*xs).mean(), argnums), arrays)
    if case.torch is not None and find_spec("torch"):
        entries[TORCH] = _torch_contestant(case.torch, drawn, argnums)
    entries[BARE] = (lambda x: x * 2, arrays[argnums[0] : argnums[0] + 1])
    return entries


def _value_and_gradient(loss: Callable[..., Any], argnums: tuple[int, ...]) -> Callable[..., Any]:
    return jax.value_and_grad(loss, argnums=argnums)


def _torch_contestant(
    loss: Callable[..., Any], drawn: Sequence[np.ndarray], argnums: tuple[int, ...]
) -> tuple[Plain, tuple]:
    """PyTorch runs eagerly, as its users run it, on a copy: it wants memory it may write to."""
    import torch  # pyright: ignore[reportMissingImports] (an extra, asked for by find_spec)

    def value_and_gradient(*tensors: Any) -> tuple[Any, ...]:
        value = loss(*tensors).mean()
        return value, *torch.autograd.grad(value, [tensors[i] for i in argnums])

    tensors = []
    for i, x in enumerate(drawn):
        integers = np.issubdtype(x.dtype, np.integer)
        tensor = torch.from_numpy(x.astype(np.int64) if integers else x.copy())
        tensors.append(tensor.requires_grad_(i in argnums))
    return Plain(value_and_gradient), tuple(tensors)


def run(names: Sequence[str], rounds: int, console: Console) -> dict[str, Any]:
    """Times the cases, prints one table a family and returns the figures for JSON."""
    figures: dict[str, Any] = {"rounds": rounds, "bar": BAR, "losses": {}}
    for family, cases in FAMILIES.items():
        chosen = {name: case for name, case in cases.items() if name in names}
        if not chosen:
            continue
        table = _empty_table(family, rounds)
        for name, case in chosen.items():
            # A line, not a live display: its refreshing thread would compete for the cores.
            console.print(f"[dim]timing {name} …[/dim]")
            baseline = OPTAX if case.optax else OURS
            packages = ("xentjax", "optax", "torch")
            found = compare(contestants(case), baseline=baseline, runs=rounds, packages=packages)
            figures.setdefault("environment", found.to_dict()["environment"])
            figures["losses"][name] = {"family": family, **_figures(case, found)}
            table.add_row(*_cells(name, figures["losses"][name], found))
        console.print(table)
    return figures


def _figures(case: LossCase, found: Comparison) -> dict[str, Any]:
    seconds = {entry.name: entry.median_seconds for entry in found.measurements}
    ratios = {}
    for other in (OPTAX, TORCH, BARE):
        if other in found.names:
            ratio = found.ratio(OURS, to=other)
            ratios[other] = {"median": ratio.median, "error": ratio.median_error}
    build = found[OURS].compilation
    return {
        "size": list(case.size),
        "median_seconds": seconds,
        "ratios": ratios,
        "build_seconds": build and build.seconds,
    }


def _empty_table(family: str, rounds: int) -> Table:
    caption = f"medians of {rounds} alternating rounds; ± is the median's standard error"
    table = Table(title=family, caption=caption, box=SIMPLE_HEAD, padding=0)
    table.add_column("loss", no_wrap=True)
    for column in ("size", "xentjax", f"× {OPTAX}", f"× {TORCH}", f"× {BARE}"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cells(name: str, figures: Mapping[str, Any], found: Comparison) -> list[str]:
    def ratio(other: str) -> str:
        return ratio_text(found.ratio(OURS, to=other)) if other in found.names else UNKNOWN

    return [
        name,
        "x".join(str(n) for n in figures["size"]),
        seconds_text(found[OURS].median_seconds),
        ratio(OPTAX),
        ratio(TORCH),
        ratio(BARE),
    ]


def markdown(figures: Mapping[str, Any]) -> str:
    """The same as a table for docs/losses.md."""
    lines = [
        "| case | size | ms | × optax | × torch | × bare pass |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for name, row in figures["losses"].items():
        ratios = [
            f"{row['ratios'][other]['median']:.2f}" if other in row["ratios"] else UNKNOWN
            for other in (OPTAX, TORCH, BARE)
        ]
        size, seconds = "x".join(map(str, row["size"])), row["median_seconds"][OURS]
        lines.append(f"| {name} | {size} | {1e3 * seconds:.1f} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def slower_than_the_bar(figures: Mapping[str, Any]) -> dict[str, float]:
    """The losses that cost more than `BAR` times optax's, with their ratio."""
    ratios = {
        name: row["ratios"][OPTAX]["median"]
        for name, row in figures["losses"].items()
        if OPTAX in row["ratios"]
    }
    return {name: ratio for name, ratio in ratios.items() if ratio > BAR}


def parse_name(text: str) -> str:
    if text not in CASES:
        close = difflib.get_close_matches(text, CASES, n=3)
        raise argparse.ArgumentTypeError(f"no loss is called {text!r}; near it: {close}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", type=parse_name, nargs="*", help="cases to time (all)")
    parser.add_argument("--rounds", type=parse_rounds, default=25, help="alternating rounds (25)")
    parser.add_argument("--json", type=Path, help="where the figures go; all cases: results/")
    options = parser.parse_args()
    console = Console()
    figures = run(options.names or list(CASES), options.rounds, console)
    if not find_spec("torch"):
        console.print(torch_note())
    for name, ratio in slower_than_the_bar(figures).items():
        console.print(f"[bold]above the bar[/bold]: {name} takes {ratio:.2f} × optax")
    path = options.json or (None if options.names else RESULTS)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
        console.print(f"figures written to {path}", highlight=False)
    if path == RESULTS:
        DOCUMENT.write_text(
            between(DOCUMENT.read_text("utf-8"), "time", markdown(figures)), "utf-8"
        )


if __name__ == "__main__":
    main()
