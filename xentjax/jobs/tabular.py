"""The jobs behind `xentjax train digits` and `train cnn`: a model on labelled rows, once a seed.

All seeds share the split; what differs is the initial parameters, the batch order and the dropout.
Use the spread over the seeds for what training leaves to chance, and the interval for what the size
of the test split leaves to chance.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from xentjax.data import (
    Table,
    batches,
    load_breast_cancer,
    load_digits,
    standardize,
    stratified_split,
)
from xentjax.data.splits import accuracy_interval
from xentjax.jobs.config import ImageConfig, RunOptions, TabularConfig
from xentjax.jobs.task import Task, train_task
from xentjax.losses.units import bits
from xentjax.models import CNN, MLP, CNNConfig, MLPConfig
from xentjax.train.loop import FitResult
from xentjax.train.record import Record
from xentjax.train.runs import Run, environment

_LOADERS = {"digits": load_digits, "breast_cancer": load_breast_cancer}
# Pixels share one scale already, and dividing a rarely inked one by its small deviation would make
# its noise the largest feature: 0.086 nats on the test rows instead of 0.064.
_STANDARDIZED = ("breast_cancer",)
_SCORING_BATCH = 256
SIDE = 8  # of the digits, in pixels


@dataclasses.dataclass(frozen=True)
class SeedSummary:
    """One training: where validation was best, and the test split scored with those parameters."""

    seed: int
    best_step: int
    validation_loss_nats: float | None
    test_loss_nats: float
    test_loss_bits: float
    test_accuracy: float
    reason: str
    seconds: float


@dataclasses.dataclass(frozen=True)
class TabularSummary:
    """What a run over several seeds came to.

    Attributes:
        dataset: the data's name.
        rows: how many rows each split has.
        parameters: how many numbers are trained.
        steps: optimizer steps of each seed.
        seeds: one summary a seed.
        test_loss_nats: mean over the seeds, nats.
        test_loss_bits: the same in bits.
        test_accuracy: mean over the seeds.
        test_accuracy_std: standard deviation over the seeds; None for a single one.
        test_accuracy_interval: the 95 % Wilson interval of that accuracy on so many test rows.
        seconds: in all, compilation included.
    """

    dataset: str
    rows: dict[str, int]
    parameters: int
    steps: int
    seeds: tuple[SeedSummary, ...]
    test_loss_nats: float
    test_loss_bits: float
    test_accuracy: float
    test_accuracy_std: float | None
    test_accuracy_interval: tuple[float, float]
    seconds: float


def train_tabular(
    config: TabularConfig | ImageConfig,
    run: Run,
    *,
    console: Console | None = None,
    on_record: Callable[[int, Record], None] | None = None,
) -> tuple[TabularSummary, dict[int, tuple[Record, ...]]]:
    """Train and test one model a seed, and write everything into the run's directory.

    Args:
        config: the options.
        run: where to write config.json, environment.json, summary.json and a folder a seed.
        console: where to show progress; standard output by default.
        on_record: called with the seed and every record, such as a logger's.

    Returns:
        The summary, and for each seed its records.
    """
    started = time.perf_counter()
    table = load_table(config)
    seeds = [config.seed + offset for offset in range(config.seeds)]
    job = "cnn" if isinstance(config, ImageConfig) else "digits"
    run.write_json("config.json", {"job": job, **dataclasses.asdict(config)})
    run.write_json(
        "environment.json",
        environment(seeds=seeds, data_name=table.name, data_sha256=table.sha256),
    )
    task = tabular_task(config, table)
    summaries, records, parameters = [], {}, 0
    for seed in seeds:
        result = _train_seed(config, task, seed, run, console, on_record)
        summaries.append(_summarize_seed(task, seed, result))
        records[seed] = result.records
        parameters = result.best.parameter_count
    summary = _summarize(table, task, tuple(summaries), parameters, started)
    run.write_json("summary.json", dataclasses.asdict(summary))
    return summary, records


def load_table(config: TabularConfig | ImageConfig) -> Table:
    """The table the options name."""
    return _LOADERS["digits" if isinstance(config, ImageConfig) else config.dataset]()


def tabular_task(config: TabularConfig | ImageConfig, table: Table) -> Task:
    """The training of a model on the rows of a table, the rest of the rows held out.

    Raises:
        ValueError: if a batch would be larger than the training split.
    """
    parts = model_parts(config, table)
    rows = len(parts["train"]["labels"])
    if config.batch_size > rows:
        raise ValueError(
            f"--batch-size must be at most {rows}, the number of training rows, "
            f"got {config.batch_size}"
        )
    per_epoch = rows // config.batch_size
    steps = config.steps or config.epochs * per_epoch
    return Task(
        title=f"{'cnn' if isinstance(config, ImageConfig) else config.dataset}",
        items="examples",
        make_model=functools.partial(make_classifier, config, table),
        make_batches=functools.partial(_batches, parts.pop("train"), config.batch_size),
        held_out=parts,
        learning_rate=3e-3,
        steps=steps,
        steps_per_call=min(per_epoch, steps),
        validate_every=min(per_epoch, steps),
        batch_size=_SCORING_BATCH,
        show_validations=False,
    )


def model_parts(
    config: TabularConfig | ImageConfig, table: Table
) -> dict[str, dict[str, np.ndarray]]:
    """The rows of every split as the model takes them: a CNN takes images with a channel."""
    parts = split_table(table, config.split_seed)
    if isinstance(config, ImageConfig):
        for part in parts.values():
            part["features"] = part["features"].reshape(-1, SIDE, SIDE, 1)
    return parts


def split_table(table: Table, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """The rows of "train", "validation" and "test", 70 / 15 / 15 %, stratified by class."""
    split = stratified_split(table.labels, fractions=(0.7, 0.15, 0.15), seed=seed)
    features = table.features
    if table.name in _STANDARDIZED:
        features = standardize(features[split.train]).apply(features)
    return {
        name: {"features": features[rows], "labels": table.labels[rows]}
        for name, rows in split._asdict().items()
    }


def make_classifier(
    config: TabularConfig | ImageConfig, table: Table, seed: int | jax.Array
) -> nnx.Module:
    """A new model for the classes of a table; the seed may be a JAX key, traced too."""
    rngs, classes = nnx.Rngs(seed), len(table.class_names)
    if isinstance(config, ImageConfig):
        return CNN(
            CNNConfig(
                widths=config.widths,
                blocks=config.blocks,
                classes=classes,
                activation=config.activation,
                dropout=config.dropout,
            ),
            rngs=rngs,
        )
    return MLP(
        MLPConfig(
            in_features=table.features.shape[1],
            hidden_features=config.hidden,
            classes=classes,
            activation=config.activation,
            dropout=config.dropout,
        ),
        rngs=rngs,
    )


def _batches(rows: dict[str, np.ndarray], batch_size: int, seed: int) -> Any:
    return batches(rows, batch_size=batch_size, seed=seed)


def _train_seed(
    config: TabularConfig | ImageConfig,
    task: Task,
    seed: int,
    run: Run,
    console: Console | None,
    on_record: Callable[[int, Record], None] | None,
) -> FitResult:
    return train_task(
        dataclasses.replace(task, title=f"{task.title}, seed {seed}"),
        config.training,
        seed=seed,
        directory=run.path / f"seed-{seed}",
        checkpoint_every=config.run.checkpoint_every,
        resume=config.run.resume,
        # How many seeds there are and where they are kept changes nothing of one of them.
        config=dataclasses.asdict(
            dataclasses.replace(config, run=RunOptions(), seed=seed, seeds=1)
        ),
        on_record=None if on_record is None else functools.partial(on_record, seed),
        console=console,
    )


def _summarize_seed(task: Task, seed: int, result: FitResult) -> SeedSummary:
    test = task.score(result.best, "test")
    return SeedSummary(
        seed=seed,
        best_step=result.best_step,
        validation_loss_nats=result.best_validation_nats,
        test_loss_nats=test.loss_nats,
        test_loss_bits=float(bits(test.loss_nats)),
        test_accuracy=test.correct / test.count,
        reason=result.reason,
        seconds=result.seconds,
    )


def _summarize(
    table: Table, task: Task, seeds: tuple[SeedSummary, ...], parameters: int, started: float
) -> TabularSummary:
    held_out = {split: len(part["labels"]) for split, part in task.held_out.items()}
    loss = float(np.mean([seed.test_loss_nats for seed in seeds]))
    accuracies = [seed.test_accuracy for seed in seeds]
    accuracy = float(np.mean(accuracies))
    return TabularSummary(
        dataset=table.name,
        rows={"train": len(table.labels) - sum(held_out.values()), **held_out},
        parameters=parameters,
        steps=task.steps,
        seeds=seeds,
        test_loss_nats=loss,
        test_loss_bits=float(bits(loss)),
        test_accuracy=accuracy,
        test_accuracy_std=float(np.std(accuracies, ddof=1)) if len(seeds) > 1 else None,
        test_accuracy_interval=accuracy_interval(held_out["test"], accuracy=accuracy),
        seconds=time.perf_counter() - started,
    )
