"""Reading a run: from its directory back to the data, the task and the model that it tested.

Use it to look at a trained model again, in a notebook or in an audit. What was trained on is loaded
anew and compared by its hash; the parameters are those of the best validation, the ones that the
figures in summary.json belong to.
"""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np

from xentjax.data import Table
from xentjax.jobs.config import (
    ImageConfig,
    LanguageConfig,
    RunOptions,
    TabularConfig,
    TrainingOptions,
)
from xentjax.jobs.corpus import Corpus
from xentjax.jobs.language import language_task, training_corpus
from xentjax.jobs.tabular import load_table, model_parts, tabular_task
from xentjax.jobs.task import Task, training_optimizer, training_schedule
from xentjax.train.checkpoint import Checkpoints
from xentjax.train.runs import Run
from xentjax.train.state import TrainState
from xentjax.train.update_rule import resolve_rule

Config: TypeAlias = TabularConfig | ImageConfig | LanguageConfig
_CONFIGS: dict[str, type[Config]] = {
    "digits": TabularConfig,
    "cnn": ImageConfig,
    "gpt": LanguageConfig,
}


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
            data is not what it was, or its checkpoints are lost; it says what to do.
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
    environment = _read_json(path / "environment.json")
    seed = _chosen_seed(path, environment["seeds"], seed)
    if isinstance(config, LanguageConfig):
        corpus, canaries = training_corpus(config)
        _check_data(path, environment["data"], corpus.sha256)
        task = language_task(config, corpus)
        state, steps = _best_state(task, config.training, seed, path)
        return TrainedLanguage(Run(path), config, seed, corpus, canaries, task, state, steps)
    table = load_table(config)
    _check_data(path, environment["data"], table.sha256)
    task, parts = tabular_task(config, table), model_parts(config, table)
    state, steps = _best_state(task, config.training, seed, path / f"seed-{seed}")
    return TrainedClassifier(Run(path), config, seed, table, parts, task, state, steps)


def read_config(path: Path) -> Config:
    """The options that a run was started with.

    Args:
        path: the run's directory.

    Raises:
        ValueError: if it is no directory of a training, or its options are not known.
    """
    file = path / "config.json"
    if not file.is_file():
        what = "has no config.json" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} is no run: it {what}{_nearby(path)}")
    content = _read_json(file)
    if "search" in content:
        raise ValueError(
            f"{path} is a sweep, which keeps no model; train its best row with xentjax train digits"
        )
    if "training" not in content:
        raise ValueError(
            f"{path} is of a version that kept no checkpoints; train it again with xentjax train"
        )
    job = content.pop("job", None) or _job_of(content)
    if job not in _CONFIGS:
        raise ValueError(f"{file}: the job {job!r} is not known, only {', '.join(_CONFIGS)}")
    try:
        return _rebuilt(_CONFIGS[job], content)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {error}") from error


def _job_of(content: Mapping[str, Any]) -> str:
    """The job of a run from before config.json named it, by an option that is its own."""
    return "gpt" if "block" in content else "cnn" if "widths" in content else "digits"


def _rebuilt(kind: type[Config], content: dict[str, Any]) -> Config:
    run = content["run"] | {"out": Path(content["run"]["out"])}
    nested = {"training": TrainingOptions(**content["training"]), "run": RunOptions(**run)}
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    if options.get("text") is not None:
        options["text"] = Path(options["text"])
    return kind(**options | nested)


def _chosen_seed(path: Path, seeds: list[int], seed: int | None) -> int:
    if seed is None:
        return seeds[0]
    if seed not in seeds:
        raise ValueError(f"{path} has no seed {seed}; it has {', '.join(map(str, seeds))}")
    return seed


def _check_data(path: Path, recorded: Mapping[str, str], sha256: str) -> None:
    if recorded["sha256"] != sha256:
        raise ValueError(
            f"{path} was trained on {recorded['name']} with SHA-256 {recorded['sha256'][:12]}…, "
            f"and what is loaded now has {sha256[:12]}…; restore the data (the manual differs "
            "between versions of Python) or train again"
        )


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


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"{file} is missing; train it again") from None
    except ValueError as error:
        raise ValueError(f"{file} is damaged: {error}") from error


def _nearby(path: Path) -> str:
    """Runs in the directory, beside it and in runs/, the likest names first."""
    found = sorted(set(_runs_in([path, path.parent, Path("runs")])))
    if not found:
        return "; xentjax train digits makes one"
    likest = difflib.get_close_matches(str(path), found, n=len(found), cutoff=0)
    return f"; runs nearby: {', '.join(likest[:5])}"


def _runs_in(folders: Iterable[Path]) -> Iterable[str]:
    for folder in folders:
        if folder.is_dir():
            yield from (str(file.parent) for file in folder.glob("*/config.json"))
