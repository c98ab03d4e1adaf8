"""Options that are one of a few words."""

import difflib
from collections.abc import Iterable


def require_one_of(value: str, allowed: Iterable[str], name: str) -> None:
    """Raises ValueError, with the nearest word, unless the value is one that is allowed."""
    words = tuple(allowed)
    if value not in words:
        close = difflib.get_close_matches(str(value), words, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"{name} must be one of {words}, got {value!r}{hint}")
