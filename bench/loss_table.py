"""The times of every loss as docs/losses.md shows them."""

from pathlib import Path

from bench.contest import Contest
from bench.losses import BARE, OPTAX, TORCH
from bench.record import Record
from xentjax.timing.figures import UNKNOWN

DOCUMENT = Path(__file__).parent.parent / "docs" / "losses.md"


def markdown(record: Record) -> str:
    """One row a loss, ratios without their errors: bench/RESULTS.md has those."""
    lines = [
        "| case | size | ms | × optax | × torch | × bare pass |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for contest in record.contests:
        ratios = " | ".join(_ratio(contest, name) for name in (OPTAX, TORCH, BARE))
        milliseconds = 1e3 * contest.ours.spread.median
        lines.append(f"| {contest.case} | {contest.note} | {milliseconds:.1f} | {ratios} |")
    return "\n".join(lines)


def _ratio(contest: Contest, name: str) -> str:
    others = [entry for entry in contest.entries if entry.name == name]
    return f"{contest.ratio(contest.ours, others[0]).median:.2f}" if others else UNKNOWN
