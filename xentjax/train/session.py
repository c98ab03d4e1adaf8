"""A session: one process's part of a run that keeps its records and checkpoints in a directory.

It restores the newest checkpoint, cuts what was recorded after it, listens for the signals by which
schedulers end a job, and closes the asynchronous writes whatever happens.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from xentjax.train.checkpoint import Checkpoints
from xentjax.train.checkpoint_directory import whole_steps
from xentjax.train.loop import Best, Keeper
from xentjax.train.metrics_file import trim_metrics
from xentjax.train.record import Record, read_records
from xentjax.train.signals import terminations
from xentjax.train.state import TrainState

# When to end may be decided anew; nothing of what was trained depends on it.
_MAY_DIFFER = tuple(
    f"training.{name}" for name in ("early_stopping", "target_loss", "time_budget", "fast_dev_run")
)


@dataclasses.dataclass(frozen=True)
class Session:
    """What `train_loop` needs from a run's directory.

    Attributes:
        state: where to begin.
        checkpoints: keeps states, or None without a directory.
        resumed: progress and best validation of the part before, or None.
        interrupted: says whether and by what the process was told to end.
        log: writes a record to metrics.jsonl.
        before: the records of the parts before.
    """

    state: TrainState
    checkpoints: Keeper | None
    resumed: tuple[Mapping[str, Any], Best | None] | None
    interrupted: Callable[[], str | None]
    log: Callable[[Record], None]
    before: tuple[Record, ...] = ()


@contextlib.contextmanager
def open_session(
    directory: str | Path | None,
    state: TrainState,
    *,
    every: int,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
    keep_last: int = 2,
) -> Iterator[Session]:
    """Open a run's directory, or nothing at all.

    Args:
        directory: where metrics.jsonl and checkpoints/ are; None keeps nothing.
        state: at step 0, with the structure of what is restored.
        every: steps between checkpoints.
        resume: go on from the newest sound checkpoint; where there is none, begin.
        config: what the run was started with; a checkpoint of another config is refused.
        keep_last: how many of the newest checkpoints stay, beside the best.

    Raises:
        ValueError: if there are checkpoints and resume is False, if resume has no directory, or the
            checkpoint is of another config or model.
    """
    if directory is None:
        if resume:
            raise ValueError("resume wants the directory of the run to go on with, got None")
        with terminations() as interrupted:
            yield Session(state, None, None, interrupted, lambda _: None)
        return
    path = Path(directory)
    metrics = path / "metrics.jsonl"
    steps = whole_steps(path / "checkpoints")
    if not resume and (steps or metrics.exists()):
        raise ValueError(
            f"{path} holds a run that got to step {max(steps, default=0)}; resume it, or choose "
            "another directory"
        )
    with (
        Checkpoints(path / "checkpoints", every=every, keep_last=keep_last, config=config) as kept,
        terminations() as interrupted,
    ):
        restored = kept.restore(state, may_differ=_MAY_DIFFER) if resume else None
        resumed = None
        if restored is not None:
            resumed = restored.progress, kept.restore_best(state)
            state = restored.state
        before = read_records(metrics, until=int(state.step)) if restored else ()
        first = jax.process_index() == 0
        if first:
            path.mkdir(parents=True, exist_ok=True)
            trim_metrics(metrics, int(state.step) if restored else -1)

        def log(record: Record) -> None:
            if first:
                with metrics.open("a") as file:
                    file.write(json.dumps(record.to_metrics(), allow_nan=False) + "\n")

        yield Session(state, kept, resumed, interrupted, log, before)
