"""Commands and their subjects: which config the options of each are the fields of.

Configs are found by name and loaded on use, so that help and typos are answered without flax.
"""

import dataclasses
import importlib
import typing
from typing import Any


@dataclasses.dataclass(frozen=True)
class Command:
    """What one command does.

    Attributes:
        summary: a line of help.
        runner: the function that runs it, as "module:function" in this room.
        subjects: name → its config, as "module:class" in the package.
    """

    summary: str
    runner: str
    subjects: dict[str, str]


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
    "plot": Command(
        "Draw a schedule before it is used.",
        "scheduling:run_plot",
        {"schedule": "cli.options:PlotSchedule"},
    ),
}


def config_type(command: str, subject: str) -> type[Any]:
    """The config dataclass of a command and its subject."""
    module, name = COMMANDS[command].subjects[subject].split(":")
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
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(hints[field.name]):
            found |= options(hints[field.name])
        else:
            found["--" + field.name.replace("_", "-")] = hints[field.name]
    return found
