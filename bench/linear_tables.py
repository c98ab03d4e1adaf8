"""The tables of `bench.linear`: what a task is, how it is timed, and a row for each contestant.

Contestants that cannot run here (too large for the device, a kernel that refuses) are found
before the rounds begin and are named with the reason, so that one call measures all the others.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.linear_contestants import (
    ONE_PRODUCT,
    OPTAX,
    THREE_PRODUCTS,
    XENTJAX,
    Entries,
    planned_tile,
)
from xentjax.fused.cases import Case
from xentjax.timing import Comparison, Plain, compare
from xentjax.timing.figures import UNKNOWN, ratio_text

BARE = {ONE_PRODUCT: 1, THREE_PRODUCTS: 3}
PACKAGES = ("xentjax", "optax", "torch", "tokamax", "liger-kernel", "cut-cross-entropy")


class Task(NamedTuple):
    """What is asked, the bare products it is held against, and the products it cannot avoid."""

    name: str
    baseline: str
    products: int


TRAINING = Task("value and both gradients", THREE_PRODUCTS, 3)
FORWARD = Task("forward only", ONE_PRODUCT, 1)
JVP = Task("jvp", THREE_PRODUCTS, 3)
# Logits, their tangent (two products), and the tangents of two products of two changing operands.
HVP = Task("Hessian-vector product", THREE_PRODUCTS, 7)


class Outcome(NamedTuple):
    """One task at one shape."""

    task: Task
    case: Case
    dtype: str
    comparison: Comparison
    skipped: dict[str, str]
    torch_temp_bytes: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """For JSON; `products` times 2·N·D·V is the FLOP count of the rates."""
        return {
            "task": self.task.name,
            **self.case._asdict(),
            "dtype": self.dtype,
            "tile": planned_tile(self.case, self.dtype),
            "products": self.task.products,
            "skipped": self.skipped,
            "torch_temp_bytes": self.torch_temp_bytes,
            **self.comparison.to_dict(),
        }


def screened(entries: Entries, memory_limit: int | None) -> tuple[Entries, dict[str, str]]:
    """Entries that run here, jitted, and the reasons why the others do not.

    Args:
        entries: contestants.
        memory_limit: bytes of the device that a program may use; None where nobody knows.
    """
    ready, skipped = {}, {}
    for name, (fn, args) in entries.items():
        try:
            if isinstance(fn, Plain):
                fn.fn(*args)
            else:
                fn = jax.jit(fn)
                check_memory(fn.lower(*args).compile(), memory_limit)
                # This run is a warm-up too.
                jax.block_until_ready(fn(*args))
            ready[name] = fn, args
        except Exception as error:
            # Anything: an out-of-memory of XLA or torch, a kernel's assertion, a compiler's error.
            lines = str(error).strip().splitlines() or [""]
            skipped[name] = f"{type(error).__name__}: {lines[0]}"[:200]
    return ready, skipped


def check_memory(compiled: Any, limit: int | None) -> None:
    stats = compiled.memory_analysis()
    if limit is None or stats is None:
        return
    need = stats.temp_size_in_bytes + stats.argument_size_in_bytes + stats.output_size_in_bytes
    if need > limit:
        raise MemoryError(f"needs {need / 1e9:.1f} GB of {limit / 1e9:.1f} GB")


def measured(
    task: Task, case: Case, dtype: str, entries: Entries, rounds: int, limit: int | None = None
) -> Outcome:
    """Screens the contestants and times those that run, alternating."""
    ready, skipped = screened(entries, limit)
    if task.baseline not in ready:
        raise RuntimeError(f"{task.baseline} cannot run: {skipped[task.baseline]}")
    ready[task.baseline] = ready.pop(task.baseline)  # the last row
    comparison = compare(ready, baseline=task.baseline, runs=rounds, warmup=1, packages=PACKAGES)
    # The screening compiled them: what `compare` saw is how long JAX looks a program up.
    measurements = [
        dataclasses.replace(measurement, compilation=None)
        for measurement in comparison.measurements
    ]
    comparison = Comparison(tuple(measurements), comparison.baseline)
    return Outcome(task, case, dtype, comparison, skipped, {})


def task_table(task: Task, dtype: str, rounds: str) -> Table:
    products = f"{task.products} product{'s' if task.products > 1 else ''}"
    table = Table(
        title=f"linear cross-entropy, mean, {dtype}: {task.name}",
        caption=f"medians of {rounds} alternating rounds, ± the median's standard error\n"
        f"GFLOP/s counts the {products} nobody can avoid, 2·N·D·V each",
        box=SIMPLE_HEAD,
        padding=0,
    )
    table.add_column("N x D x V", no_wrap=True)
    table.add_column("contestant", no_wrap=True)
    baseline = f"× {task.baseline.removeprefix('one ').replace('bare ', '')}"
    for column in ("ms", "IQR ms", baseline, f"× {OPTAX}", "temp MB", "GFLOP/s"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def add_rows(table: Table, outcome: Outcome) -> None:
    """A row for each contestant of one shape, the skipped ones with a dash and below."""
    comparison, case = outcome.comparison, outcome.case
    to_optax = OPTAX in comparison.names
    for measurement in comparison.measurements:
        name = measurement.name
        products = BARE.get(name, outcome.task.products)
        flops = 2 * products * case.n * case.d * case.v
        planned = f", tile {planned_tile(case, outcome.dtype)} (plan)"
        memory = measurement.memory
        temp = memory.temp_bytes if memory else outcome.torch_temp_bytes.get(name)
        table.add_row(
            str(case),
            name + planned if name == XENTJAX else name,
            f"{1e3 * measurement.median_seconds:.2f}",
            f"{1e3 * measurement.iqr_seconds:.2f}",
            ratio_text(comparison.ratio(name)),
            ratio_text(comparison.ratio(name, to=OPTAX)) if to_optax else UNKNOWN,
            UNKNOWN if temp is None else f"{temp / 1e6:.1f}",
            f"{flops / measurement.median_seconds / 1e9:.0f}",
        )
    for name in outcome.skipped:
        table.add_row(str(case), name, *[UNKNOWN] * 6)
    table.add_section()


def wide_console() -> Console:
    """A console wide enough for eight columns where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 110))


def print_skipped(console: Console, outcome: Outcome) -> None:
    for name, reason in outcome.skipped.items():
        console.print(f"  left out: {name}: {reason}", highlight=False, markup=False)
