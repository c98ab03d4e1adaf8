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

from rich.console import Group
from rich.table import Table

from xentjax.timing.comparison_table import notes, program_table, run_table
from xentjax.timing.environment import Environment
from xentjax.timing.figures import plain_text
from xentjax.timing.floor import Floor
from xentjax.timing.guards import warn
from xentjax.timing.interval import Interval, median_interval, verdict
from xentjax.timing.measurement import Measurement
from xentjax.timing.roofline import Roofline
from xentjax.timing.session import Entry, measured_together
from xentjax.timing.spread import Spread, paired_ratios


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
        return Spread.of(self._ratios(name, to))

    def interval(self, name: str, to: str | None = None) -> Interval | None:
        """95 % bootstrap interval of the median of `ratio(name, to)`.

        Args:
            name: a contestant.
            to: another; the baseline when left out.

        Returns:
            The interval; None for fewer than 6 rounds, where none exists.

        Raises:
            ValueError: a name is unknown.
        """
        return median_interval(self._ratios(name, to))

    def verdict(self, name: str, to: str | None = None) -> str:
        """What the rounds show: "faster", "slower" or "no difference shown".

        A difference is shown where the 95 % interval of the ratio leaves out 1. Of contestants
        that are equal, one in twenty is then called different: believe a verdict near 1 when a
        second run repeats it.

        Args:
            name: a contestant.
            to: another; the baseline when left out.

        Returns:
            The verdict; "too few rounds" for fewer than 6.

        Raises:
            ValueError: a name is unknown.
        """
        return verdict(self.interval(name, to))

    def _ratios(self, name: str, to: str | None) -> list[float]:
        return paired_ratios(self[name].run_seconds, self[to or self.baseline].run_seconds)

    def table(self, title: str | None = None) -> Table:
        """One line a contestant: run time, ratios with their uncertainty, verdict.

        Behind a ratio to the baseline stands its 95 % interval (of fewer than 6 rounds there is
        none: the standard error of the median instead).
        """
        return run_table(self, title)

    def program_table(self, title: str | None = None) -> Table:
        """One line a contestant: work, achieved rates, memory and time to build.

        What no contestant has is left out; "build" is trace, lowering and compilation together.
        """
        return program_table(self, title)

    def __rich__(self) -> Group:
        return Group(self.table(), self.program_table(), *notes(self))

    def __str__(self) -> str:
        return plain_text(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the environment stands once, the ratios beside the runs."""
        entries = []
        for measurement in self.measurements:
            entry = measurement.to_dict()
            del entry["environment"]
            entries.append({**entry, **self._ratio_fields(measurement.name)})
        environment = self.measurements[0].to_dict()["environment"]
        return {"baseline": self.baseline, "environment": environment, "measurements": entries}

    def _ratio_fields(self, name: str) -> dict[str, Any]:
        ratio, interval = self.ratio(name), self.interval(name)
        return {
            "ratio_median": ratio.median,
            "ratio_iqr": ratio.iqr,
            "ratio_interval": interval and [interval.low, interval.high],
            "verdict": self.verdict(name),
        }

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
    floor: str | Floor | Roofline | None = None,
    runs: int = 30,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
    packages: Sequence[str] = (),
    seed: int = 0,
    cache_bytes: int | None = None,
) -> Comparison:
    """Times contestants in one alternating run and gives their ratios to a baseline.

    All are compiled first. Then each round runs every contestant once, in an order drawn anew,
    so that none always follows the same one.

    Args:
        contestants: name → `(fn, args)`. `fn` as in `measure`: traceable, already jitted, or
            `Plain(fn)` for a callable JAX cannot trace (no compile or memory figures then).
        baseline: the contestant whose ratio is 1; the first when left out.
        floor: the contestant that is the bare operation; a computed `Floor`; or `Roofline()`,
            which measures the rates of the device in the same rounds.
        runs: rounds that count, at least 1. A quiet ratio to one percent takes about 30 on a
            shared machine.
        warmup: rounds before them that do not.
        clock: a clock in seconds.
        packages: further packages whose versions belong in the result.
        seed: draws the order within each round.
        cache_bytes: inputs that fit in a cache of this size are copied, and the runs take the
            copies in turn, so that they read from memory; found or assumed when left out, and
            0 leaves the inputs in the cache. Where the inputs of one contestant are not arrays
            and numbers (torch tensors, say), those of none are copied.

    Returns:
        The comparison: `print(…)`, `.ratio(name)`, `.interval(name)`, `.verdict(name)`,
        `.to_json()`, `.write_json(path)`.

    Raises:
        TypeError: contestants are not a mapping, a contestant is not `(fn, args)`, or its fn is
            not callable or not traceable (numpy: use `Plain`).
        ValueError: no contestants; unknown `baseline` or `floor`; `runs` < 1; `warmup` < 0;
            `cache_bytes` < 0.

    Warns:
        TimingWarning: nobody waits for a result, or JAX compiled during timed runs.

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
    entries = [_entry(name, entry) for name, entry in contestants.items()]
    measurements = measured_together(
        entries,
        floor=names.index(floor) if isinstance(floor, str) else floor,
        runs=runs,
        warmup=warmup,
        clock=clock,
        packages=packages,
        cache=cache_bytes,
        seed=seed,
    )
    for measurement in measurements:
        warn(measurement.caveats)
    return Comparison(measurements=tuple(measurements), baseline=baseline)


def _entry(name: str, entry: object) -> Entry:
    match entry:
        case (fn, tuple(args)):
            return Entry(name, fn, args)
        case (_, args):
            got = f"args of type {type(args).__name__}"
        case _:
            got = type(entry).__name__
    raise TypeError(
        f"contestant {name!r} must be (fn, args) with args a tuple, got {got}: write (fn, (x,)) "
        "for fn(x), (fn, ()) for fn()"
    )


def _check_name(argument: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"the contestants are {', '.join(names)}"
    raise ValueError(f"{argument} {name!r} is not among the contestants; {hint}")
