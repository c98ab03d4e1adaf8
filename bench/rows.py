"""The rows of a table of contests as text: the terminal and RESULTS.md show the same cells."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.contest import BYTES, FLOOR, PEER, VARIANT, Contest, Entry
from xentjax.timing import Spread
from xentjax.timing.figures import UNKNOWN, bytes_text, ratio_text, seconds_text

MISSING = "reason missing"
REASON = "why a peer is ahead"


@dataclass(frozen=True)
class Sheet:
    """A table before it is drawn.

    Attributes:
        title: the name the contests share.
        columns: headers; the first is the row's name.
        rows: cells, as many as columns.
        losing: row index → columns in which xentjax loses.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    losing: dict[int, set[int]]


def sheets(contests: Iterable[Contest], reasons: Mapping[str, str]) -> list[Sheet]:
    """One sheet a table, in the order of the contests.

    Args:
        contests: of one bench.
        reasons: key of a row → why a peer is ahead there.
    """
    tables: dict[str, list[Contest]] = {}
    for contest in contests:
        tables.setdefault(contest.table, []).append(contest)
    return [_sheet(title, rows, reasons) for title, rows in tables.items()]


def _sheet(title: str, contests: Sequence[Contest], reasons: Mapping[str, str]) -> Sheet:
    floors = _names(contests, FLOOR)
    peers = _names(contests, PEER)
    losing_at_all = any(contest.lost_to() for contest in contests)
    rows: list[tuple[str, ...]] = []
    losing: dict[int, set[int]] = {}
    for contest in contests:
        for entry in (contest.ours, *contest.of_role(VARIANT)):
            is_ours = entry is contest.ours
            lost = contest.lost_to() if is_ours else {}
            losing[len(rows)] = {3 + len(floors) + peers.index(name) for name in lost}
            others = [_ratio_to(contest, entry, name) for name in (*floors, *peers)]
            reason = reasons.get(contest.key, MISSING) if lost else ""
            rows.append(
                (
                    contest.case if is_ours else f"↳ {entry.name}",
                    _figure(contest, entry),
                    _scatter(contest, entry),
                    *others,
                    _memory(contest, entry),
                    _note(contest) if is_ours else "",
                    *([reason] if losing_at_all else []),
                )
            )
    unit = "bytes" if contests[0].unit == BYTES else "median"
    columns = (
        "",
        f"{contests[0].ours.name}, {unit}",
        "IQR, rounds",
        *(f"× {name}" for name in (*floors, *peers)),
        "temporary memory",
        "note",
        *([REASON] if losing_at_all else []),
    )
    return _without_empty_columns(Sheet(title, columns, tuple(rows), losing))


def _without_empty_columns(sheet: Sheet) -> Sheet:
    kept = [
        i
        for i in range(len(sheet.columns))
        if i == 0 or any(row[i] not in ("", UNKNOWN) for row in sheet.rows)
    ]
    place = {old: new for new, old in enumerate(kept)}
    return Sheet(
        sheet.title,
        tuple(sheet.columns[i] for i in kept),
        tuple(tuple(row[i] for i in kept) for row in sheet.rows),
        {row: {place[i] for i in columns} for row, columns in sheet.losing.items()},
    )


def _names(contests: Sequence[Contest], role: str) -> list[str]:
    names = [entry.name for contest in contests for entry in contest.entries if entry.role == role]
    return list(dict.fromkeys(names))


def _figure(contest: Contest, entry: Entry) -> str:
    median = entry.spread.median
    return bytes_text(int(median)) if contest.unit == BYTES else seconds_text(median)


def _scatter(contest: Contest, entry: Entry) -> str:
    spread = entry.spread
    if contest.unit == BYTES or spread.count == 1:
        return ""
    return f"{seconds_text(spread.iqr)}, {spread.count}"


def _ratio_to(contest: Contest, entry: Entry, name: str) -> str:
    others = [other for other in contest.entries if other.name == name]
    if not others:
        return "left out" if name in contest.left_out else UNKNOWN
    return ratio(contest.ratio(entry, others[0]))


def ratio(found: Spread) -> str:
    """A ratio ± the standard error of its median; a single figure has none."""
    return f"{found.median:.2f}" if found.count == 1 else ratio_text(found)


def _memory(contest: Contest, entry: Entry) -> str:
    if entry.temp_bytes is None:
        return ""
    others = [peer for peer in contest.of_role(PEER) if peer.temp_bytes is not None]
    beside = f" ({others[0].name} {bytes_text(others[0].temp_bytes)})" if others else ""
    return bytes_text(entry.temp_bytes) + beside


def _note(contest: Contest) -> str:
    return contest.note or ""
