"""Personal data: patterns in a text that may identify somebody.

Addresses, numbers and dates have forms that can be checked; several carry check digits. Names,
places and everything that needs to be understood are out of scope: finding nothing here does not
mean that a text is anonymous.
"""

import calendar
import dataclasses
import ipaddress
import re
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from xentjax.audit.checksums import is_card, is_iban

Kind: TypeAlias = Literal[
    "e-mail address",
    "URL with a user name",
    "IBAN",
    "credit card number",
    "US social security number",
    "IPv4 address",
    "IPv6 address",
    "phone number",
    "full date",
]


@dataclasses.dataclass(frozen=True)
class PersonalData:
    """One pattern that was found.

    Attributes:
        kind: what it looks like.
        start: offset of its first character.
        stop: offset behind its last.
        text: the characters.
        memorized: whether they stand in the training text too; None where none was given.
    """

    kind: Kind
    start: int
    stop: int
    text: str
    memorized: bool | None = None


class _Pattern(NamedTuple):
    kind: Kind
    form: re.Pattern[str]
    holds: Callable[[str], bool]


def find_personal_data(text: str, *, training_text: str | None = None) -> tuple[PersonalData, ...]:
    """Scans a text for what looks like personal data, and says what of it was in the training text.

    Prefer it as a first look at what a model writes. It errs on both sides: a version number of
    four parts below 256 is taken for an IPv4 address, and a national phone number without a
    country code is not found unless it is written as in North America. A full date may be anyone's
    birth or none.

    Kinds and what is checked: e-mail addresses; URLs with a user before "@" or a "~user" folder;
    IBANs (remainder 1 modulo 97); credit card numbers (issuer's first digits, length, Luhn); US
    social security numbers (no number that is never issued); IPv4 (four parts to 255) and IPv6
    addresses; phone numbers with a country code or of North American form; full dates that exist,
    of 1900 to 2029. Where two overlap, the one named first here stays.

    Args:
        text: to be scanned.
        training_text: to look each one up in, verbatim.

    Returns:
        What was found, in the order of the text.

    Example:
        >>> found = find_personal_data("Write to ada@example.org, not to Python 3.11.7.")
        >>> [(hit.kind, hit.text) for hit in found]
        [('e-mail address', 'ada@example.org')]
    """
    taken = bytearray(len(text))
    found = []
    for kind, form, holds in _PATTERNS:
        for match in form.finditer(text):
            start, stop = match.span()
            if any(taken[start:stop]):
                continue
            stop = _stop_where_it_holds(kind, match.group(), holds) + start
            if stop == start:
                continue
            taken[start:stop] = b"\1" * (stop - start)
            words = text[start:stop]
            memorized = None if training_text is None else words in training_text
            found.append(PersonalData(kind, start, stop, words, memorized))
    return tuple(sorted(found, key=lambda hit: hit.start))


def _stop_where_it_holds(kind: Kind, words: str, holds: Callable[[str], bool]) -> int:
    """The length of the longest beginning that holds; only an IBAN may have words after it."""
    if holds(words):
        return len(words)
    while kind == "IBAN" and " " in words:
        words = words.rsplit(" ", 1)[0]
        if holds(words):
            return len(words)
    return 0


def _is_social_security(words: str) -> bool:
    area, group, serial = words.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_ipv6(words: str) -> bool:
    # "1::2" is a slice in Python and "std::add" a name in C++: one group must be a number of three
    # or four hexadecimal digits.
    groups = [group for group in words.split(":") if group]
    if not any(len(group) >= 3 and re.search(r"\d", group) for group in groups):
        return False
    try:
        ipaddress.IPv6Address(words)
    except ValueError:
        return False
    return True


def _is_phone(words: str) -> bool:
    return 10 <= sum(map(str.isdigit, words)) <= 15 if words.startswith("+") else True


def _is_date(words: str) -> bool:
    """Whether the date exists, read as year-month-day, or as day and month in either order."""
    parts = [int(part) for part in re.split(r"[-./]", words)]
    if parts[0] > 31:
        year, orders = parts[0], [(parts[1], parts[2])]
    else:
        year, orders = parts[2], [(parts[1], parts[0]), (parts[0], parts[1])]
    return any(
        1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
        for month, day in orders
    )


def _always(_: str) -> bool:
    return True


_YEAR = r"(?:19\d\d|20[0-2]\d)"
_PATTERNS = (
    _Pattern(
        "URL with a user name",
        re.compile(r"\b[a-z][a-z0-9+.-]{1,9}://(?:[^\s/@<>\"']+@[\w.-]+|[\w.:-]+/~\w+)[\w./~-]*\b"),
        _always,
    ),
    _Pattern(
        "e-mail address",
        re.compile(r"(?<![\w.+-])\w[\w.+-]{0,63}@(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,24}\b"),
        _always,
    ),
    _Pattern(
        "IBAN",
        re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
        is_iban,
    ),
    _Pattern(
        "credit card number",
        re.compile(r"(?<![\w.+-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)"),
        is_card,
    ),
    _Pattern(
        "US social security number",
        re.compile(r"(?<![\w.-])\d{3}-\d{2}-\d{4}(?![\w-]|\.\d)"),
        _is_social_security,
    ),
    _Pattern(
        "IPv4 address",
        re.compile(
            r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}"
            r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?!\w|\.\w)"
        ),
        _always,
    ),
    _Pattern(
        "IPv6 address",
        # Not after a name and a bracket: that is a slice.
        re.compile(r"(?<![\w:.])(?<!\w\[)[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"),
        _is_ipv6,
    ),
    _Pattern(
        "phone number",
        re.compile(
            r"(?<![\w.+-])(?:\+[1-9]\d{0,2}(?: ?\(\d{1,4}\))?(?:[ .-]?\d{1,4}){2,6}"
            r"|\([2-9]\d\d\) ?[2-9]\d\d[-.]\d{4}|[2-9]\d\d([-.])[2-9]\d\d\1\d{4})(?![\w-]|\.\d)"
        ),
        _is_phone,
    ),
    _Pattern(
        "full date",
        re.compile(
            rf"(?<![\w./-])(?:{_YEAR}([-./])\d\d\1\d\d|\d{{1,2}}([-./])\d{{1,2}}\2{_YEAR})"
            r"(?![\w/-]|\.\d)"
        ),
        _is_date,
    ),
)
