"""The options of the commands that are not trainings, as frozen dataclasses."""

import dataclasses
from pathlib import Path
from typing import Literal, TypeAlias

import tyro

from xentjax.jobs.config import ImageConfig, LanguageConfig, Schedule, TabularConfig


@dataclasses.dataclass(frozen=True)
class FinderOptions:
    """The course of a learning rate range test."""

    low: float = 1e-6
    """Learning rate of the first step."""
    high: float = 10.0
    """Learning rate of the last step, if it comes to that."""
    tries: int = 100
    """Steps between the two, in equal ratios."""
    picture: Path = Path("lr_find.png")
    """Where the curve is drawn."""

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise ValueError(f"wanted 0 < low < high, got {self.low} and {self.high}")
        if self.tries < 10:
            raise ValueError(f"tries must be at least 10, got {self.tries}")


@dataclasses.dataclass(frozen=True)
class FindForDigits:
    """Find a learning rate for the MLP of `xentjax train digits`; its options apply."""

    finder: FinderOptions = FinderOptions()
    job: TabularConfig = dataclasses.field(default_factory=TabularConfig)


@dataclasses.dataclass(frozen=True)
class FindForCNN:
    """Find a learning rate for the CNN of `xentjax train cnn`; its options apply."""

    finder: FinderOptions = FinderOptions()
    job: ImageConfig = dataclasses.field(default_factory=ImageConfig)


@dataclasses.dataclass(frozen=True)
class FindForGPT:
    """Find a learning rate for the GPT of `xentjax train gpt`; its options apply."""

    finder: FinderOptions = FinderOptions()
    job: LanguageConfig = dataclasses.field(default_factory=LanguageConfig)


@dataclasses.dataclass(frozen=True)
class PlotSchedule:
    """Draw schedules of the learning rate over each other."""

    names: tuple[Schedule, ...] = ("warmup_cosine", "warmup_stable_decay", "one_cycle")
    """Which."""
    learning_rate: float = 1e-3
    """Their peak."""
    steps: int = 1000
    """Optimizer steps in all."""
    out: Path = Path("schedules.png")
    """The picture."""


DangerKey: TypeAlias = Literal[
    "overfitting",
    "calibration",
    "fairness",
    "data",
    "privacy",
    "memorization",
    "attribution",
    "robustness",
]


@dataclasses.dataclass(frozen=True)
class AuditRun:
    """Audit a finished run: overfitting, overconfidence, bias, bad data, leaks and fragility.

    It takes two to three minutes on two cores. The report lands beside the run's files: audit.html
    to read and send, audit.json for programs; a part of it, by --only or --quick, has a name of its
    own, such as audit-fairness.html.
    """

    run: tyro.conf.Positional[Path]
    """The run's directory, such as runs/digits."""
    only: tuple[Literal["all", DangerKey], ...] = ("all",)
    """Look for these dangers alone; privacy is of classifiers, memorization of language models."""
    quick: bool = False
    """Fewer repetitions where models are trained anew; intervals become wider."""
    private: bool = False
    """Train a classifier once more by DP-SGD and show what privacy costs (extra: privacy)."""
    seed: int | None = None
    """Which of the run's seeds to audit; the first by default."""
    draws: int = 0
    """Seed of what the audit itself draws: resamples, attacks, orders of training."""
    out: Path | None = None
    """The directory for the report, in place of the run's own."""


def writable(path: Path) -> Path:
    """The path, with its folder made.

    Raises:
        ValueError: if there can be no such folder.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a directory; name the picture in it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path.parent} cannot be made: {error.strerror}") from error
    return path
