"""One function, measured: what it costs to build, to run and to hold, and how near its floor."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from xentjax.timing.contestant import Compilation, Memory
from xentjax.timing.environment import Environment
from xentjax.timing.figures import (
    bytes_text,
    flops_text,
    plain_text,
    rate_text,
    ratio_text,
    seconds_text,
)
from xentjax.timing.floor import FloorRatio
from xentjax.timing.spread import Spread
from xentjax.timing.work import Work


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
        work: FLOPs and bytes of one run on each device; a floor's own figures in their place.
        peak_bytes: device memory a run took at the most on top of what was in use; None where
            the backend does not tell, or something before had taken more.
        copies: sets of inputs the runs took in turn, to read them from memory and not from
            cache; 1 where all runs had the same.
        caveats: why the figures may not mean what they seem to.
    """

    name: str
    run_seconds: tuple[float, ...]
    compilation: Compilation | None
    memory: Memory | None
    floor: FloorRatio | None
    environment: Environment
    work: Work | None = None
    peak_bytes: int | None = None
    copies: int = 1
    caveats: tuple[str, ...] = ()

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

    @property
    def flops_per_second(self) -> float | None:
        """FLOPs of products over the median run, on each device; None where unknown."""
        return self._rate(self.work and self.work.flops)

    @property
    def bytes_per_second(self) -> float | None:
        """Bytes the program moves over the median run, on each device; None where unknown."""
        return self._rate(self.work and self.work.bytes)

    def _rate(self, work: int | None) -> float | None:
        return work / self.median_seconds if work and self.median_seconds else None

    def table(self) -> Table:
        """Every figure on a line of its own."""
        table = Table("figure", "value", title=self.name, caption=str(self.environment))
        table.columns[1].justify = "right"
        for figure, value in self._lines():
            table.add_row(figure, value)
        return table

    def __rich__(self) -> Group:
        return Group(self.table(), *(Text(f"! {caveat}") for caveat in self.caveats))

    def __str__(self) -> str:
        return plain_text(self)

    def _lines(self) -> list[tuple[str, str]]:
        build, memory, floor = self.compilation, self.memory, self.floor
        work = self.work or Work()
        why = f"unknown: {work.unknown[0]}" if work.unknown else "unknown"
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
            ("peak device memory", bytes_text(self.peak_bytes, "unmeasured")),
            ("products", why if work.flops is None else flops_text(work.flops)),
            ("moved", bytes_text(work.bytes, why)),
            ("must move", bytes_text(work.least_bytes, why)),
            ("achieved, products", rate_text(self.flops_per_second, "FLOP/s")),
            ("achieved, moved", rate_text(self.bytes_per_second, "B/s")),
            ("inputs", f"{self.copies} copies in turn" if self.copies > 1 else "always the same"),
        ]
        return lines if floor is None else lines + _floor_lines(floor)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the summary beside the runs it is made of."""
        summary = {"median_seconds": self.median_seconds, "iqr_seconds": self.iqr_seconds}
        return {**dataclasses.asdict(self), **summary, "runs": self.runs}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Measurement":
        """The measurement `to_dict` described."""
        build, memory, floor = fields["compilation"], fields["memory"], fields["floor"]
        work = fields.get("work")  # not in files written before it was measured
        return cls(
            name=fields["name"],
            run_seconds=tuple(fields["run_seconds"]),
            compilation=build and Compilation(**build),
            memory=memory and Memory(**memory),
            floor=floor and FloorRatio.from_dict(floor),
            environment=Environment(**fields["environment"]),
            work=work and Work(**{**work, "unknown": tuple(work["unknown"])}),
            peak_bytes=fields.get("peak_bytes"),
            copies=fields.get("copies", 1),
            caveats=tuple(fields.get("caveats", ())),
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


def _floor_lines(floor: FloorRatio) -> list[tuple[str, str]]:
    bound = f", by {floor.bound}" if floor.bound else ""
    lines = [
        (f"floor ({floor.name}{bound})", seconds_text(floor.seconds)),
        ("run / floor", ratio_text(floor.ratio)),
    ]
    if floor.rates is not None:
        lines.append(("device, copy", rate_text(floor.rates.bytes_per_second, "B/s")))
        flops = rate_text(floor.rates.flops_per_second, "FLOP/s")
        lines.append((f"device, {floor.rates.dtype} product", flops))
    return lines
