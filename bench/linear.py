"""Linear cross-entropy, from hidden states and head weight: xentjax, optax, torch, bare products.

Run `python -m bench.linear` (or `python bench/linear.py`). All contestants of a table alternate
in one run; a ratio is the median of ratios paired by round, ± the standard error of that median.
The three bare products are what value and both gradients cannot do without: logits = hidden ·
weight, written to memory, d hidden = logits · weightᵀ, d weight = hiddenᵀ · logits.

    python -m bench.linear                         times on CPU, growth, the plot of it
    python -m bench.linear --only times --shapes 2048x512x32768
    python -m bench.linear --device gpu            the shapes other projects published, bfloat16
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from bench import linear_gpu
from bench.linear_check import check
from bench.linear_contestants import (
    Entries,
    along_tangents,
    directional,
    forward,
    hessian_vector,
    neighbour_tiles,
    random_inputs,
    random_tangents,
    training,
)
from bench.linear_growth import SIZES, TINY, Point, draw_growth, growth_table, measure_growth
from bench.linear_tables import (
    FORWARD,
    HVP,
    JVP,
    TRAINING,
    Task,
    add_rows,
    measured,
    print_skipped,
    task_table,
    wide_console,
)
from bench.linear_torch import torch_forward, torch_note, torch_training
from xentjax.fused.cases import CPU, GPU, Case
from xentjax.timing import Environment

TASKS = (TRAINING, FORWARD, JVP, HVP)
# Three products beyond this take seconds: fewer rounds, and only the contestants that matter.
LARGE_FLOPS = 4e11
ROUNDS, LARGE_ROUNDS, GPU_ROUNDS, GROWTH_ROUNDS = 15, 5, 20, 5
ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"
PICTURE = ROOT / "docs" / "linear_memory.png"
TRANSFORMS = {JVP: directional, HVP: hessian_vector}


def is_large(case: Case) -> bool:
    return 6 * case.n * case.d * case.v > LARGE_FLOPS


def contestants(task: Task, case: Case, dtype: str) -> Entries:
    """Who takes part on a CPU, all on the same random arrays."""
    inputs = random_inputs(case, dtype)
    if task == TRAINING:
        if is_large(case):
            return training(inputs, tokamax=False) | torch_training(inputs, "cpu", dense_only=True)
        return training(inputs, neighbour_tiles(case, dtype)) | torch_training(inputs, "cpu")
    if task == FORWARD:
        return forward(inputs) | torch_forward(inputs, "cpu")
    return along_tangents(inputs, random_tangents(case, dtype), TRANSFORMS[task])


def run_times(
    shapes: Sequence[Case], dtype: str, rounds: tuple[int, int], console: Console
) -> list[dict[str, Any]]:
    """Times every task at every shape, prints a table for each and returns the JSON cases."""
    check(dtype, "cpu", console)
    cases, tables = [], []
    names = sorted({rounds[is_large(case)] for case in shapes}, reverse=True)
    for task in TASKS:
        tables.append(task_table(task, dtype, " or ".join(map(str, names))))
        for case in shapes:
            # A line, not a live display: its refreshing thread would compete for the cores.
            console.print(f"[dim]timing {task.name} at {case} …[/dim]")
            entries = contestants(task, case, dtype)
            outcome = measured(task, case, dtype, entries, rounds[is_large(case)])
            if not cases:
                print_notes(console, str(outcome.comparison.environment))
            print_skipped(console, outcome)
            add_rows(tables[-1], outcome)
            cases.append(outcome.to_dict())
    console.print(*tables)
    return cases


def print_notes(console: Console, environment: str) -> None:
    notes = [environment, torch_note("cpu")]
    if not find_spec("tokamax"):
        notes.append("tokamax is not installed: pip install tokamax adds its two XLA paths")
    console.print("\n".join(notes), highlight=False, markup=False)


def run_growth(rounds: int, tiny: bool, picture: Path, console: Console) -> None:
    """Measures the curves, prints and writes them and draws the picture; tiny writes no figures."""
    points = measure_growth(TINY if tiny else SIZES, rounds, console)
    if not tiny:
        environment = dataclasses.asdict(Environment.of((), ("xentjax", "optax")))
        figures = {"environment": environment, "points": [point._asdict() for point in points]}
        write_json(RESULTS / "linear_growth.json", figures, console)
    show_growth(points, picture, console)


def show_growth(points: Sequence[Point], picture: Path, console: Console) -> None:
    console.print(*(growth_table(points, axis) for axis in "nv"))
    draw_growth(points, picture)
    console.print(f"picture written to {picture}", highlight=False)


def write_json(path: Path, figures: Any, console: Console) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    console.print(f"figures written to {path}", highlight=False)


def run_gpu(options: argparse.Namespace, console: Console) -> None:
    linear_gpu.leave_memory_to_torch()
    on_gpu = jax.default_backend() == "gpu"
    if not (on_gpu or options.shapes):
        raise SystemExit("no GPU here: name small --shapes, such as 256x64x1000, to rehearse")
    path = options.json or (RESULTS / "linear_gpu.json" if on_gpu else None)
    shapes, dtype = options.shapes or GPU, options.dtype or "bfloat16"
    linear_gpu.run(shapes, dtype, options.rounds or GPU_ROUNDS, path, console, options.tiles)


def run_cpu(options: argparse.Namespace, console: Console) -> None:
    jax.config.update("jax_platforms", "cpu")
    if options.only in (None, "times"):
        small, large = options.rounds or ROUNDS, options.large_rounds or LARGE_ROUNDS
        dtype = options.dtype or "float32"
        cases = run_times(options.shapes or CPU, dtype, (small, large), console)
        write_json(options.json or RESULTS / "linear.json", cases, console)
    if options.only in (None, "growth"):
        rounds = options.rounds or GROWTH_ROUNDS
        run_growth(rounds, options.tiny, options.picture, console)
    if options.only == "plot":
        figures = json.loads((RESULTS / "linear_growth.json").read_text("utf-8"))
        show_growth([Point(**fields) for fields in figures["points"]], options.picture, console)


def parse_case(text: str) -> Case:
    try:
        case = Case(*(int(size) for size in text.split("x")))
    except (TypeError, ValueError):
        case = Case(0, 0, 0)
    if min(case) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted NxDxV such as {CPU[0]}")
    return case


def parse_count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1 up")
    return int(text)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--device", choices=("cpu", "gpu"), default="cpu")
    add("--shapes", type=parse_case, nargs="+", metavar="NxDxV", help="xentjax.fused.cases")
    add("--dtype", choices=("float32", "bfloat16", "float16"), help="float32; bfloat16 on a GPU")
    add("--rounds", type=parse_count, help=f"alternating ({ROUNDS}; {GPU_ROUNDS} on a GPU)")
    add("--large-rounds", type=parse_count, help=f"where a run takes seconds ({LARGE_ROUNDS})")
    add("--tiles", type=parse_count, nargs="+", default=linear_gpu.TILES, help="tiles on a GPU")
    add("--only", choices=("times", "growth", "plot"), help="plot: of growth figures on file")
    add("--tiny", action="store_true", help="growth at sizes that take a second, not written")
    add("--json", type=Path, help="where the figures go (bench/results/)")
    add("--picture", type=Path, default=PICTURE, help="where the growth plot goes (docs/)")
    return parser.parse_args()


def main() -> None:
    options, console = parse_options(), wide_console()
    if options.device == "gpu":
        run_gpu(options, console)
    else:
        run_cpu(options, console)


if __name__ == "__main__":
    main()
