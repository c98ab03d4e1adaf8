"""The result of a sweep: a table of trials, best first, and what each compiled program took."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from xentjax.train.state import TrainState


@dataclasses.dataclass(frozen=True)
class SweepRow:
    """One trial.

    Attributes:
        number: its place among the configurations, from 0.
        hyperparameters: name → Python value, the seed included.
        validation_nats: exact mean loss on the validation rows after its last step, in nats.
        accuracy: on the validation rows, or None where nobody counted.
        train_nats: mean training loss of the last epoch (or of the last rung, where it is
            shorter), dropout on; NaN where every step of it was skipped.
        skipped: steps skipped because the loss or the gradient was not finite.
        steps: steps trained.
        diverged: whether three steps in a row were skipped or the validation is not finite.
        rung: the rung it stopped at, from 0; the last one means that it was trained to the end.
    """

    number: int
    hyperparameters: Mapping[str, Any]
    validation_nats: float
    accuracy: float | None
    train_nats: float
    skipped: int
    steps: int
    diverged: bool
    rung: int = 0

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sorts the best first: sound before diverged, far rungs before near ones, then by loss."""
        nats = self.validation_nats if math.isfinite(self.validation_nats) else math.inf
        return (self.diverged, -self.rung, nats, self.number)


@dataclasses.dataclass(frozen=True)
class SweepGroup:
    """The trials that shared a program.

    Attributes:
        static: their static hyperparameters.
        trials: how many.
        chunk: trials in the first rung's calls.
        bytes: what such a call takes, shared rows included; None where the backend does not say.
        programs: how many were compiled: one, and one more for each further size of a chunk.
        compile_seconds: tracing included.
        run_seconds: of all calls.
    """

    static: Mapping[str, Any]
    trials: int
    chunk: int
    bytes: int | None
    programs: int
    compile_seconds: float
    run_seconds: float


@dataclasses.dataclass(frozen=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        rows: the best first. Without halving that is by validation loss; with it, trials that were
            stopped come after those that went on. Diverged trials are last.
        groups: one for each combination of static values.
        seconds: from first to last.
        best_state: the trained state of the best trial; None where all diverged, or all that
            halving let go on.
    """

    rows: tuple[SweepRow, ...]
    groups: tuple[SweepGroup, ...]
    seconds: float
    best_state: TrainState | None = None

    @property
    def best(self) -> SweepRow:
        """The first row.

        Raises:
            ValueError: if every trial diverged.
        """
        if self.rows[0].diverged:
            raise ValueError(
                f"all {len(self.rows)} trials diverged, so none is best; lower the learning rates "
                "of the space, or look for a bad row in the data"
            )
        return self.rows[0]

    @property
    def programs(self) -> int:
        """How many programs were compiled."""
        return sum(group.programs for group in self.groups)

    @property
    def compile_seconds(self) -> float:
        """Seconds of tracing and compilation, of all groups."""
        return sum(group.compile_seconds for group in self.groups)

    @property
    def run_seconds(self) -> float:
        """Seconds of the calls, of all groups."""
        return sum(group.run_seconds for group in self.groups)

    def to_table(self) -> list[dict[str, Any]]:
        """One flat dictionary a row, for printing, JSON and pictures."""
        table = []
        for row in self.rows:
            line = dataclasses.asdict(row)
            del line["hyperparameters"]
            table.append({"number": row.number, **row.hyperparameters, **line})
        return table

    def write_json(self, path: Path) -> None:
        """Writes rows and groups; figures that are not finite become null, names of functions text.

        Args:
            path: the file; its folder must exist.
        """
        figures = {
            "rows": self.to_table(),
            "groups": [dataclasses.asdict(group) for group in self.groups],
            "seconds": self.seconds,
        }
        path.write_text(json.dumps(_finite(figures), indent=2, allow_nan=False, default=str))

    def to_csv(self) -> str:
        """The table as comma-separated values with a header."""
        table, text = self.to_table(), io.StringIO(newline="")
        writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
        return text.getvalue()

    def summary(self, rows: int = 10) -> Table:
        """The best rows as a table to print with rich.

        Args:
            rows: how many.
        """
        programs = "1 program" if self.programs == 1 else f"{self.programs} programs"
        shown = f", the best {rows} shown" if len(self.rows) > rows else ""
        caption = (
            f"{len(self.rows)} trials, {programs}{shown}\n"
            f"{self.compile_seconds:.1f} s compiling, {self.run_seconds:.1f} s running"
        )
        names, fixed = self._varied()
        if fixed:
            caption += "\nall with " + ", ".join(f"{k} {_text(v)}" for k, v in fixed.items())
        table = Table(caption=caption, box=SIMPLE_HEAD, padding=0)
        for name in (*names, "validation", "accuracy", "train", "skipped", "steps", ""):
            table.add_column(name, justify="right")
        for row in self.rows[:rows]:
            accuracy = "–" if row.accuracy is None else f"{row.accuracy:.1%}"
            table.add_row(
                *(_text(row.hyperparameters[name]) for name in names),
                f"{row.validation_nats:.4f}",
                accuracy,
                f"{row.train_nats:.4f}",
                str(row.skipped),
                str(row.steps),
                "diverged" if row.diverged else "",
            )
        return table

    def _varied(self) -> tuple[list[str], dict[str, Any]]:
        """The hyperparameters that differ between trials, and the values of those that do not."""
        first = self.rows[0].hyperparameters
        fixed = {
            name: value
            for name, value in first.items()
            if all(_text(row.hyperparameters[name]) == _text(value) for row in self.rows)
        }
        return [name for name in first if name not in fixed], fixed

    def __rich__(self) -> Table:
        return self.summary()


def ranked(rows: Sequence[SweepRow]) -> tuple[SweepRow, ...]:
    """The rows, best first."""
    return tuple(sorted(rows, key=lambda row: row.rank))


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): _finite(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return value
