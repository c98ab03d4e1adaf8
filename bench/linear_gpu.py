"""`python -m bench.linear --device gpu`: the shapes other projects published, in one call.

First every contestant is held against float64 on a small shape; then come the times beside the
three bare products measured there. Without a GPU the same code runs as a rehearsal on shapes
named by --shapes, and its figures are no GPU's: the JSON names the device that ran.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import jax
from rich.console import Console

from bench.linear_check import check
from bench.linear_contestants import Entries, planned_tile, random_inputs, training
from bench.linear_tables import (
    TRAINING,
    Outcome,
    add_rows,
    measured,
    print_skipped,
    task_table,
)
from bench.linear_torch import cuda_temp_bytes, torch_note, torch_runs_on, torch_training
from xentjax.fused.cases import Case

TILES = (1024, 2048, 4096, 8192)


def leave_memory_to_torch() -> None:
    """Two allocators share the GPU: JAX must not take three quarters of it at its start.

    Read once, when JAX first looks for devices: call before that.
    """
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # A program may use as much as this; torch's copies and gradients want the rest.
    os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.80")


def contestants(case: Case, dtype: str, platform: str, tiles: Sequence[int]) -> Entries:
    inputs = random_inputs(case, dtype)
    planned = planned_tile(case, dtype)
    different = tuple(tile for tile in tiles if tile <= case.n and tile != planned)
    return training(inputs, different) | torch_training(inputs, platform)


def measure_case(
    case: Case, dtype: str, platform: str, tiles: Sequence[int], rounds: int
) -> Outcome:
    entries = contestants(case, dtype, platform, tiles)
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    outcome = measured(TRAINING, case, dtype, entries, rounds, limit)
    if platform == "gpu" and torch_runs_on(platform):
        ran = {name: entry for name, entry in entries.items() if name in outcome.comparison.names}
        outcome = outcome._replace(torch_temp_bytes=cuda_temp_bytes(ran))
    return outcome


def run(
    shapes: Sequence[Case],
    dtype: str,
    rounds: int,
    json_path: Path | None,
    console: Console,
    tiles: Sequence[int] = TILES,
) -> None:
    """Checks, times every shape, prints the table and writes the figures after each shape.

    Args:
        shapes: N, D, V.
        dtype: of hidden states and weight.
        rounds: alternating rounds.
        json_path: where the figures go; None for a rehearsal that leaves nothing behind.
        console: where the tables go.
        tiles: rows in a tile, beside what `plan` chooses.
    """
    platform = jax.default_backend()
    if platform != "gpu":
        note = f"no GPU here: a rehearsal on the {platform}; none of these figures is a GPU's"
        console.print(f"[yellow]{note}[/yellow]")
    console.print(torch_note(platform), highlight=False, markup=False)
    found = check(dtype, platform, console)
    table, cases = task_table(TRAINING, dtype, str(rounds)), []
    for case in shapes:
        console.print(f"[dim]timing {case} …[/dim]")
        try:
            outcome = measure_case(case, dtype, platform, tiles, rounds)
        except Exception as error:  # the inputs or the bare products do not fit: the others may
            console.print(f"  {case} left out: {error}", highlight=False, markup=False)
            continue
        if not cases:
            environment = str(outcome.comparison.environment)
            console.print(environment, highlight=False, markup=False)
        print_skipped(console, outcome)
        add_rows(table, outcome)
        cases.append(outcome.to_dict())
        if json_path is not None:
            # After each shape: a call cut short keeps what it has measured.
            json_path.parent.mkdir(parents=True, exist_ok=True)
            figures = {"errors": found, "cases": cases}
            json_path.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", "utf-8")
    console.print(table)
    if json_path is not None:
        console.print(f"figures written to {json_path}", highlight=False)
