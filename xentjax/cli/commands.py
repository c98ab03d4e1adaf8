"""Commands: what can be typed after `xentjax`, and the one call each of them makes.

A command is two words, what to do and with what; the options after them are the fields of one typed
config. A file of options (`--config FILE.toml`) is read as if its lines had been typed first.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import tyro
from rich.console import Console
from rich.markup import escape

from xentjax import __version__
from xentjax.cli.config_file import with_config_file
from xentjax.cli.subjects import COMMANDS, Command, config_type, head, understood
from xentjax.cli.suggest import suggestions

# What a shell reports for a program ended by SIGINT: 128 + 2.
_INTERRUPTED = 130
_DESCRIPTION = "Cross-entropy for JAX, from the formula to the trained and audited model."
_HELP = "-h", "--help"
_EPOCHS_OR_STEPS = "--epochs", "--steps"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: the words after the program's name; those of this process by default.

    Returns:
        The exit status: 0, also where a signal ended a training that can be resumed; 1 where the
        job itself failed, 2 where it was not understood, 130 where it was interrupted by hand.

    Example:
        >>> main(["--version"])
        xentjax 0.1.0
        0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["--version"]:
        print(f"xentjax {__version__}")
        return 0
    if not words or words[0] in _HELP or _asks_for_subjects(words):
        return _help(words)
    if not understood(words):
        return _not_understood(words)
    try:
        words = with_config_file(words)
        config = _parse(words)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except SystemExit as stop:
        # tyro has said what is wrong; it suggests options, we add choices.
        return _not_understood(words) if stop.code else 0
    if all(any(word.split("=")[0] == flag for word in words) for flag in _EPOCHS_OR_STEPS):
        print("error: give --epochs or --steps, not both", file=sys.stderr)
        return 2
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        return _run(words[0], config)


def _asks_for_subjects(words: Sequence[str]) -> bool:
    """Whether a command stands alone; one without subjects has options to list, and does."""
    if words[0] in COMMANDS and COMMANDS[words[0]].config:
        return False
    return words[1:] == [] or (len(words) == 2 and words[1] in _HELP)


def _parse(words: Sequence[str]) -> Any:
    named = head(words)
    return tyro.cli(
        config_type(*named),
        prog=" ".join(["xentjax", *named]),
        args=list(words[len(named) :]),
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def _listed(command: Command) -> str:
    return f"{{{','.join(command.subjects)}}}"


def _help(words: Sequence[str]) -> int:
    if words and words[0] not in COMMANDS and not words[0].startswith("-"):
        return _not_understood(words)
    named = words and words[0] in COMMANDS
    print(f"xentjax {__version__}: {_DESCRIPTION}\n")
    for name, command in COMMANDS.items():
        if not named or name == words[0]:
            print(f"  xentjax {name} {command.operand or _listed(command)} [options]")
            print(f"      {command.summary}")
    print("\nxentjax COMMAND SUBJECT --help lists the options; --config FILE.toml reads them.")
    return 0


def _not_understood(words: Sequence[str]) -> int:
    lines = suggestions(words)
    if not lines and not understood(words):
        lines = [f"error: no command {' '.join(words[:2])!r}; xentjax --help lists them all"]
    for line in lines:
        print(line, file=sys.stderr)
    return 2


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    # Where in the package it arose is of no use to the person typing.
    print(f"warning: {message}", file=sys.stderr)


def _run(command: str, config: Any) -> int:
    # Imported here: --help and a misspelt option answer without waiting for flax.
    module, function = COMMANDS[command].runner.split(":")
    try:
        getattr(importlib.import_module(f"xentjax.cli.{module}"), function)(config, Console())
    except KeyboardInterrupt as stop:
        # One that was ended in good order has said so.
        if not stop.args or stop.args[0].strip():
            print(str(stop) or "stopped before anything was recorded", file=sys.stderr)
        return _INTERRUPTED
    except (ValueError, ImportError, OSError) as error:
        # What the package raises about its input is written for the person typing.
        Console(stderr=True, soft_wrap=True).print(f"[red]error:[/red] {escape(str(error))}")
        return 1
    return 0
