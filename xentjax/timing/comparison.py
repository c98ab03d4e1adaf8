"""Several contestants in one alternating run: the ratio is the result.

The ratio of each round is taken against the baseline's run of the same round; their median and
interquartile range are reported. When in doubt whether a ratio means anything, enter the
baseline twice under two names: the second's distance from 1.00 is the noise of the machine.
"""

import difflib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from xentjax.timing.contestant import enlist
from xentjax.timing.environment import Environment
from xentjax.timing.figures import UNKNOWN, bytes_text, ratio_text, seconds_text
from xentjax.timing.floor import Floor, FloorRatio
from xentjax.timing.measurement import Measurement, record
from xentjax.timing.rounds import check_rounds, time_rounds
from xentjax.timing.spread import Spread, paired_ratio


@dataclass(frozen=True)
class Comparison:
    """Measurements that share their rounds, and the contestant the others are held against.

    Attributes:
        measurements: one a contestant, in the order given.
        baseline: name of the contestant whose ratio is 1.
    """

    measurements: tuple[Measurement, ...]
    baseline: str

    @property
    def names(self) -> tuple[str, ...]:
        """The contestants, in the order given."""
        return tuple(measurement.name for measurement in self.measurements)

    @property
    def environment(self) -> Environment:
        """Machine and versions, the same for all."""
        return self.measurements[0].environment

    def __getitem__(self, name: str) -> Measurement:
        _check_name("contestant", name, self.names)
        return self.measurements[self.names.index(name)]

    def ratio(self, name: str, to: str | None = None) -> Spread:
        """Spread of the paired ratios of run times: `name` over `to`, round by round.

        Args:
            name: a contestant.
            to: another; the baseline when left out.

        Returns:
            Median, interquartile range and count of the ratios.

        Raises:
            ValueError: a name is unknown.
        """
        return paired_ratio(self[name].run_seconds, self[to or self.baseline].run_seconds)

    def table(self, title: str | None = None) -> Table:
        """One line a contestant: run time, ratios ± the standard error of their median, memory.

        What no contestant has is left out; "build" is trace, lowering and compilation together.
        """
        columns = [(header, cells) for header, cells in self._columns() if set(cells) != {UNKNOWN}]
        table = Table(title=title, caption=str(self.environment), box=SIMPLE_HEAD, padding=0)
        for header, _ in columns:
            justify = "left" if header == "contestant" else "right"
            table.add_column(header, justify=justify, no_wrap=True)
        for row in zip(*(cells for _, cells in columns), strict=True):
            table.add_row(*row)
        return table

    def __rich__(self) -> Table:
        return self.table()

    def _columns(self) -> list[tuple[str, list[str]]]:
        entries = self.measurements
        floors = [entry.floor for entry in entries]
        memories = [entry.memory for entry in entries]
        builds = [entry.compilation for entry in entries]
        floor_name = floors[0].name if floors[0] else "floor"
        return [
            ("contestant", list(self.names)),
            ("median", [seconds_text(entry.median_seconds) for entry in entries]),
            ("IQR", [seconds_text(entry.iqr_seconds) for entry in entries]),
            (f"× {self.baseline}", [ratio_text(self.ratio(name)) for name in self.names]),
            (f"× {floor_name}", [ratio_text(floor and floor.ratio) for floor in floors]),
            ("temp", [bytes_text(memory and memory.temp_bytes) for memory in memories]),
            ("out", [bytes_text(memory and memory.output_bytes) for memory in memories]),
            ("build", [seconds_text(build and build.seconds) for build in builds]),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the environment stands once, the ratios beside the runs."""
        entries = []
        for measurement in self.measurements:
            entry = measurement.to_dict()
            del entry["environment"]
            ratio = self.ratio(measurement.name)
            entries.append({**entry, "ratio_median": ratio.median, "ratio_iqr": ratio.iqr})
        environment = self.measurements[0].to_dict()["environment"]
        return {"baseline": self.baseline, "environment": environment, "measurements": entries}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Comparison":
        """The comparison `to_dict` described."""
        entries = [
            Measurement.from_dict({**entry, "environment": fields["environment"]})
            for entry in fields["measurements"]
        ]
        return cls(measurements=tuple(entries), baseline=fields["baseline"])

    def to_json(self) -> str:
        """The whole comparison as JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Comparison":
        """The comparison `to_json` wrote."""
        return cls.from_dict(json.loads(text))

    def write_json(self, path: str | Path) -> None:
        """Writes `to_json` to a file and makes its folder if need be."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(self.to_json() + "\n", encoding="utf-8")


def compare(
    contestants: Mapping[str, Any],
    *,
    baseline: str | None = None,
    floor: str | Floor | None = None,
    runs: int = 30,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
    packages: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Times contestants in one alternating run and gives their ratios to a baseline.

    All are compiled first. Then each round runs every contestant once, in an order drawn anew,
    so that none always follows the same one.

    Args:
        contestants: name → `(fn, args)`. `fn` as in `measure`: traceable, already jitted, or
            `Plain(fn)` for a callable JAX cannot trace (no compile or memory figures then).
        baseline: the contestant whose ratio is 1; the first when left out.
        floor: the contestant that is the bare operation, or a computed `Floor`.
        runs: rounds that count, at least 1. A quiet ratio to one percent takes about 30 on a
            shared machine.
        warmup: rounds before them that do not.
        clock: a clock in seconds.
        packages: further packages whose versions belong in the result.
        seed: draws the order within each round.

    Returns:
        The comparison: `.ratio(name)`, `.table()`, `.to_json()`, `.write_json(path)`.

    Raises:
        TypeError: contestants are not a mapping, a contestant is not `(fn, args)`, or its fn is
            not callable or not traceable (numpy: use `Plain`).
        ValueError: no contestants; unknown `baseline` or `floor`; `runs` < 1; `warmup` < 0.

    Example:
        >>> import jax.numpy as jnp
        >>> x = jnp.ones(256)
        >>> c = compare({"once": (jnp.sin, (x,)), "again": (jnp.sin, (x,))}, runs=5)
        >>> c.baseline, c.ratio("once").median, c.ratio("again").count
        ('once', 1.0, 5)
    """
    if not isinstance(contestants, Mapping):
        raise TypeError(
            f"contestants must be {{name: (fn, args)}}, got {type(contestants).__name__}; write "
            'compare({"ours": (fn, (x,))})'
        )
    if not contestants:
        raise ValueError("contestants is empty: give {name: (fn, args)} with at least one entry")
    names = tuple(contestants)
    baseline = names[0] if baseline is None else baseline
    _check_name("baseline", baseline, names)
    if isinstance(floor, str):
        _check_name("floor", floor, names)
    check_rounds(runs, warmup)
    entries = {name: _entry(name, entry) for name, entry in contestants.items()}
    ready = [enlist(name, fn, args, clock) for name, (fn, args) in entries.items()]
    seconds = time_rounds(ready, runs=runs, warmup=warmup, clock=clock, seed=seed)
    environment = Environment.of([args for _, args in entries.values()], packages)
    floors = _floor_ratios(floor, names, seconds)
    measurements = [
        record(contestant, times, ratio, environment)
        for contestant, times, ratio in zip(ready, seconds, floors, strict=True)
    ]
    return Comparison(measurements=tuple(measurements), baseline=baseline)


def _entry(name: str, entry: object) -> tuple[Any, tuple]:
    match entry:
        case (fn, tuple(args)):
            return fn, args
    raise TypeError(
        f"contestant {name!r} must be (fn, args) with args a tuple, got "
        f"{type(entry).__name__}: write (fn, (x,)) for fn(x), (fn, ()) for fn()"
    )


def _floor_ratios(
    floor: str | Floor | None, names: tuple[str, ...], seconds: list[tuple[float, ...]]
) -> list[FloorRatio | None]:
    if floor is None:
        return [None for _ in seconds]
    if isinstance(floor, Floor):
        return [FloorRatio.computed(times, floor) for times in seconds]
    bare = seconds[names.index(floor)]
    return [FloorRatio.measured(times, floor, bare) for times in seconds]


def _check_name(argument: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the contestants are {', '.join(names)}"
    raise ValueError(f"{argument} {name!r} is not among the contestants; {hint}")
