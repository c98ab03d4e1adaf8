"""The loop: runs a compiled step over batches, validates, stops, checkpoints, keeps the best.

It knows no model, loss, file or screen. What happens is handed out as `Record`s, and the caller
writes them to a file, draws a progress bar, or both. `fit` puts a whole training together.
"""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.train.calls import call_lengths, stacked_calls
from xentjax.train.history import FINISHED, History, Progress
from xentjax.train.non_finite import NonFiniteLossError
from xentjax.train.objectives import Batch
from xentjax.train.record import Record
from xentjax.train.state import TrainState
from xentjax.train.step import Step
from xentjax.train.stopping import StoppingRule
from xentjax.train.totals import Totals


@runtime_checkable
class Keeper(Protocol):
    """Where a loop's checkpoints go, such as `Checkpoints`."""

    every: int

    def save(self, state: TrainState, progress: Mapping[str, Any], loss: float | None) -> None:
        """Keeps a state and, as JSON, what else a resumed loop must know."""
        ...


@dataclasses.dataclass(frozen=True)
class FitResult:
    """What a training leaves.

    Attributes:
        state: after the last step.
        best: the parameters of the best validation, to evaluate; `state` where none was made. Its
            `opt_state` is empty: averages are already in its parameters.
        best_step: the step of that validation.
        best_validation_nats: its loss in nats, or None where none was made.
        records: everything recorded, in order; from `fit` with those before a resumption.
        reason: why it ended: "all steps taken", what a stopping rule said, or a signal.
        interrupted: whether it was told to end from outside, and should be resumed.
        seconds: from first to last, compilation included, over all parts of a resumed run.
    """

    state: TrainState
    best: TrainState
    best_step: int
    best_validation_nats: float | None
    records: tuple[Record, ...]
    reason: str
    interrupted: bool
    seconds: float


@dataclasses.dataclass(frozen=True)
class Best:
    """The best validation so far, with parameters as they were evaluated."""

    nats: float
    step: int
    params: Any
    rest: Any


def train_loop(
    state: TrainState,
    step: Step,
    batches: Iterable[Batch],
    *,
    steps: int,
    steps_per_call: int = 10,
    validate: Callable[[TrainState], Totals] | None = None,
    validate_every: int | None = None,
    stop: Sequence[StoppingRule] = (),
    max_skips: int = 3,
    checkpoints: Keeper | None = None,
    resumed: tuple[Mapping[str, Any], Best | None] | None = None,
    interrupted: Callable[[], str | None] = lambda: None,
    place: Callable[[Batch], Batch] = lambda batch: batch,
    on_record: Callable[[Record], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> FitResult:
    """Train until the state has taken `steps` steps, or a rule stops it.

    Args:
        state: where to begin. It is copied, so it stays usable.
        step: from `make_step`.
        batches: dicts of arrays, all of one shape, enough for all steps. An iterator with
            `get_state` and `set_state` (grain) is resumed by these, any other by skipping.
        steps: the step to end at, those already taken included.
        steps_per_call: steps run by one compiled call. A call is shortened to end at a validation,
            a checkpoint and the last step, and each new length compiles once: let it divide them.
        validate: scores a state; run before the first step, every `validate_every` steps and
            after the last.
        validate_every: by default a tenth of the steps.
        stop: rules that may end the training earlier.
        max_skips: steps in a row skipped for a loss or gradient that is not finite, at which the
            training stops.
        checkpoints: keeps states every so often, at each new best validation and at the end.
        resumed: the progress that a checkpoint kept and the best validation up to then.
        interrupted: asked after each call whether to stop, and why.
        place: puts the stacked batches [steps, B, …] on devices.
        on_record: called with every record, in order.
        clock: seconds, for the records.

    Raises:
        NonFiniteLossError: after `max_skips` skipped steps in a row; it carries the last good
            state, which is also kept as a checkpoint.
        ValueError: if the batches end before the steps do.
    """
    every = max(1, steps // 10) if validate_every is None else validate_every
    _check_counts(
        steps=steps, steps_per_call=steps_per_call, validate_every=every, max_skips=max_skips
    )
    if int(state.step) > steps:
        raise ValueError(f"steps must be at least {int(state.step)}, those taken, got {steps}")
    progress, best = Progress.start(stop), None
    if resumed is not None:
        progress, best = Progress.from_json(resumed[0], stop), resumed[1]
    history = History(progress, stop, on_record, clock, step=int(state.step), max_skips=max_skips)
    state = state.copy()

    def keep() -> None:
        if checkpoints is not None:
            checkpoints.save(state, history.progress(), history.last_validation)

    if validate and resumed is None:
        best = _better(None, history, state, validate)
        keep()
    marks = (every if validate else None, checkpoints.every if checkpoints else None)
    lengths = call_lengths(history.step, steps, steps_per_call, marks)
    calls = stacked_calls(batches, lengths, history.step, progress.data)
    ahead = next(calls, None) if history.reason is None else None
    while ahead is not None and history.reason is None:
        stacked, data = ahead
        state, metrics = step(state, place(stacked))
        # The next batches are gathered while the device computes; only then is it waited for.
        ahead = next(calls, None)
        try:
            history.trained(jax.device_get(metrics), stacked, data, state)
        except NonFiniteLossError:
            keep()
            raise
        improved = False
        if validate and (history.step % every == 0 or history.step == steps):
            newest = _better(best, history, state, validate)
            improved, best = newest is not best, newest
        history.stop_if(FINISHED if history.step >= steps else None)
        history.interrupt(interrupted())
        due = checkpoints is not None and history.step % checkpoints.every == 0
        if improved or due or history.reason:
            keep()
    return _result(state, best, history)


def _better(
    best: Best | None,
    history: History,
    state: TrainState,
    validate: Callable[[TrainState], Totals],
) -> Best:
    nats = history.validated(validate(state))
    if best is not None and not nats < best.nats:
        return best
    # Copied, for the next step's donation deletes the buffers of this state.
    params, rest = jax.tree.map(jnp.copy, (state.evaluated().params, state.rest))
    history.best = (nats, history.step)
    return Best(nats, history.step, params, rest)


def _result(state: TrainState, best: Best | None, history: History) -> FitResult:
    shown = best or Best(np.nan, history.step, state.evaluated().params, state.rest)
    return FitResult(
        state=state,
        best=dataclasses.replace(state, params=shown.params, rest=shown.rest, opt_state=()),
        best_step=shown.step,
        best_validation_nats=best.nats if best else None,
        records=tuple(history.records),
        reason=history.reason or FINISHED,
        interrupted=history.interrupted,
        seconds=history.seconds(),
    )


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
