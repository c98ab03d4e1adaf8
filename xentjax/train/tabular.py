"""The job behind `xentjax train digits`: an MLP on labelled rows, once for each seed.

All seeds share the split and one compiled step; what differs is the initial parameters, the batch
order and the dropout. Use the spread over the seeds for what training leaves to chance, and the
sampling error for what the size of the test split leaves to chance.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from flax import nnx
from rich.console import Console

from xentjax.data import batches, load_breast_cancer, load_digits, standardize, stratified_split
from xentjax.losses.units import bits
from xentjax.models import MLP, MLPConfig
from xentjax.train.config import TabularConfig
from xentjax.train.evaluate import Evaluate, make_evaluate, padded_batches
from xentjax.train.loop import FitResult, train_loop
from xentjax.train.objectives import cross_entropy
from xentjax.train.progress import FitProgress
from xentjax.train.record import Record
from xentjax.train.runs import Run, environment
from xentjax.train.state import TrainState
from xentjax.train.step import Step, make_step
from xentjax.train.totals import Totals
from xentjax.train.update_rule import UpdateRule, make_update_rule

_LOADERS = {"digits": load_digits, "breast_cancer": load_breast_cancer}
# Pixels share one scale already, and dividing a rarely inked one by its small deviation would make
# its noise the largest feature: 0.086 nats on the test rows instead of 0.064.
_STANDARDIZED = ("breast_cancer",)
_SCORING_BATCH = 256


@dataclasses.dataclass(frozen=True)
class SeedSummary:
    """One training: where validation was best, and the test split scored with those parameters."""

    seed: int
    best_step: int
    validation_loss_nats: float | None
    test_loss_nats: float
    test_loss_bits: float
    test_accuracy: float
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
        sampling_error: √(p(1 − p)/n), one standard error of an accuracy p measured on n test rows.
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
    sampling_error: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class _Job:
    """What all seeds share: the data, the model's config and the compiled functions."""

    parts: dict[str, dict[str, np.ndarray]]
    model_config: MLPConfig
    steps: int
    per_epoch: int
    rule: UpdateRule
    step: Step
    evaluate: Evaluate


def train_tabular(
    config: TabularConfig, run: Run, *, console: Console | None = None
) -> tuple[TabularSummary, dict[int, tuple[Record, ...]]]:
    """Train and test one MLP a seed, and write everything into the run's directory.

    Args:
        config: the options.
        run: where to write config.json, environment.json, metrics.jsonl and summary.json.
        console: where to show progress; standard output by default.

    Returns:
        The summary, and for each seed its records.
    """
    started = time.perf_counter()
    table = _LOADERS[config.dataset]()
    seeds = [config.seed + offset for offset in range(config.seeds)]
    run.write_json("config.json", dataclasses.asdict(config))
    run.write_json(
        "environment.json",
        environment(seeds=seeds, data_name=table.name, data_sha256=table.sha256),
    )
    job = _prepare(config, _split(table, config.split_seed), len(table.class_names))
    summaries, records, parameters = [], {}, 0
    for seed in seeds:
        result = _fit_seed(config, job, seed, run, console)
        summaries.append(_summarize_seed(job, seed, result))
        records[seed] = result.records
        parameters = result.best.parameter_count
    summary = _summarize(table.name, job, tuple(summaries), parameters, started)
    run.write_json("summary.json", dataclasses.asdict(summary))
    return summary, records


def _split(table: Any, seed: int) -> dict[str, dict[str, np.ndarray]]:
    split = stratified_split(table.labels, fractions=(0.7, 0.15, 0.15), seed=seed)
    features = table.features
    if table.name in _STANDARDIZED:
        features = standardize(features[split.train]).apply(features)
    return {
        name: {"features": features[rows], "labels": table.labels[rows]}
        for name, rows in split._asdict().items()
    }


def _prepare(config: TabularConfig, parts: dict[str, dict[str, np.ndarray]], classes: int) -> _Job:
    rows, features = parts["train"]["features"].shape
    if config.batch_size > rows:
        raise ValueError(
            f"--batch-size must be at most {rows}, the number of training rows, "
            f"got {config.batch_size}"
        )
    per_epoch = rows // config.batch_size
    steps = config.steps or config.epochs * per_epoch
    rule = make_update_rule(
        config.optimizer,
        config.schedule,
        peak=config.learning_rate,
        steps=steps,
        weight_decay=config.weight_decay,
    )
    training = cross_entropy(label_smoothing=config.label_smoothing)
    return _Job(
        parts=parts,
        model_config=MLPConfig(
            in_features=features,
            hidden_features=config.hidden,
            classes=classes,
            activation=config.activation,
            dropout=config.dropout,
        ),
        steps=steps,
        per_epoch=min(per_epoch, steps),
        rule=rule,
        step=make_step(training, rule.optimizer, learning_rate=rule.learning_rate),
        evaluate=make_evaluate(cross_entropy()),
    )


def _fit_seed(
    config: TabularConfig, job: _Job, seed: int, run: Run, console: Console | None
) -> FitResult:
    model = MLP(job.model_config, rngs=nnx.Rngs(seed))
    state = TrainState.create(model, job.rule.optimizer, key=jax.random.key(seed))
    title = f"{config.dataset}, seed {seed}"
    progress = FitProgress(
        title, steps=job.steps, items="examples", console=console, validations=False
    )

    def on_record(record: Record) -> None:
        run.append_metrics({"seed": seed, **record.to_metrics()})
        progress.show(record)

    with progress:
        return train_loop(
            state,
            job.step,
            batches(job.parts["train"], batch_size=config.batch_size, seed=seed),
            steps=job.steps,
            steps_per_call=job.per_epoch,
            validate=_scorer(job, "validation"),
            validate_every=job.per_epoch,
            on_record=on_record,
        )


def _scorer(job: _Job, split: str) -> Callable[[TrainState], Totals]:
    padded = padded_batches(job.parts[split], batch_size=_SCORING_BATCH)
    return lambda state: job.evaluate(state, padded)


def _summarize_seed(job: _Job, seed: int, result: FitResult) -> SeedSummary:
    test = _scorer(job, "test")(result.best)
    return SeedSummary(
        seed=seed,
        best_step=result.best_step,
        validation_loss_nats=result.best_validation_nats,
        test_loss_nats=test.loss_nats,
        test_loss_bits=float(bits(test.loss_nats)),
        test_accuracy=test.correct / test.count,
        seconds=result.seconds,
    )


def _summarize(
    name: str, job: _Job, seeds: tuple[SeedSummary, ...], parameters: int, started: float
) -> TabularSummary:
    rows = {split: len(part["labels"]) for split, part in job.parts.items()}
    loss = float(np.mean([seed.test_loss_nats for seed in seeds]))
    accuracies = [seed.test_accuracy for seed in seeds]
    accuracy = float(np.mean(accuracies))
    return TabularSummary(
        dataset=name,
        rows=rows,
        parameters=parameters,
        steps=job.steps,
        seeds=seeds,
        test_loss_nats=loss,
        test_loss_bits=float(bits(loss)),
        test_accuracy=accuracy,
        test_accuracy_std=float(np.std(accuracies, ddof=1)) if len(seeds) > 1 else None,
        sampling_error=math.sqrt(accuracy * (1 - accuracy) / rows["test"]),
        seconds=time.perf_counter() - started,
    )
