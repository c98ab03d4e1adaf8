"""Stopping rules: when a training has converged, or run out of patience or time.

A rule looks at every record and says why to stop, or nothing. What it remembers is a plain tuple of
numbers that it is handed back, so a checkpoint can keep it and a resumed run stops where the run
left alone would have.
"""

import dataclasses
import math
from typing import ClassVar, Protocol, runtime_checkable

from xentjax.train.record import Record

Memory = tuple[float, ...]


@runtime_checkable
class StoppingRule(Protocol):
    """What `train` asks after each record."""

    def start(self) -> Memory:
        """Returns what the rule remembers before the first record."""
        ...

    def look(self, memory: Memory, record: Record) -> tuple[Memory, str | None]:
        """Returns what it remembers after a record, and the reason to stop, if there is one."""
        ...


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stops when the validation loss has not improved for `patience` validations.

    Against overfitting: `fit` and `train_loop` keep the parameters of the best validation.

    Attributes:
        patience: validations without improvement that are one too many, at least 1.
        min_delta: nats by which a loss must be lower to count as an improvement.

    Reference:
        L. Prechelt, "Early Stopping - But When?", 1998.
    """

    patience: int = 5
    min_delta: float = 0.0
    split: ClassVar[str] = "validation"

    def __post_init__(self) -> None:
        _check(self.patience >= 1, "patience", "at least 1", self.patience)
        _check(0 <= self.min_delta < math.inf, "min_delta", "not negative", self.min_delta)

    def start(self) -> Memory:
        """The best loss, its step, and the validations since."""
        return (math.inf, 0.0, 0.0)

    def look(self, memory: Memory, record: Record) -> tuple[Memory, str | None]:
        """Counts a validation."""
        if record.split != "validation":
            return memory, None
        best, step, waited = memory
        if record.loss_nats < best - self.min_delta:
            return (record.loss_nats, float(record.step), 0.0), None
        if waited + 1 < self.patience:
            return (best, step, waited + 1), None
        return (best, step, waited + 1), (
            f"early stopping: {self.patience} validations without improvement over "
            f"{best:.4g} nats at step {step:.0f}"
        )


@dataclasses.dataclass(frozen=True)
class TargetLoss:
    """Stops when the loss is low enough.

    Attributes:
        nats: the loss to reach.
        split: whose loss: "validation" or "train".
    """

    nats: float
    split: str = "validation"

    def __post_init__(self) -> None:
        _check(self.split in ("train", "validation"), "split", "train or validation", self.split)
        _check(math.isfinite(self.nats), "nats", "finite", self.nats)

    def start(self) -> Memory:
        """Nothing is remembered."""
        return ()

    def look(self, memory: Memory, record: Record) -> tuple[Memory, str | None]:
        """Compares a loss with the target."""
        if record.split == self.split and record.loss_nats <= self.nats:
            reached = f"{record.loss_nats:.4g} nats, at or below {self.nats:.4g}"
            return memory, f"target reached: {self.split} loss {reached}"
        return memory, None


@dataclasses.dataclass(frozen=True)
class Plateau:
    """Stops when the training loss has become flat: the criterion of convergence.

    The losses of the records are averaged, newest most, with weight 1/window; where the average has
    not fallen by the share `tolerance` of itself in `window` records, the training has converged.

    Attributes:
        window: records, at least 2.
        tolerance: relative fall that still counts as progress, in [0, 1).
    """

    window: int = 20
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        _check(self.window >= 2, "window", "at least 2", self.window)
        _check(0 <= self.tolerance < 1, "tolerance", "in [0, 1)", self.tolerance)

    def start(self) -> Memory:
        """The average, its lowest value that counted, and the records since."""
        return (math.nan, math.inf, 0.0)

    def look(self, memory: Memory, record: Record) -> tuple[Memory, str | None]:
        """Averages a training loss."""
        if record.split != "train" or math.isnan(record.loss_nats):
            return memory, None
        average, lowest, waited = memory
        share = 1 / self.window
        first = math.isnan(average)
        average = record.loss_nats if first else average + share * (record.loss_nats - average)
        if first or average < lowest - self.tolerance * abs(lowest):
            return (average, average, 0.0), None
        if waited + 1 < self.window:
            return (average, lowest, waited + 1), None
        return (average, lowest, waited + 1), (
            f"plateau: the training loss has stayed near {average:.4g} nats for "
            f"{self.window} records"
        )


@dataclasses.dataclass(frozen=True)
class TimeBudget:
    """Stops when the time is used up, compilation included.

    Attributes:
        seconds: of wall-clock time, over all parts of a resumed run.
    """

    seconds: float

    def __post_init__(self) -> None:
        _check(0 < self.seconds < math.inf, "seconds", "positive and finite", self.seconds)

    def start(self) -> Memory:
        """Nothing is remembered: a record knows its time."""
        return ()

    def look(self, memory: Memory, record: Record) -> tuple[Memory, str | None]:
        """Compares the time with the budget."""
        if record.seconds < self.seconds:
            return memory, None
        return memory, f"time budget of {self.seconds:g} s used up after {record.seconds:.1f} s"


def _check(holds: bool, name: str, wanted: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {wanted}, got {got}")
