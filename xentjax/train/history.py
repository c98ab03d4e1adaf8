"""The history of a training: counts steps, items and seconds, makes records, decides to stop.

`Progress` is the part of it that a checkpoint keeps, as plain JSON.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xentjax.train.non_finite import NonFiniteLossError, NonFiniteSteps
from xentjax.train.record import Record
from xentjax.train.state import TrainState
from xentjax.train.stopping import StoppingRule
from xentjax.train.totals import Totals

FINISHED = "all steps taken"


@dataclasses.dataclass(frozen=True)
class Progress:
    """What a resumed loop must know besides the state, as plain numbers.

    Attributes:
        items: examples or tokens trained on.
        seconds: the time used.
        skips: steps skipped in a row, up to now.
        best: loss in nats and step of the best validation, or None.
        memories: what each stopping rule remembers.
        data: the place in the data.
        reason: what a stopping rule said, or None: a run that was interrupted or took all its steps
            may go on.
    """

    items: int
    seconds: float
    skips: int
    best: tuple[float, int] | None
    memories: tuple[tuple[float, ...], ...]
    data: Any
    reason: str | None

    @classmethod
    def start(cls, stop: Sequence[StoppingRule]) -> "Progress":
        """The progress of a run that has not begun."""
        return cls(0, 0.0, 0, None, tuple(rule.start() for rule in stop), None, None)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any], stop: Sequence[StoppingRule]) -> "Progress":
        """Restores what `to_json` made.

        Args:
            saved: its result.
            stop: the stopping rules of the run that goes on; those that the run had not begin anew.
        """
        kept = {name: tuple(map(float, numbers)) for name, numbers in saved["memories"]}
        best, same_rules = saved["best"], saved["rules"] == [repr(rule) for rule in stop]
        return cls(
            items=saved["items"],
            seconds=saved["seconds"],
            skips=saved["skips"],
            best=None if best is None else (best[0], best[1]),
            memories=tuple(
                kept.get(name, rule.start()) for name, rule in zip(names(stop), stop, strict=True)
            ),
            data=saved["data"],
            # What other rules said may not hold by these.
            reason=saved["reason"] if same_rules else None,
        )

    def to_json(self, stop: Sequence[StoppingRule]) -> dict[str, Any]:
        """Returns what `from_json` restores; what rules remember as text, for JSON has no NaN."""
        remembered = zip(names(stop), self.memories, strict=True)
        memories = [[name, list(map(repr, memory))] for name, memory in remembered]
        rules = [repr(rule) for rule in stop]
        return dataclasses.asdict(self) | {"memories": memories, "rules": rules}


def names(stop: Sequence[StoppingRule]) -> list[str]:
    """What each rule's memory is kept under: no other rule, or kind of rule, is handed it."""
    kinds = [type(rule).__name__ for rule in stop]
    return [f"{kind} {kinds[:place].count(kind)}" for place, kind in enumerate(kinds)]


class History:
    """Everything that has happened, and what follows from it.

    Attributes:
        step: steps taken.
        records: made by this process.
        reason: why to stop, or None.
        interrupted: whether that reason came from outside.
        best: loss in nats and step of the best validation, or None.
        last_validation: the loss in nats of a validation at this step, or None.
    """

    def __init__(
        self,
        progress: Progress,
        stop: Sequence[StoppingRule],
        on_record: Callable[[Record], None] | None,
        clock: Callable[[], float],
        *,
        step: int,
        max_skips: int,
    ) -> None:
        self.step, self.records, self.reason = step, [], progress.reason
        self.best, self.last_validation = progress.best, None
        self.interrupted, self._by_rule = False, progress.reason is not None
        self._stop, self._on_record, self._clock = stop, on_record, clock
        self._memories = list(progress.memories)
        self._started = clock() - progress.seconds
        self._items, self._data, self._rate = progress.items, progress.data, None
        self._non_finite = NonFiniteSteps(progress.skips, max_skips)

    def seconds(self) -> float:
        """The time used, over all parts of a resumed run."""
        return self._clock() - self._started

    def progress(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON."""
        progress = Progress(
            items=self._items,
            seconds=self.seconds(),
            skips=self._non_finite.in_a_row,
            best=self.best,
            memories=tuple(self._memories),
            data=self._data,
            reason=self.reason if self._by_rule else None,
        )
        return progress.to_json(self._stop)

    def trained(
        self, metrics: Mapping[str, Any], batches: Mapping[str, Any], data: Any, state: TrainState
    ) -> None:
        """Takes in the metrics of a call, arrays [steps] on the host."""
        first, taken = self.step + 1, len(metrics["loss_total"])
        self.step += taken
        self.last_validation = None
        self._data = data
        self._items += _count(batches)
        if "learning_rate" in metrics:
            self._rate = float(metrics["learning_rate"][-1])
        kept = np.asarray(metrics["skipped"]) == 0
        totals = Totals.from_metrics({name: array[kept] for name, array in metrics.items()})
        norms = np.asarray(metrics["grad_norm"])[kept]
        self._add(
            "train",
            totals if kept.any() else Totals(np.nan, 1.0),
            grad_norm=float(norms.max()) if norms.size else None,
            skipped=int(taken - kept.sum()),
        )
        self._non_finite.look(metrics, batches, state, first_step=first)

    def validated(self, totals: Totals) -> float:
        """Takes in a validation and returns its loss in nats.

        Raises:
            ValueError: if nothing in it counted.
            NonFiniteLossError: if its loss is not a finite number.
        """
        if not totals.weight:
            raise ValueError(
                "validation holds nothing that counts: every example is masked, ignored or of "
                "weight 0, or there is none"
            )
        if not np.isfinite(totals.loss_nats):
            raise NonFiniteLossError(
                f"training stopped at step {self.step}: validation loss {totals.loss_nats} nats, "
                "though the training loss was finite; look for a bad label or feature in the "
                "validation split",
                step=self.step,
                batch=None,
                state=None,
            )
        self.last_validation = totals.loss_nats
        self._add("validation", totals)
        return totals.loss_nats

    def stop_if(self, reason: str | None) -> None:
        """Stops for this reason, unless there is none or another one already."""
        self.reason = self.reason or reason

    def interrupt(self, reason: str | None) -> None:
        """The same for a reason from outside, after which the run should be resumed."""
        if reason is not None and self.reason is None:
            self.reason, self.interrupted = reason, True

    def _add(self, split: str, totals: Totals, **figures: Any) -> None:
        record = Record(
            step=self.step,
            split=split,
            loss_nats=totals.loss_nats,
            accuracy=totals.accuracy,
            learning_rate=self._rate,
            seconds=self.seconds(),
            items=self._items,
            **figures,
        )
        self.records.append(record)
        for place, rule in enumerate(self._stop):
            self._memories[place], reason = rule.look(self._memories[place], record)
            self._by_rule = self._by_rule or bool(reason and self.reason is None)
            self.stop_if(reason)
        if self._on_record is not None:
            self._on_record(record)


def _count(batches: Mapping[str, Any]) -> int:
    """Examples or tokens: one an integer label, or one a row where labels are distributions."""
    labels = np.asarray(batches.get("labels", ()))
    return labels.size if labels.dtype.kind in "iu" else int(np.prod(labels.shape[:2]))
