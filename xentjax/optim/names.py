"""Finding something by its name, so that a config can be plain text, with a hint for a typo."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

Found = TypeVar("Found")


def find(name: str, table: Mapping[str, Found]) -> Found:
    """Look up a name.

    Args:
        name: what was asked for.
        table: what there is.

    Returns:
        The entry of that name.

    Raises:
        ValueError: if there is none; it lists the names and suggests the nearest.

    Example:
        >>> find("sgdm", {"adam": 1, "sgd": 2})
        Traceback (most recent call last):
        ValueError: name must be one of adam, sgd, got 'sgdm'; did you mean 'sgd'?
    """
    if name not in table:
        known = ", ".join(table)
        raise ValueError(f"name must be one of {known}, got {name!r}{did_you_mean(name, table)}")
    return table[name]


def options_of(function: Callable[..., Any]) -> list[str]:
    """The names of a function's keyword-only arguments.

    Example:
        >>> options_of(find), options_of(sorted)
        ([], ['key', 'reverse'])
    """
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]


def check_options(name: str, options: Iterable[str], accepted: list[str]) -> None:
    """Raise if an option is not among those accepted.

    Args:
        name: what the options were given to.
        options: the names given.
        accepted: the names there are.

    Raises:
        TypeError: listing the names accepted and suggesting the nearest.

    Example:
        >>> check_options("sgd", ["momentun"], ["momentum"])
        Traceback (most recent call last):
        TypeError: sgd takes momentum, got 'momentun'; did you mean 'momentum'?
    """
    for option in options:
        if option not in accepted:
            raise TypeError(
                f"{name} takes {', '.join(accepted) or 'no options'}, got {option!r}"
                f"{did_you_mean(option, accepted)}"
            )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message: the nearest known name, or nothing.

    Example:
        >>> did_you_mean("Adamw2", ["adam", "adamw"]), did_you_mean("xyz", ["adam"])
        ("; did you mean 'adamw'?", '')
    """
    close = difflib.get_close_matches(str(name).lower(), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
