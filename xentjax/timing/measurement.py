"""One function, measured: what it costs to build, to run and to hold, and how near its floor."""

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from xentjax.timing.contestant import Compilation, Contestant, Memory, Plain, callable_name, enlist
from xentjax.timing.environment import Environment
from xentjax.timing.figures import bytes_text, ratio_text, seconds_text
from xentjax.timing.floor import Floor, FloorRatio
from xentjax.timing.rounds import check_rounds, time_rounds
from xentjax.timing.spread import Spread


@dataclass(frozen=True)
class Measurement:
    """All that was seen of one function.

    Attributes:
        name: what the tables call it.
        run_seconds: every blocked run, by round.
        compilation: stages before the first run; None for a `Plain` callable.
        memory: bytes planned by XLA; None for a `Plain` callable or where XLA keeps no account.
        floor: ratio to the floor the caller named, if any.
        environment: machine and versions.
    """

    name: str
    run_seconds: tuple[float, ...]
    compilation: Compilation | None
    memory: Memory | None
    floor: FloorRatio | None
    environment: Environment

    @property
    def median_seconds(self) -> float:
        """Median of the blocked runs."""
        return Spread.of(self.run_seconds).median

    @property
    def iqr_seconds(self) -> float:
        """Interquartile range of the blocked runs."""
        return Spread.of(self.run_seconds).iqr

    @property
    def runs(self) -> int:
        """How many blocked runs were timed."""
        return len(self.run_seconds)

    def table(self) -> Table:
        """Every figure on a line of its own."""
        table = Table("figure", "value", title=self.name, caption=str(self.environment))
        table.columns[1].justify = "right"
        for figure, value in self._lines():
            table.add_row(figure, value)
        return table

    def __rich__(self) -> Table:
        return self.table()

    def _lines(self) -> list[tuple[str, str]]:
        build, memory, floor = self.compilation, self.memory, self.floor
        lines = [
            ("run, median", seconds_text(self.median_seconds)),
            ("run, IQR", seconds_text(self.iqr_seconds)),
            ("runs", str(self.runs)),
            ("trace", seconds_text(build and build.trace_seconds)),
            ("lower", seconds_text(build and build.lower_seconds)),
            ("compile", seconds_text(build and build.compile_seconds)),
            ("temporary memory", bytes_text(memory and memory.temp_bytes)),
            ("arguments", bytes_text(memory and memory.argument_bytes)),
            ("outputs", bytes_text(memory and memory.output_bytes)),
        ]
        if floor is not None:
            lines.append((f"floor ({floor.name})", seconds_text(floor.seconds)))
            lines.append(("run / floor", ratio_text(floor.ratio)))
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the summary beside the runs it is made of."""
        summary = {"median_seconds": self.median_seconds, "iqr_seconds": self.iqr_seconds}
        return {**dataclasses.asdict(self), **summary, "runs": self.runs}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Measurement":
        """The measurement `to_dict` described."""
        build, memory, floor = fields["compilation"], fields["memory"], fields["floor"]
        return cls(
            name=fields["name"],
            run_seconds=tuple(fields["run_seconds"]),
            compilation=build and Compilation(**build),
            memory=memory and Memory(**memory),
            floor=floor and FloorRatio(**{**floor, "ratio": Spread(**floor["ratio"])}),
            environment=Environment(**fields["environment"]),
        )

    def to_json(self) -> str:
        """The whole measurement as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Measurement":
        """The measurement `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    def write_json(self, path: str | Path) -> None:
        """Writes `to_json` to a file and makes its folder if need be."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")


def measure(
    fn: Callable[..., Any] | Plain,
    *args: Any,
    floor: Floor | tuple | None = None,
    runs: int = 30,
    warmup: int = 3,
    name: str | None = None,
    clock: Callable[[], float] = time.perf_counter,
    packages: Sequence[str] = (),
) -> Measurement:
    """Times `fn(*args)`: tracing, lowering, compiling and running apart, with memory and a floor.

    Arrays should lie on the device already: a numpy argument is copied at every run, and the
    copy is timed. A function of no arguments may be folded to a constant by XLA.

    Args:
        fn: a function JAX can trace; one already jitted, which is taken with its options (if it
            has run before on these shapes JAX's caches answer, and its stages cost nearly
            nothing; donated arguments cannot be run twice); or `Plain(fn)` for anything else.
        *args: positional arguments of `fn`.
        floor: `Floor(bytes=…, bytes_per_second=…)` or with flops; or `(fn, args)`, a bare
            operation measured beside `fn`, alternating.
        runs: blocked runs that count, at least 1.
        warmup: runs before them that do not.
        name: what the tables call it; the function's own name when left out.
        clock: a clock in seconds.
        packages: further packages whose versions belong in the result.

    Returns:
        The measurement: `.table()`, `.to_json()`, `.write_json(path)`.

    Raises:
        TypeError: `fn` is not callable or not traceable (numpy: use `Plain`), or `floor` is none
            of the three kinds.
        ValueError: `runs` < 1, `warmup` < 0, or `fn` was jitted with static arguments.

    Example:
        >>> import jax.numpy as jnp
        >>> m = measure(lambda x: 2 * x, jnp.ones(256), runs=5)
        >>> m.runs, m.memory.argument_bytes, m.memory.output_bytes
        (5, 1024, 1024)
    """
    check_rounds(runs, warmup)
    contestants = [enlist(name or callable_name(fn), fn, args, clock)]
    bare = None if isinstance(floor, Floor | None) else _bare_operation(floor, clock)
    if bare is not None:
        contestants.append(bare)
    seconds = time_rounds(contestants, runs=runs, warmup=warmup, clock=clock)
    environment = Environment.of(args, packages)
    if isinstance(floor, Floor):
        ratio = FloorRatio.computed(seconds[0], floor)
    elif bare is not None:
        ratio = FloorRatio.measured(seconds[0], bare.name, seconds[1])
    else:
        ratio = None
    return record(contestants[0], seconds[0], ratio, environment)


def record(
    contestant: Contestant,
    run_seconds: tuple[float, ...],
    floor: FloorRatio | None,
    environment: Environment,
) -> Measurement:
    """What a contestant brought along and what its runs showed, in one measurement."""
    return Measurement(
        name=contestant.name,
        run_seconds=run_seconds,
        compilation=contestant.compilation,
        memory=contestant.memory,
        floor=floor,
        environment=environment,
    )


def _bare_operation(floor: object, clock: Callable[[], float]) -> Contestant:
    match floor:
        case (fn, tuple(args)) if callable(fn) or isinstance(fn, Plain):
            return enlist(callable_name(fn), fn, args, clock)
    raise TypeError(
        f"floor must be Floor(…) or a bare operation (fn, args), got {type(floor).__name__}: "
        "write floor=(fn, (x,)) for fn(x)"
    )
