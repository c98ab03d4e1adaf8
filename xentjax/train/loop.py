"""The loop: runs a compiled step over batches, validates now and then, keeps the best parameters.

It knows no model, loss, file or screen. What happens is handed out as `Record`s, and the caller
writes them to a file, draws a progress bar, or both.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.train.state import TrainState
from xentjax.train.step import Batch, NonFiniteLossError, Step, check_finite, stack_batches
from xentjax.train.totals import Totals


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known after some step about one split of the data.

    Attributes:
        step: optimizer steps taken.
        split: "train", where the figures are means over the steps since the last record and
            dropout was on, or "validation", where they are exact.
        loss_nats: mean loss, nats.
        accuracy: share predicted right, or None where nobody counted.
        learning_rate: of the last step taken; None before the first.
        seconds: since the loop began, compilation included.
        items: how many examples or tokens the loop has trained on so far.
    """

    step: int
    split: str
    loss_nats: float
    accuracy: float | None
    learning_rate: float | None
    seconds: float
    items: int

    def to_metrics(self) -> dict[str, Any]:
        """The line of metrics.jsonl: everything but the item count."""
        line = dataclasses.asdict(self)
        del line["items"]
        return line


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What a loop leaves.

    Attributes:
        state: after the last step.
        best: the state with the parameters of the best validation; `state` where none was made.
        best_step: the step of that validation.
        best_validation_nats: its loss in nats, or None where none was made.
        records: everything recorded, in order.
        seconds: from first to last, compilation included.
    """

    state: TrainState
    best: TrainState
    best_step: int
    best_validation_nats: float | None
    records: tuple[Record, ...]
    seconds: float


def fit(
    state: TrainState,
    step: Step,
    batches: Iterable[Batch],
    *,
    steps: int,
    steps_per_call: int = 10,
    validate: Callable[[TrainState], Totals] | None = None,
    validate_every: int | None = None,
    on_record: Callable[[Record], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> FitResult:
    """Train for a number of steps and return the last and the best state.

    Args:
        state: where to begin. It is copied, so it stays usable.
        step: from `make_step`.
        batches: at least `steps` dicts of arrays, all of one shape; `labels` are counted for the
            throughput.
        steps: optimizer steps to take.
        steps_per_call: steps run by one compiled call. A call is shortened to end at a validation
            and at the last step, and each new length compiles once: let it divide both.
        validate: scores a state; run before the first step, every `validate_every` steps and
            after the last.
        validate_every: by default a tenth of the steps.
        on_record: called with every record, in order.
        clock: seconds, for the records.

    Raises:
        NonFiniteLossError: naming the first step whose loss or gradient is not finite.
        ValueError: if the batches end before the steps do.
    """
    counts = {"steps": steps, "steps_per_call": steps_per_call, "validate_every": validate_every}
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    every = validate_every or max(1, steps // 10) if validate else steps
    history = _History(on_record, clock, first_step=int(state.step))
    state = state.copy()
    best = history.validated(state, validate) if validate else None
    calls = _stacked_calls(iter(batches), _call_lengths(steps, steps_per_call, every))
    ahead = next(calls)
    while ahead is not None:
        state, metrics = step(state, ahead)
        # The next batches are gathered while the device computes; only then is it waited for.
        items = np.size(ahead["labels"]) if "labels" in ahead else 0
        ahead = next(calls, None)
        history.trained(jax.device_get(metrics), items)
        done = history.step - history.first_step
        if validate and (done % every == 0 or done == steps):
            candidate = history.validated(state, validate)
            best = candidate if best is None or candidate[0] < best[0] else best
    best_nats, best_step, params, rest = best or (None, history.step, state.params, state.rest)
    return FitResult(
        state=state,
        best=dataclasses.replace(state, params=params, rest=rest),
        best_step=best_step,
        best_validation_nats=best_nats,
        records=tuple(history.records),
        seconds=history.seconds(),
    )


class _History:
    """Counts steps, items and seconds, and turns metrics into records."""

    def __init__(
        self,
        on_record: Callable[[Record], None] | None,
        clock: Callable[[], float],
        *,
        first_step: int,
    ) -> None:
        self.records: list[Record] = []
        self.step = self.first_step = first_step
        self._on_record, self._clock, self._started = on_record, clock, clock()
        self._items, self._rate = 0, None

    def seconds(self) -> float:
        return self._clock() - self._started

    def trained(self, metrics: dict[str, Any], items: int) -> None:
        check_finite(metrics, first_step=self.step + 1)
        self.step += len(metrics["loss_total"])
        self._items += items
        self._rate = float(metrics["learning_rate"][-1])
        self._add("train", Totals.from_metrics(metrics))

    def validated(
        self, state: TrainState, validate: Callable[[TrainState], Totals]
    ) -> tuple[float, int, Any, Any]:
        totals = validate(state)
        if not np.isfinite(totals.loss_nats):
            raise NonFiniteLossError(
                f"training stopped at step {self.step}: validation loss {totals.loss_nats} nats, "
                "though the training loss was finite; look for a bad label or feature in the "
                "validation split"
            )
        self._add("validation", totals)
        # Copied, for the next step's donation deletes the buffers of this state.
        params, rest = jax.tree.map(jnp.copy, (state.params, state.rest))
        return totals.loss_nats, self.step, params, rest

    def _add(self, split: str, totals: Totals) -> None:
        record = Record(
            step=self.step,
            split=split,
            loss_nats=totals.loss_nats,
            accuracy=totals.accuracy,
            learning_rate=self._rate,
            seconds=self.seconds(),
            items=self._items,
        )
        self.records.append(record)
        if self._on_record is not None:
            self._on_record(record)


def _call_lengths(steps: int, steps_per_call: int, every: int) -> list[int]:
    """Cut `steps` into calls that end at every validation.

    Example:
        >>> _call_lengths(10, 4, 5)
        [4, 1, 4, 1]
    """
    lengths, done = [], 0
    while done < steps:
        length = min(steps_per_call, steps - done, every - done % every)
        lengths.append(length)
        done += length
    return lengths


def _stacked_calls(
    batches: Iterator[Batch], lengths: list[int]
) -> Iterator[dict[str, np.ndarray] | None]:
    done = 0
    for length in lengths:
        taken = [batch for _, batch in zip(range(length), batches, strict=False)]
        if len(taken) < length:
            raise ValueError(
                f"batches ended after {done + len(taken)} of {sum(lengths)} steps; let them "
                "repeat (epochs=None) or take fewer steps"
            )
        done += length
        yield stack_batches(taken)
