"""Suggestions: "did you mean" for mistyped commands, options and choices.

The parser already names the options most like a mistyped one; commands and the values of a choice
it only lists.
"""

import difflib
import itertools
import typing
from collections.abc import Mapping, Sequence

from xentjax.cli.subjects import COMMANDS, config_type, head, options, understood


def suggestions(words: Sequence[str]) -> list[str]:
    """Say what a refused command line may have meant.

    Args:
        words: what was typed after the program's name.

    Returns:
        Lines to print, none where nothing known comes close.

    Example:
        >>> suggestions(["train", "digit"])
        ["unknown command 'digit': did you mean 'digits'?"]
        >>> suggestions(["train", "digits", "--activation", "rulu"])
        ["unknown --activation 'rulu': did you mean 'relu'?"]
    """
    known: typing.Collection[str] = COMMANDS
    named = head(words)
    for word in named:
        if word.startswith("-"):
            return []
        if word not in known:
            return _closest(f"unknown command {word!r}", word, list(known))
        known = COMMANDS[words[0]].subjects
    if not understood(words):
        return []
    flags, typed = options(config_type(*named)), words[len(named) :]
    return _choices(typed, flags) + _options(typed, list(flags))


def _choices(words: Sequence[str], flags: Mapping[str, typing.Any]) -> list[str]:
    """Lines about values that are not among an option's literals."""
    lines = []
    for flag, hint in flags.items():
        # Of a list of choices, tuple[Literal[…], ...], each value is one.
        many = typing.get_origin(hint) is tuple
        choice = typing.get_args(hint)[0] if many else hint
        if typing.get_origin(choice) is typing.Literal:
            known = [str(value) for value in typing.get_args(choice)]
            for value in _values(words, flag, many=many):
                if value not in known:
                    lines += _closest(f"unknown {flag} {value!r}", value, known)
    return lines


def _options(words: Sequence[str], flags: list[str]) -> list[str]:
    """Lines about options that do not exist: by initials, so that --lr is found, or by likeness."""
    initials = {"--" + "".join(part[0] for part in flag[2:].split("-")): flag for flag in flags}
    lines = []
    for word in words:
        typed = word.split("=")[0].replace("_", "-")
        if typed.startswith("--") and typed not in [*flags, "--help", "--config"]:
            if typed in initials:
                near = [initials[typed]]
            else:
                near = difflib.get_close_matches(typed, flags, n=1)
            lines += [f"unknown option {typed!r}: did you mean {flag!r}?" for flag in near]
    return lines


def _values(words: Sequence[str], flag: str, *, many: bool) -> list[str]:
    after = []
    for at, word in enumerate(words):
        if word == flag:
            following = itertools.takewhile(
                lambda value: not value.startswith("--"), words[at + 1 :]
            )
            after += list(following)[: None if many else 1]
    joined = [word.split("=", 1)[1] for word in words if word.startswith(flag + "=")]
    return after + joined


def _closest(what: str, word: str, known: list[str]) -> list[str]:
    # 0.5 and not the usual 0.6: 'adm' and 'adagrad' are worth an answer.
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.5)
    return [f"{what}: did you mean {near[0]!r}?"] if near else []
