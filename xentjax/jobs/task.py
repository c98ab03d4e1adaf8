"""A task: data, model and objective, ready to be trained, tested, swept or searched for a rate.

The jobs of the command line make one from their options; `train_task` trains it once.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optax
from rich.console import Console

from xentjax import optim
from xentjax.jobs.config import TrainingOptions
from xentjax.train.evaluate import make_evaluate, padded_batches
from xentjax.train.fitting import fit
from xentjax.train.loop import FitResult
from xentjax.train.objectives import Batch, Objective, cross_entropy
from xentjax.train.record import Record
from xentjax.train.state import TrainState
from xentjax.train.stopping import EarlyStopping, StoppingRule, TargetLoss, TimeBudget
from xentjax.train.totals import Totals


@dataclasses.dataclass(frozen=True)
class Task:
    """What all trainings of a job share.

    Attributes:
        title: what is being trained, for the progress bar.
        items: what throughput counts, such as "examples" or "tokens".
        make_model: seed → model.
        make_batches: seed → batches without end, in an order of that seed.
        held_out: "validation" and "test" → arrays [N, …], scored whole.
        learning_rate: the peak where the options name none.
        steps: optimizer steps of a training.
        steps_per_call: steps in one compiled call.
        validate_every: steps between validations.
        batch_size: of the scoring.
        evaluation: the objective of the scoring.
        show_validations: print a line for each validation.
    """

    title: str
    items: str
    make_model: Callable[[int], Any]
    make_batches: Callable[[int], Iterable[Batch]]
    held_out: Mapping[str, Mapping[str, np.ndarray]]
    learning_rate: float
    steps: int
    steps_per_call: int
    validate_every: int
    batch_size: int
    evaluation: Objective = dataclasses.field(default_factory=cross_entropy)
    show_validations: bool = True

    def score(self, state: TrainState, split: str) -> Totals:
        """Scores every example of a held-out split once."""
        padded = padded_batches(self.held_out[split], batch_size=self.batch_size)
        return make_evaluate(self.evaluation)(state, padded)


class Interrupted(RuntimeError):  # noqa: N818
    """A training was told to end, kept a checkpoint and did; `--resume` goes on."""


def train_task(
    task: Task,
    options: TrainingOptions,
    *,
    seed: int,
    directory: Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
    on_record: Callable[[Record], None] | None = None,
    console: Console | None = None,
) -> FitResult:
    """Train a task once.

    Args:
        task: what to train.
        options: how.
        seed: of the initial parameters, the order of the batches and the dropout.
        directory: where metrics.jsonl and checkpoints go; None keeps nothing.
        checkpoint_every: steps between checkpoints.
        resume: go on from the newest checkpoint in the directory.
        config: what a checkpoint must have been made with to be resumed.
        on_record: called with every record.
        console: where to show progress.

    Returns:
        The last and the best state, and the records.

    Raises:
        Interrupted: if a signal ended it; the directory holds a checkpoint.
    """
    result = fit(
        task.make_model(seed),
        task.make_batches(seed),
        objective=training_objective(options),
        evaluation=task.evaluation,
        optimizer=training_optimizer(options),
        schedule=training_schedule(task, options),
        steps=task.steps,
        batch_size=task.batch_size,
        accumulate=options.accumulate,
        validation=task.held_out["validation"],
        validate_every=task.validate_every,
        stop=stopping_rules(options),
        seed=seed,
        steps_per_call=task.steps_per_call,
        fast_dev_run=options.fast_dev_run,
        overfit_batches=options.overfit_batches,
        directory=directory,
        checkpoint_every=checkpoint_every,
        resume=resume,
        config=config,
        on_record=on_record,
        title=task.title,
        items=task.items,
        show_validations=task.show_validations,
        console=console,
    )
    if result.interrupted:
        raise Interrupted(f"{task.title}, step {int(result.state.step)}: {result.reason}")
    return result


def training_schedule(task: Task, options: TrainingOptions) -> optim.Schedule:
    """The course of the learning rate that the options ask for."""
    if options.learning_rate is None and options.optimizer in optim.RATE_FREE:
        return optim.constant(1.0)
    peak = task.learning_rate if options.learning_rate is None else options.learning_rate
    return optim.schedule(options.schedule, peak, steps=task.steps)


def training_objective(options: TrainingOptions) -> Objective:
    """The objective that the options ask for."""
    return cross_entropy(label_smoothing=options.label_smoothing)


def training_optimizer(
    options: TrainingOptions,
) -> Callable[[Any], optax.GradientTransformation]:
    """The optimizer that the options ask for, as a function of the learning rate."""
    given: dict[str, Any] = {}
    if "weight_decay" in optim.optimizer_options(options.optimizer):
        given["weight_decay"] = options.weight_decay
    if options.clip_norm is not None:
        given["clip_norm"] = options.clip_norm

    def make(rate: Any) -> optax.GradientTransformation:
        rule = optim.optimizer(options.optimizer, rate, **given)
        return rule if options.ema is None else optim.ema(rule, decay=options.ema)

    return make


def stopping_rules(options: TrainingOptions) -> tuple[StoppingRule, ...]:
    """The stopping rules that the options ask for."""
    rules: list[StoppingRule] = []
    if options.early_stopping is not None:
        rules.append(EarlyStopping(patience=options.early_stopping))
    if options.target_loss is not None:
        rules.append(TargetLoss(options.target_loss))
    if options.time_budget is not None:
        rules.append(TimeBudget(options.time_budget))
    return tuple(rules)
