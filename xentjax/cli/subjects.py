"""Commands and their subjects: which config the options of each are the fields of.

Configs are found by name and loaded on use, so that help and typos are answered without flax.
"""

import dataclasses
import importlib
import typing
from collections.abc import Sequence
from typing import Any


@dataclasses.dataclass(frozen=True)
class Command:
    """What one command does.

    Attributes:
        summary: a line of help.
        runner: the function that runs it, as "module:function" in this room.
        subjects: name → its config, as "module:class" in the package.
        operand: where there are no subjects, what is named in their place, such as a directory.
        config: the config of such a command.
    """

    summary: str
    runner: str
    subjects: dict[str, str] = dataclasses.field(default_factory=dict)
    operand: str = ""
    config: str = ""


COMMANDS = {
    "train": Command(
        "Train on real data and report what was reached on data held out; runs land in runs/.",
        "training:run_training",
        {
            "digits": "jobs.config:TabularConfig",
            "cnn": "jobs.config:ImageConfig",
            "gpt": "jobs.config:LanguageConfig",
        },
    ),
    "lr-find": Command(
        "Raise the learning rate step by step, and say which to train with.",
        "finding:run_finder",
        {
            "digits": "cli.options:FindForDigits",
            "cnn": "cli.options:FindForCNN",
            "gpt": "cli.options:FindForGPT",
        },
    ),
    "sweep": Command(
        "Train many configurations together and rank them by validation loss.",
        "sweeping:run_sweep",
        {"digits": "jobs.sweep_config:SweepConfig"},
    ),
    "summary": Command(
        "Print a model's layers, shapes, parameters, FLOPs and bytes.",
        "summarizing:run_summary",
        {
            "mlp": "cli.models:SummarizeMLP",
            "cnn": "cli.models:SummarizeCNN",
            "rnn": "cli.models:SummarizeRNN",
            "gpt": "cli.models:SummarizeGPT",
        },
    ),
    "audit": Command(
        "Measure what a low loss may hide in a finished run, as a page, as JSON and in short.",
        "auditing:run_audit",
        operand="RUN",
        config="cli.options:AuditRun",
    ),
    "plot": Command(
        "Draw a schedule before it is used.",
        "scheduling:run_plot",
        {"schedule": "cli.options:PlotSchedule"},
    ),
}


def understood(words: Sequence[str]) -> bool:
    """Whether the first words name a command and a subject of it."""
    if not words or words[0] not in COMMANDS:
        return False
    command = COMMANDS[words[0]]
    return bool(command.config) or (len(words) > 1 and words[1] in command.subjects)


def head(words: Sequence[str]) -> list[str]:
    """The words before the options: command and subject, or the command alone.

    Example:
        >>> head(["train", "gpt", "--steps", "3"]), head(["audit", "runs/gpt", "--quick"])
        (['train', 'gpt'], ['audit'])
    """
    return list(words[: 1 if words and words[0] in COMMANDS and COMMANDS[words[0]].config else 2])


def config_type(command: str, subject: str = "") -> type[Any]:
    """The config dataclass of a command and its subject."""
    known = COMMANDS[command]
    module, name = (known.config or known.subjects[subject]).split(":")
    return getattr(importlib.import_module(f"xentjax.{module}"), name)


def options(config: type[Any]) -> dict[str, Any]:
    """The options of a config, flag → type; those of the groups inside it included.

    Example:
        >>> from xentjax.jobs.config import TabularConfig
        >>> found = options(TabularConfig)
        >>> found["--batch-size"], "--learning-rate" in found, "--training" in found
        (<class 'int'>, True, False)
    """
    found: dict[str, Any] = {}
    hints = typing.get_type_hints(config, include_extras=True)
    for field in dataclasses.fields(config):
        if typing.get_origin(hints[field.name]) is typing.Annotated:
            continue  # named by its place, not by an option
        if dataclasses.is_dataclass(hints[field.name]):
            found |= options(hints[field.name])
        else:
            found["--" + field.name.replace("_", "-")] = hints[field.name]
    return found
