"""A heat: one row of a bench that is still to be measured."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.contest import Contest
from bench.effort import Effort


@dataclass(frozen=True)
class Heat:
    """What to call a row, and how to hold the contest: nothing is computed before.

    Attributes:
        table: as in `Contest`.
        case: as in `Contest`.
        hold: measures; the frame names the row.
    """

    table: str
    case: str
    hold: Callable[["Heat", Effort], Contest]

    @property
    def key(self) -> str:
        """As in `Contest`."""
        return f"{self.table}: {self.case}"
