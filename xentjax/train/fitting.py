"""One line that trains: the pieces of this room, put together in the usual way.

`fit` makes a state, a compiled step, batches and a scorer, runs the loop and gives back the best
parameters. Each of them can be had alone, so a loop of one's own starts from the same parts.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from rich.console import Console

from xentjax.train.evaluate import make_evaluate, padded_batches
from xentjax.train.feeding import Data, Feed, as_examples, make_feed
from xentjax.train.layout import Layout
from xentjax.train.loop import FitResult, train_loop
from xentjax.train.objectives import Objective, supervised
from xentjax.train.processes import shared_clock, shared_interruption
from xentjax.train.progress import FitProgress
from xentjax.train.record import Record
from xentjax.train.session import open_session
from xentjax.train.state import TrainState
from xentjax.train.step import make_step
from xentjax.train.stopping import StoppingRule
from xentjax.train.totals import Totals
from xentjax.train.update_rule import resolve_rule

_FAST_STEPS = 3


def fit(
    model: Any,
    data: Data,
    *,
    loss: Callable[..., Any] | None = None,
    objective: Objective | None = None,
    inputs: str | Sequence[str] | None = None,
    evaluation: Objective | None = None,
    optimizer: Any = "adamw",
    schedule: Any = None,
    steps: int | None = None,
    epochs: int | None = None,
    batch_size: int = 64,
    accumulate: int = 1,
    penalty: Callable[[Any], Any] | None = None,
    validation: Data | None = None,
    validate_every: int | None = None,
    stop: Sequence[StoppingRule] | StoppingRule = (),
    max_skips: int = 3,
    mesh: Mesh | None = None,
    shard: str = "fsdp",
    specs: Mapping[str, PartitionSpec] | None = None,
    seed: int = 0,
    steps_per_call: int = 10,
    fast_dev_run: bool = False,
    overfit_batches: int | None = None,
    directory: str | Path | None = None,
    checkpoint_every: int | None = None,
    resume: bool = False,
    config: Mapping[str, Any] | None = None,
    on_record: Callable[[Record], None] | None = None,
    title: str = "fit",
    items: str = "items",
    show_validations: bool = True,
    console: Console | None = None,
) -> FitResult:
    """Trains a model and returns its last and its best state.

    Args:
        model: a flax.nnx module, or `from_linen(module, variables)`, `from_apply(apply, params)`.
        data: a dict of arrays [N, …] with `labels`, one input and perhaps `where` and `weights`; a
            pair (inputs, labels); a source such as `TokenWindows`; or an iterable of batches.
        loss: `loss(outputs, labels)`, one an example; by default softmax cross-entropy, fused with
            the model's head where the logits would be large.
        objective: `(model, batch, key) → (total, weight, sums)`, in place of a loss.
        inputs: the name of the model's input, where `data` hold more beside the labels; or
            several: ("tokens", "lengths") is model(tokens, lengths=lengths).
        evaluation: the objective of the validation; by default the same.
        optimizer: a name of `optim.optimizer`, a function of a learning rate such as
            `optim.adamw`, or an optax transformation.
        schedule: the learning rate: a number, a function of the step, or the name of a schedule
            with a peak of 1e-3; by default "warmup_cosine". Not with an optax transformation,
            which has its own.
        steps: optimizer steps in all; or
        epochs: passes over the data; one of the two.
        batch_size: examples a step.
        accumulate: micro-batches that each batch is cut into, to save memory.
        penalty: parameters → nats, added to the loss, such as `optim.l1(1e-4)`.
        validation: held-out data in the forms of `data`, of which the best parameters are kept.
        validate_every: steps between validations; by default an epoch, or a tenth of the steps.
        stop: rules such as `EarlyStopping(patience=5)`, `TargetLoss(0.1)`, `TimeBudget(600)`.
        max_skips: steps in a row skipped for a loss or gradient that is not finite, at which the
            training stops.
        mesh: the devices to share the work, `jax.make_mesh` with axes of type Auto; every process
            of several makes the same call.
        shard: "fsdp" cuts parameters and moments over the mesh, "replicated" keeps them whole.
        specs: parameters that stay in parts while they are used, by path, such as a vocabulary
            shared over the mesh axis "model": `{"head/kernel": PartitionSpec(None, "model")}`.
        seed: of the order of the examples and of what is random in a step.
        steps_per_call: steps in one compiled call.
        fast_dev_run: three steps and a validation, to see that everything fits together; no files.
        overfit_batches: train and validate on this many batches alone: a model that can learn at
            all brings their loss to zero.
        directory: where metrics.jsonl and checkpoints go; None keeps nothing.
        checkpoint_every: steps between checkpoints; by default with every validation.
        resume: go on from the newest checkpoint in `directory`, if there is one.
        config: what else a checkpoint must have been made with to be resumed, as plain JSON.
        on_record: called with every record.
        title: what is trained, for the progress bar.
        items: what is counted for the throughput.
        show_validations: print a line for each validation, or, without a terminal to draw a bar in,
            for each tenth of the steps; False prints none.
        console: where to show progress, standard output by default; without a terminal only
            lines are printed.

    Returns:
        The states, the records and the reason why it ended. `result.best.to_model()` is the model
        to use.

    Raises:
        ValueError: if arguments contradict each other or do not fit the data.
        NonFiniteLossError: after `max_skips` skipped steps in a row.

    Example:
        >>> from flax import nnx
        >>> from xentjax.models import MLP, MLPConfig
        >>> rows = {"x": np.eye(4, dtype=np.float32), "labels": np.arange(4)}
        >>> model = MLP(MLPConfig(4, (), 4), rngs=nnx.Rngs(0))  # softmax regression
        >>> result = fit(
        ...     model, rows, steps=200, batch_size=4, schedule=0.1, show_validations=False
        ... )
        >>> result.records[-1].loss_nats < 0.05
        True
        >>> result.reason
        'all steps taken'
    """
    stop = [stop] if isinstance(stop, StoppingRule) else list(stop)
    _check_validation(validation, evaluation, stop, overfit_batches)
    layout = Layout(mesh, shard, specs)
    objective = _objective(loss, objective, layout, inputs)
    feed = make_feed(data, batch_size=batch_size, seed=seed, only=overfit_batches)
    steps = _FAST_STEPS if fast_dev_run else _steps(steps, epochs, feed)
    rule = resolve_rule(optimizer, schedule, steps=steps)
    state = layout.place_state(TrainState.create(model, rule.optimizer, key=jax.random.key(seed)))
    every = min(feed.per_epoch or steps, max(1, steps // 10))
    every = every if validate_every is None else validate_every
    held_out = validation
    if overfit_batches is not None:
        held_out = list(itertools.islice(feed.batches, feed.per_epoch))
    with open_session(
        None if fast_dev_run else directory,
        state,
        every=every if checkpoint_every is None else checkpoint_every,
        resume=resume and not fast_dev_run,
        config={
            "batch_size": batch_size,
            "accumulate": accumulate,
            "seed": seed,
            "overfit_batches": overfit_batches,
            "batches in an epoch": feed.per_epoch,
            "loss": getattr(loss or objective, "__qualname__", None),
            "optimizer": optimizer if isinstance(optimizer, str) else None,
            "learning rates": _sampled(rule.learning_rate),
            **(config or {}),
        },
    ) as session:
        observers = [session.log, *([on_record] if on_record else [])]
        progress = FitProgress(
            title, steps=steps, items=items, console=console, validations=show_validations
        )
        with _shown(progress, observers) as observe:
            result = train_loop(
                session.state,
                make_step(
                    objective,
                    rule.optimizer,
                    learning_rate=rule.learning_rate,
                    accumulate=accumulate,
                    penalty=penalty,
                ),
                feed.batches,
                steps=steps,
                steps_per_call=steps_per_call,
                validate=_scorer(evaluation or objective, held_out, batch_size, layout),
                validate_every=every,
                stop=stop,
                max_skips=max_skips,
                on_record=observe,
                checkpoints=session.checkpoints,
                resumed=session.resumed,
                interrupted=shared_interruption(session.interrupted),
                place=layout.place,
                clock=shared_clock(),
            )
    return dataclasses.replace(result, records=(*session.before, *result.records))


@contextlib.contextmanager
def _shown(
    progress: FitProgress, observers: Sequence[Callable[[Record], None]]
) -> Iterator[Callable[[Record], None]]:
    """Hands records to the progress, in the first of several processes, and to all observers."""
    first = jax.process_index() == 0
    everyone = [*([progress.show] if first else []), *observers]

    def observe(record: Record) -> None:
        for observer in everyone:
            observer(record)

    with progress if first else contextlib.nullcontext():
        yield observe


def _check_validation(
    validation: Data | None,
    evaluation: Objective | None,
    stop: Sequence[StoppingRule],
    overfit_batches: int | None,
) -> None:
    if hasattr(validation, "__next__"):
        raise ValueError(
            "validation: got an iterator, which ends once or never; give arrays, or a list of "
            "batches to score each time"
        )
    if validation is not None or overfit_batches is not None:
        return
    waiting = [rule for rule in stop if getattr(rule, "split", None) == "validation"]
    if evaluation is not None or waiting:
        raise ValueError(
            f"{waiting[0] if waiting else 'evaluation'} wants a validation, got validation=None"
        )


def _objective(
    loss: Callable[..., Any] | None,
    objective: Objective | None,
    layout: Layout,
    inputs: str | Sequence[str] | None,
) -> Objective:
    if loss is not None and objective is not None:
        raise ValueError("give a loss of (outputs, labels) or an objective, not both")
    if objective is not None and inputs is not None:
        raise ValueError(f"inputs={inputs!r} is for the objectives made here, not for your own")
    if objective is not None:
        return objective
    return layout.objective(inputs) if loss is None else supervised(loss, inputs=inputs)


def _sampled(rate: Any) -> Any:
    """A schedule as JSON, to tell whether a resumed run follows the same one."""
    if callable(rate):
        return [float(np.asarray(rate(step))) for step in (0, 1, 10, 100, 1000, 10_000)]
    return None if rate is None else float(rate)


def _steps(steps: int | None, epochs: int | None, feed: Feed) -> int:
    if (steps is None) == (epochs is None):
        raise ValueError(f"give steps or epochs, one of the two, got {steps} and {epochs}")
    if steps is not None:
        return steps
    if feed.per_epoch is None:
        raise ValueError("epochs wants data of a known length; an iterable of batches wants steps")
    assert epochs is not None
    return epochs * feed.per_epoch


def _scorer(
    objective: Objective, held_out: Data | None, batch_size: int, layout: Layout
) -> Callable[[TrainState], Totals] | None:
    if held_out is None:
        return None
    examples = as_examples(held_out)
    scored = list(held_out) if examples is None else _padded(examples, batch_size)
    if not scored:
        raise ValueError("validation must hold at least one batch, got none")
    scored = [layout.place(part, batch_axis=0) for part in scored]
    evaluate = make_evaluate(objective)
    return lambda state: evaluate(state, scored)


def _padded(examples: Any, batch_size: int) -> list[dict[str, np.ndarray]]:
    if not isinstance(examples, Mapping):
        examples = examples.take(np.arange(len(examples)))
    return padded_batches(examples, batch_size=batch_size)
