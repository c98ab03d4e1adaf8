"""Wording: shares with the same digits wherever they are told, names, and samples."""

from collections.abc import Sequence
from typing import SupportsFloat

from xentjax.audit.estimate import Estimate

_NAMED = 5


def percent(share: SupportsFloat) -> str:
    """A share in percent, such as "93.5 %"."""
    return f"{100 * float(share):.1f} %"


def round_percent(share: SupportsFloat) -> str:
    """A share that was chosen, such as "95 %"."""
    return f"{100 * float(share):g} %"


def with_interval(estimate: Estimate) -> str:
    """A share and its interval in percent, such as "93.5 % (90.1 to 96.0)"."""
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.1f} % ({low:.1f} to {high:.1f})"


def listed(names: Sequence[str]) -> str:
    """Names in a sentence, the first five of many.

    Example:
        >>> listed(["5", "6"]), listed([*"abcdefg"])
        ('5 and 6', 'a, b, c, d, e and 2 more')
    """
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def sampled(rows: int, of: int) -> str:
    """What a figure rests on.

    Example:
        >>> sampled(128, 268), sampled(36, 36)
        ('128 of the 268 test rows, drawn at random', 'all 36 test rows')
    """
    return f"all {of} test rows" if rows == of else f"{rows} of the {of} test rows, drawn at random"
