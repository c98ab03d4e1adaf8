"""A contest: the same work done by several, in one unit, so that the ratio is the result.

Every bench yields contests and every figure on file is one. Raw samples are kept, by round, and
all that is shown is computed from them: medians, spreads, and ratios paired by round.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from xentjax.timing import Spread
from xentjax.timing.spread import paired_ratio

Role: TypeAlias = Literal["ours", "variant", "peer", "floor"]
OURS: Role = "ours"
VARIANT: Role = "variant"
PEER: Role = "peer"
FLOOR: Role = "floor"

SECONDS, BYTES = "s", "B"
# How many standard errors of a median lie beyond its spread.
ERRORS = 2.0
# What is not random (memory, planned by XLA) differs by alignment; less than this is the same.
SAME = 0.01


@dataclass(frozen=True)
class Entry:
    """One contestant's figures.

    Attributes:
        name: what the tables call it.
        role: "ours" is xentjax as it comes and "variant" with an option the table is not about;
            a "peer" does the same work, a "floor" the part that nobody can leave out.
        samples: one a round, in the contest's unit; a single one where nothing is random.
        temp_bytes: temporary memory planned by XLA, where it keeps account.
    """

    name: str
    role: Role
    samples: tuple[float, ...]
    temp_bytes: int | None = None

    @property
    def spread(self) -> Spread:
        """Median and interquartile range of the samples."""
        return Spread.of(self.samples)


@dataclass(frozen=True)
class Contest:
    """Entries that shared their rounds.

    Attributes:
        table: the table it is a row of, such as "value and gradient".
        case: the row, such as "1024x32768".
        unit: "s" for seconds, "B" for bytes.
        entries: "ours" first; index r of all samples is the same round.
        checked: what was found equal before anything was timed.
        left_out: contestants that could not take part → why.
        note: what a reader of the row must know, such as the tile in use.
    """

    table: str
    case: str
    entries: tuple[Entry, ...]
    unit: str = SECONDS
    checked: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    note: str | None = None

    def __post_init__(self) -> None:
        ours = [entry.name for entry in self.entries if entry.role == OURS]
        if len(ours) != 1:
            raise ValueError(f"contest {self.key!r} needs one entry with role 'ours', got {ours}")
        if len(self.of_role(FLOOR)) > 1:
            raise ValueError(f"contest {self.key!r} has more than one floor")

    @property
    def key(self) -> str:
        """The name of the row in its bench, unique there."""
        return f"{self.table}: {self.case}"

    @property
    def ours(self) -> Entry:
        """xentjax, as it comes."""
        return self.of_role(OURS)[0]

    def of_role(self, *roles: Role) -> tuple[Entry, ...]:
        """The entries with one of these roles."""
        return tuple(entry for entry in self.entries if entry.role in roles)

    def ratio(self, entry: Entry, to: Entry) -> Spread:
        """Spread of the ratios of two entries, round by round."""
        return paired_ratio(entry.samples, to.samples)

    def lost_to(self) -> dict[str, Spread]:
        """The peers xentjax loses to: the ratio to them is above 1 beyond its spread."""
        ratios = {peer.name: self.ratio(self.ours, peer) for peer in self.of_role(PEER)}
        return {name: ratio for name, ratio in ratios.items() if lowest(ratio) > 1 + SAME}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; six digits are more than a clock knows."""
        entries = [
            {
                "name": entry.name,
                "role": entry.role,
                "temp_bytes": entry.temp_bytes,
                "samples": [float(f"{sample:.6g}") for sample in entry.samples],
            }
            for entry in self.entries
        ]
        return {
            "table": self.table,
            "case": self.case,
            "unit": self.unit,
            "checked": self.checked,
            "note": self.note,
            "left_out": self.left_out,
            "entries": entries,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Contest":
        """The contest `to_dict` described."""
        entries = [
            Entry(**{**entry, "samples": tuple(entry["samples"])}) for entry in fields["entries"]
        ]
        return cls(**{**fields, "entries": tuple(entries)})


def lowest(ratio: Spread) -> float:
    """The lower end of the spread of a median."""
    return ratio.median - ERRORS * ratio.median_error


def highest(ratio: Spread) -> float:
    """The upper end of the spread of a median."""
    return ratio.median + ERRORS * ratio.median_error
