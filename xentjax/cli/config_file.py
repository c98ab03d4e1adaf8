"""Config files: a TOML file whose keys are options, read as if they had been typed first.

    steps = 500
    learning_rate = 1e-3     # or learning-rate
    hidden = [256, 128]
    [training]               # tables only group
    optimizer = "lion"

What is typed after it wins.
"""

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xentjax.cli.subjects import config_type, head, options

_FLAG = "--config"
# Typing one puts the other of the file out of force.
_OTHER = {"--steps": "--epochs", "--epochs": "--steps"}


def with_config_file(words: Sequence[str]) -> list[str]:
    """Replace `--config FILE` by the options in the file, before all others.

    Args:
        words: command, subject, options.

    Raises:
        ValueError: if the flag has no file, or the file is no TOML.
        OSError: if it cannot be read.
    """
    words = [part for word in words for part in _split(word)]
    if _FLAG not in words:
        return words
    at = words.index(_FLAG)
    if at + 1 == len(words):
        raise ValueError(f"{_FLAG} wants a file, such as {_FLAG} run.toml")
    path = Path(words[at + 1])
    try:
        content = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"{_FLAG} {path}: there is no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{_FLAG} {path}: {error}") from error
    named = head(words)
    _check_keys(path, content, options(config_type(*named)))
    rest = words[len(named) : at] + words[at + 2 :]
    typed = {word.split("=")[0] for word in rest}
    typed |= {_OTHER[flag] for flag in typed if flag in _OTHER}
    read = [
        word
        for flag, values in _flags(content)
        if flag.split("=")[0] not in typed
        for word in (flag, *values)
    ]
    if len(named) == 1:
        # After what is named by its place, for a list of values takes all words that follow it.
        return [*named, *rest, *read]
    return [*named, *read, *rest]


def _check_keys(path: Path, content: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    for typed, _ in _flags(content):
        flag = typed.split("=")[0]
        if flag not in known:
            near = difflib.get_close_matches(flag, known, n=1)
            hint = f"; did you mean {near[0][2:].replace('-', '_')!r}?" if near else ""
            key = flag[2:].replace("-", "_")
            raise ValueError(f"{_FLAG} {path}: there is no option {key!r}{hint}")


def _split(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith(f"{_FLAG}=") else [word]


def _flags(content: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for key, value in content.items():
        flag = "--" + key.replace("_", "-")
        if isinstance(value, Mapping):
            yield from _flags(value)
        elif isinstance(value, bool):
            # A switch is on by being there.
            if value:
                yield flag, []
        elif isinstance(value, list):
            yield flag, [str(item) for item in value]
        else:
            # Joined, for a value may begin with a dash.
            yield f"{flag}={value}", []
