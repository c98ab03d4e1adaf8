"""Why a peer is ahead, row by row: written by hand in reasons.toml, asked for by the report.

A row in which the ratio to a peer is above 1 beyond its spread needs a reason. A reason says what
xentjax does in that time and the peer does not, or what was tried.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from bench.record import Record

REASONS = Path(__file__).parent / "reasons.toml"


def read_reasons(path: Path = REASONS) -> dict[str, dict[str, str]]:
    """Bench → key of a row → reason."""
    return tomllib.loads(path.read_text("utf-8"))


def missing_reasons(
    records: Mapping[str, Record], reasons: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """The rows that lose to a peer and say nothing about it, as "bench / row: × peer ratio"."""
    found = []
    for name, record in records.items():
        for key, contest in record.rows.items():
            lost = contest.lost_to()
            if lost and not reasons.get(name, {}).get(key, "").strip():
                ratios = ", ".join(f"{r.median:.2f} × {peer}" for peer, r in lost.items())
                found.append(f"{name} / {key}: {ratios}")
    return found


def unknown_rows(
    records: Mapping[str, Record], reasons: Mapping[str, Mapping[str, str]]
) -> list[str]:
    """Reasons for rows that no record has: a renamed case, or a spelling mistake."""
    return [
        f"{name} / {key}"
        for name, of_rows in reasons.items()
        for key in of_rows
        if name not in records or key not in records[name].rows
    ]
