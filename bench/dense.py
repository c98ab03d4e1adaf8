"""Softmax cross-entropy on integer labels, dense logits: xentjax, optax, torch and a bare pass.

Run `python -m bench.dense` (or `python bench/dense.py`). All contestants alternate in one run;
a ratio is the median of ratios paired by round, ± the standard error of that median. The bare
pass, x·2, reads and writes the logits once: what any gradient with respect to them must do at
the least, the new memory of its result included. (A value alone only reads them, so 1.00 is no
limit in the second table.)
"""

import argparse
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import xentjax
from xentjax.timing import Comparison, Plain, compare
from xentjax.timing.figures import ratio_text


class Shape(NamedTuple):
    """N examples of C classes."""

    N: int
    C: int

    def __str__(self) -> str:
        return f"{self.N}x{self.C}"


# A language model's vocabulary, an image classifier's classes, digits.
SHAPES = (Shape(1024, 32768), Shape(8192, 1000), Shape(65536, 10))
BASELINE, BARE = "optax", "bare pass"
VALUE_AND_GRADIENT, VALUE = "value and gradient", "value only"
RESULTS = Path(__file__).parent / "results" / "dense.json"


def xentjax_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return xentjax.softmax_cross_entropy(logits, labels, reduction="mean")


def optax_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def torch_contestant(logits: np.ndarray, labels: np.ndarray, task: str) -> tuple[Plain, tuple]:
    """PyTorch runs eagerly, as its users run it, on a copy: it wants memory it may write to."""
    import torch  # pyright: ignore[reportMissingImports] (an extra, asked for by find_spec)

    cross_entropy = torch.nn.functional.cross_entropy

    def value_and_gradient(logits: torch.Tensor, labels: torch.Tensor) -> tuple[Any, ...]:
        loss = cross_entropy(logits, labels)
        return loss, *torch.autograd.grad(loss, logits)

    inputs = torch.from_numpy(logits.copy()).requires_grad_(task == VALUE_AND_GRADIENT)
    targets = torch.from_numpy(labels.astype(np.int64))
    fn = value_and_gradient if task == VALUE_AND_GRADIENT else cross_entropy
    return Plain(fn), (inputs, targets)


def contestants(shape: Shape, task: str, seed: int = 0) -> dict[str, tuple[Any, tuple]]:
    """All contestants on the same random logits and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(shape, dtype=np.float32)
    labels = rng.integers(shape.C, size=shape.N, dtype=np.int32)
    arrays = (jax.device_put(logits), jax.device_put(labels))

    def entry(loss: Callable[..., jax.Array]) -> tuple[Any, tuple]:
        return (jax.value_and_grad(loss) if task == VALUE_AND_GRADIENT else loss), arrays

    entries = {"xentjax": entry(xentjax_loss), BASELINE: entry(optax_loss)}
    if find_spec("torch"):
        entries["torch"] = torch_contestant(logits, labels, task)
    entries[BARE] = (lambda x: x * 2, arrays[:1])
    return entries


def add_rows(table: Table, shape: Shape, comparison: Comparison) -> None:
    for measurement in comparison.measurements:
        memory = measurement.memory
        table.add_row(
            str(shape),
            measurement.name,
            f"{1e3 * measurement.median_seconds:.2f}",
            f"{1e3 * measurement.iqr_seconds:.2f}",
            ratio_text(comparison.ratio(measurement.name)),
            ratio_text(comparison.ratio(measurement.name, to=BARE)),
            "–" if memory is None else f"{memory.temp_bytes / 1e6:.2f}",
        )
    table.add_section()


def empty_table(task: str, rounds: int) -> Table:
    title = f"softmax cross-entropy, mean, float32: {task}"
    caption = f"medians of {rounds} alternating rounds; ± is the median's standard error"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    table.add_column("N x C", no_wrap=True)
    table.add_column("contestant", no_wrap=True)
    for column in ("ms", "IQR ms", f"× {BASELINE}", f"× {BARE}", "temp MB"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def run(shapes: tuple[Shape, ...], rounds: int, console: Console) -> list[dict[str, Any]]:
    """Times every shape at both tasks, prints the two tables and returns the cases for JSON."""
    cases, tables = [], []
    for task in (VALUE_AND_GRADIENT, VALUE):
        tables.append(empty_table(task, rounds))
        for shape in shapes:
            # A line, not a live display: its refreshing thread would compete for the cores.
            console.print(f"[dim]timing {task} at {shape} …[/dim]")
            comparison = compare(
                contestants(shape, task),
                baseline=BASELINE,
                runs=rounds,
                packages=("xentjax", "optax", "torch"),
            )
            if not cases:
                note = f"{comparison.environment}\n{torch_note()}"
                console.print(note, highlight=False, markup=False)
            add_rows(tables[-1], shape, comparison)
            cases.append({"task": task, **shape._asdict(), **comparison.to_dict()})
    console.print(*tables)
    return cases


def torch_note() -> str:
    if not find_spec("torch"):
        return "torch is not installed: pip install 'xentjax[bench]' adds it to the tables"
    import torch  # pyright: ignore[reportMissingImports]

    return f"torch runs on {torch.get_num_threads()} threads"


def parse_shape(text: str) -> Shape:
    try:
        shape = Shape(*(int(size) for size in text.split("x")))
    except (TypeError, ValueError):
        shape = Shape(0, 0)
    if min(shape) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted NxC such as {SHAPES[0]}")
    return shape


def parse_rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1 up")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=parse_rounds, default=50, help="alternating rounds (50)")
    parser.add_argument("--shapes", type=parse_shape, nargs="+", default=SHAPES, metavar="NxC")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    options = parser.parse_args()
    console = Console()
    cases = run(tuple(options.shapes), options.rounds, console)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(cases, indent=2, ensure_ascii=False) + "\n", "utf-8")
    console.print(f"figures written to {options.json}", highlight=False)


if __name__ == "__main__":
    main()
