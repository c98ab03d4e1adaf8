"""Has xentjax become slower? Two records of one bench, compared by ratio and not by seconds.

The ratio of xentjax to a peer or to the floor of the same run survives a change of machine or of
its load, which seconds do not. A ratio is worse where the lower end of its new spread lies above
the upper end of the old one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.table import Table

from bench.contest import FLOOR, PEER, SAME, highest, lowest
from bench.record import Record
from bench.rows import ratio
from xentjax.timing import Spread


@dataclass(frozen=True)
class Change:
    """One ratio in two records.

    Attributes:
        key: the row.
        other: the peer or the floor.
        old: the ratio then.
        new: the ratio now.
    """

    key: str
    other: str
    old: Spread
    new: Spread

    @property
    def worse(self) -> bool:
        """The new ratio is larger beyond both spreads."""
        return lowest(self.new) > highest(self.old) * (1 + SAME)

    @property
    def better(self) -> bool:
        """The new ratio is smaller beyond both spreads."""
        return highest(self.new) * (1 + SAME) < lowest(self.old)

    @property
    def verdict(self) -> str:
        """One word."""
        return "worse" if self.worse else "better" if self.better else "same"


def changes(old: Record, new: Record) -> list[Change]:
    """All ratios that both records have.

    Raises:
        ValueError: the records are of two benches, or have no ratio in common.
    """
    if old.bench != new.bench:
        raise ValueError(
            f"the files hold two benches, {old.bench!r} and {new.bench!r}: compare two runs of one"
        )
    then, now = dict(_ratios(old)), dict(_ratios(new))
    both = [Change(*place, then[place], now[place]) for place in then if place in now]
    if not both:
        raise ValueError(f"the two records of {old.bench!r} have no ratio in common")
    return both


def _ratios(record: Record) -> Iterator[tuple[tuple[str, str], Spread]]:
    for key, contest in record.rows.items():
        for entry in contest.of_role(PEER, FLOOR):
            yield (key, entry.name), contest.ratio(contest.ours, entry)


def only_in_one(old: Record, new: Record) -> list[str]:
    """Ratios that cannot be compared, as sentences."""
    then, now = dict(_ratios(old)), dict(_ratios(new))
    lines = [f"only in the old record: {key}, × {other}" for key, other in then.keys() - now.keys()]
    lines += [
        f"only in the new record: {key}, × {other}" for key, other in now.keys() - then.keys()
    ]
    return sorted(lines)


def change_table(found: list[Change]) -> Table:
    """What changed beyond the spreads, worst first; what is the same is counted below."""
    moved = [change for change in found if change.verdict != "same"]
    same = len(found) - len(moved)
    table = Table(caption=f"{same} of {len(found)} ratios are the same", box=SIMPLE_HEAD, padding=0)
    for column in ("row", "ratio to", "old", "new", ""):
        table.add_column(column, justify="right" if column in ("old", "new") else "left")
    for change in sorted(moved, key=lambda c: c.old.median / c.new.median):
        style = "bold red" if change.worse else None
        cells = (change.key, change.other, ratio(change.old), ratio(change.new), change.verdict)
        table.add_row(*cells, style=style)
    return table
