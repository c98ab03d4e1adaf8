"""Reading a run: from its directory back to the data, the task and the model that it tested.

Use it to look at a trained model again, in a notebook or in an audit. What was trained on is loaded
anew and compared by its hash; the parameters are those of the best validation, the ones that the
figures in summary.json belong to.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from xentjax.data import Table
from xentjax.jobs.config import ImageConfig, LanguageConfig, TabularConfig, TrainingOptions
from xentjax.jobs.corpus import Corpus
from xentjax.jobs.language import language_task, training_corpus
from xentjax.jobs.stored_config import read_config, read_object
from xentjax.jobs.tabular import load_table, model_parts, tabular_task
from xentjax.jobs.task import Task, training_optimizer, training_schedule
from xentjax.train.checkpoint import Checkpoints
from xentjax.train.runs import Run
from xentjax.train.state import TrainState
from xentjax.train.update_rule import resolve_rule

# Another device rounds otherwise; rows that are not those of the test miss by far more.
_SAME_LOSS = {"rel_tol": 0.01, "abs_tol": 1e-3}


@dataclasses.dataclass(frozen=True)
class TrainedClassifier:
    """A finished run of `xentjax train digits` or `train cnn`.

    Attributes:
        run: its directory.
        config: its options.
        seed: which of its trainings this is.
        table: its data.
        parts: "train", "validation" and "test" → "features" and "labels", as the model takes them.
        task: its training.
        state: the parameters of the best validation.
        steps: optimizer steps taken.
    """

    run: Run
    config: TabularConfig | ImageConfig
    seed: int
    table: Table
    parts: Mapping[str, Mapping[str, np.ndarray]]
    task: Task
    state: TrainState
    steps: int


@dataclasses.dataclass(frozen=True)
class TrainedLanguage:
    """A finished run of `xentjax train gpt`.

    Attributes:
        run: its directory.
        config: its options.
        seed: of its training.
        corpus: its text, with the canaries it was trained on.
        canaries: the secrets planted in the training part.
        task: its training.
        state: the parameters of the best validation.
        steps: optimizer steps taken.
    """

    run: Run
    config: LanguageConfig
    seed: int
    corpus: Corpus
    canaries: tuple[str, ...]
    task: Task
    state: TrainState
    steps: int


def read_run(path: Path, *, seed: int | None = None) -> TrainedClassifier | TrainedLanguage:
    """Reads a finished run.

    Args:
        path: its directory, such as runs/digits.
        seed: which of its trainings; the first by default.

    Returns:
        What was trained on, how, and the model that was tested.

    Raises:
        ValueError: if the directory is no run, the run is not finished or has no such seed, its
            data is not what it was, its checkpoints are lost, or its loss on the test is not the
            one it wrote down; it says what to do.
    """
    config = read_config(path)
    if not (path / "summary.json").is_file():
        raise ValueError(
            f"{path} is not finished: it has no summary.json; go on with the command that began "
            "it and --resume"
        )
    if config.training.overfit_batches is not None:
        raise ValueError(
            f"{path} was trained on {config.training.overfit_batches} batches alone, to see that "
            "the model can learn; train without --overfit-batches"
        )
    seed = _chosen_seed(path, seed)
    if isinstance(config, LanguageConfig):
        corpus, canaries = training_corpus(config)
        _check_data(path, corpus.sha256)
        task = language_task(config, corpus)
        state, steps = _best_state(task, config.training, seed, path)
        _check_figures(path, None, task, state)
        return TrainedLanguage(Run(path), config, seed, corpus, canaries, task, state, steps)
    table = load_table(config)
    _check_data(path, table.sha256)
    task, parts = tabular_task(config, table), model_parts(config, table)
    state, steps = _best_state(task, config.training, seed, path / f"seed-{seed}")
    _check_figures(path, seed, task, state)
    return TrainedClassifier(Run(path), config, seed, table, parts, task, state, steps)


def _chosen_seed(path: Path, seed: int | None) -> int:
    seeds = _recorded(path / "environment.json", "seeds")
    if seed is None:
        return seeds[0]
    if seed not in seeds:
        raise ValueError(f"{path} has no seed {seed}; it has {', '.join(map(str, seeds))}")
    return seed


def _check_data(path: Path, sha256: str) -> None:
    file = path / "environment.json"
    name, recorded = (_recorded(file, "data", key) for key in ("name", "sha256"))
    if recorded != sha256:
        raise ValueError(
            f"{path} was trained on {name} with SHA-256 {recorded[:12]}…, and what is loaded now "
            f"has {sha256[:12]}…; restore the data (the manual differs between versions of "
            "Python) or train again"
        )


def _check_figures(path: Path, seed: int | None, task: Task, state: TrainState) -> None:
    """That the loss on the test is the one that was written down.

    Otherwise the rows held out now are not those held out then, and what the model was trained on
    would be taken for what it has never seen.
    """
    file = path / "summary.json"
    if seed is None:
        recorded = _recorded(file, "test_loss_nats")
    else:
        seeds = {entry["seed"]: entry for entry in _recorded(file, "seeds")}
        recorded = seeds.get(seed, {}).get("test_loss_nats", math.nan)
    measured = task.score(state, "test").loss_nats
    if not math.isclose(measured, recorded, **_SAME_LOSS):
        raise ValueError(
            f"{path} costs {measured:.4g} nats on its test split now, and {file.name} says "
            f"{recorded:.4g}: other examples are held out, or the model is another; restore "
            "config.json, or train it again with this version"
        )


def _recorded(file: Path, *keys: str) -> Any:
    content: Any = read_object(file)
    for key in keys:
        if not isinstance(content, dict) or key not in content:
            raise ValueError(f"{file} is damaged: it has no {' / '.join(keys)}; train it again")
        content = content[key]
    return content


def _best_state(
    task: Task, options: TrainingOptions, seed: int, directory: Path
) -> tuple[TrainState, int]:
    """The state that was tested, and the steps that the training took in all."""
    rule = resolve_rule(
        training_optimizer(options), training_schedule(task, options), steps=task.steps
    )
    like = TrainState.create(task.make_model(seed), rule.optimizer, key=jax.random.key(seed))
    with Checkpoints(directory / "checkpoints", every=1) as kept:
        newest = kept.restore(like)
        best = None if newest is None else kept.restore_best(like)
    if newest is None:
        raise ValueError(f"{directory} has no checkpoints, so the model is lost; train it again")
    if best is None:
        raise ValueError(
            f"{directory} has lost the checkpoint of its best validation; train it again"
        )
    # The parameters are those that were evaluated: no average is to be taken of them again.
    state = dataclasses.replace(newest.state, params=best.params, rest=best.rest, opt_state=())
    return state, int(newest.state.step)
