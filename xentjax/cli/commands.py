"""Commands: what can be typed after `xentjax`, and the one call each of them makes."""

import dataclasses
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import tyro
from rich.console import Console
from rich.markup import escape

from xentjax import __version__
from xentjax.cli.suggest import suggestions
from xentjax.train.config import LanguageConfig, TabularConfig

# The words each level knows, for "did you mean".
_JOBS = {"digits": TabularConfig, "gpt": LanguageConfig}
# What a shell reports for a program ended by SIGINT: 128 + 2.
_INTERRUPTED = 130
_DESCRIPTION = "Cross-entropy for JAX, from the formula to the trained and audited model."


@dataclasses.dataclass(frozen=True)
class Train:
    """Train a model on real data, and report what it reached on data held out.

    A run's config, environment, metrics, curves and summary go to runs/NAME. A run never overwrites
    another unless told to: the second one is NAME-2.
    """

    job: (
        Annotated[TabularConfig, tyro.conf.subcommand("digits")]
        | Annotated[LanguageConfig, tyro.conf.subcommand("gpt")]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of this process by default.

    Returns:
        The exit status: 0, 1 where the job itself failed, 2 where it was not understood, 130
        where it was interrupted.

    Example:
        >>> main(["--version"])
        xentjax 0.1.0
        0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(f"xentjax {__version__}")
        return 0
    try:
        config = _parse(words)
    except SystemExit as stop:
        # tyro has said what is wrong; it suggests options, we add commands and choices.
        if stop.code:
            for line in suggestions(words, {"train": _JOBS}):
                print(line, file=sys.stderr)
        return int(stop.code or 0)
    if _is_given(words, "--epochs") and _is_given(words, "--steps"):
        print("error: give --epochs or --steps, not both", file=sys.stderr)
        return 2
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _train(config)


def _parse(words: Sequence[str]) -> TabularConfig | LanguageConfig:
    options = (
        tyro.conf.OmitArgPrefixes,
        tyro.conf.OmitSubcommandPrefixes,
        tyro.conf.FlagCreatePairsOff,
    )
    if words[:1] == ["train"] and words[1:2] and words[1] in _JOBS:
        # A job that is known is parsed alone: what tyro suggests is then among its own options.
        return tyro.cli(
            _JOBS[words[1]], prog=f"xentjax train {words[1]}", args=words[2:], config=options
        )
    command = tyro.extras.subcommand_cli_from_dict(
        {"train": Train},
        prog="xentjax",
        description=f"{_DESCRIPTION} Version {__version__}.",
        args=words or ["--help"],
        config=options,
    )
    return command.job


def _is_given(words: Sequence[str], flag: str) -> bool:
    return any(word.split("=")[0] == flag for word in words)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    # Where in the package it arose is of no use to the person typing.
    print(f"warning: {message}", file=sys.stderr)


def _train(config: TabularConfig | LanguageConfig) -> int:
    try:
        # Imported here: --help and a misspelt option answer without waiting for flax.
        from xentjax.cli.training import run_gpt, run_tabular

        if isinstance(config, TabularConfig):
            run_tabular(config, Console())
        else:
            run_gpt(config, Console())
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped before anything was recorded", file=sys.stderr)
        return _INTERRUPTED
    except (ValueError, ImportError, OSError) as error:
        # What the package raises about its input is written for the person typing.
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(str(error))}")
        return 1
    return 0
