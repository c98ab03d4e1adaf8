"""HTML that is safe by construction: whatever is not `Markup` already is escaped where it enters.

Names of classes, texts that a model wrote and messages of errors come from outside; none of them
can become a tag, an attribute or a control character of the page.
"""

import html
import re
from collections.abc import Sequence

_VOID = frozenset({"br", "img", "meta"})
_MINUS = re.compile(r"(?<![\w.,;:/=-])-(?=\d)")
# C0 and C1 controls but tab and line feed, lone surrogates, noncharacters, and the marks that
# reorder what follows them: none is text, some are refused in HTML, some deceive the reader.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]"
)

_RIGHT = "[\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc]"
_FROM_THE_RIGHT = re.compile(f"{_RIGHT}(?:[\\w ]*{_RIGHT})?")


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def printable(text: str) -> str:
    r"""The text with a visible sign in place of each character that cannot be printed.

    Example:
        >>> printable("a\x00b")
        'a␀b'
    """
    return _UNPRINTABLE.sub(_sign, text)


def escaped(text: str) -> Markup:
    """The text as HTML, in elements and in quoted attributes alike; markup stays as it is.

    Example:
        >>> escaped('<b title="x">')
        '&lt;b title=&quot;x&quot;&gt;'
    """
    return text if isinstance(text, Markup) else Markup(html.escape(printable(text), quote=True))


def prose(text: str) -> Markup:
    """Sentences as HTML: with minus signs, and no line breaks between a number and its percent.

    Letters that are read from the right are set apart, so that they do not reorder the numbers
    beside them.

    Example:
        >>> prose("class \u05d0 5")
        'class <bdi>\u05d0</bdi> 5'
    """
    safe = escaped(_MINUS.sub("\u2212", text).replace(" %", "\u00a0%"))
    return Markup(_FROM_THE_RIGHT.sub(r"<bdi>\g<0></bdi>", safe))


def element(tag: str, /, *children: str, **attributes: str | bool | None) -> Markup:
    """An element with its children, escaped unless they are markup.

    Args:
        tag: its name.
        *children: texts and elements, put together without space.
        **attributes: `class_` is class and `aria_label` is aria-label; None and False leave one
            out, True gives one without a value.

    Example:
        >>> element("p", "a < b", class_="note")
        '<p class="note">a &lt; b</p>'
    """
    shown = [
        f" {_attribute(key)}" if value is True else f' {_attribute(key)}="{escaped(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    ]
    opened = f"<{tag}{''.join(shown)}>"
    if tag in _VOID:
        return Markup(opened)
    return Markup(f"{opened}{''.join(map(escaped, children))}</{tag}>")


def lines(parts: Sequence[str]) -> Markup:
    """Elements below each other in the file."""
    return Markup("\n".join(escaped(part) for part in parts if part))


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode has a picture of each C0 control
    return "␡" if code == 0x7F else "\ufffd"
