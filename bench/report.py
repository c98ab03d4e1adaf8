"""bench/RESULTS.md and the pictures, made from the records on file and from nothing else."""

from collections.abc import Mapping
from pathlib import Path

from bench.catalogue import BENCHES, Bench
from bench.reasons import missing_reasons
from bench.record import Record
from bench.rows import REASON, Sheet, sheets
from bench.terminal import provenance
from xentjax.timing.figures import UNKNOWN

PAGE = Path(__file__).parent / "RESULTS.md"
HEAD = """# Results of the bench

Made by `python -m bench report` from the JSON files in `bench/results`; do not edit. `make bench`
measures them anew, `python -m bench compare OLD.json NEW.json` says what became slower.

Contestants alternate in random order within each round, after every one has shown the same result
as xentjax. A ratio is xentjax over the other: below 1, xentjax is ahead. It is the median of
ratios paired by round ± the standard error of that median. **Bold**: a peer is ahead by more than
two of those errors; the last column then says why. The floor is the bare operation that nobody can
leave out, and no contestant; temporary memory is what XLA plans beside arguments and results.
"""


def page(records: Mapping[str, Record], reasons: Mapping[str, Mapping[str, str]]) -> str:
    """The whole document.

    Args:
        records: bench → its record; benches without one are named as not measured.
        reasons: bench → key of a row → why a peer is ahead.
    """
    parts = [HEAD, _summary(records, reasons)]
    parts += [
        _section(bench, records[bench.name], reasons.get(bench.name, {}))
        for bench in BENCHES
        if bench.name in records
    ]
    return "\n".join(parts)


def _summary(records: Mapping[str, Record], reasons: Mapping[str, Mapping[str, str]]) -> str:
    lines = ["| bench | what | rows | a peer ahead | seconds |", "|---|---|---:|---:|---:|"]
    for bench in BENCHES:
        record = records.get(bench.name)
        if record is None:
            lines.append(f"| {bench.name} | {bench.summary} | not measured | | |")
            continue
        losing = sum(1 for contest in record.contests if contest.lost_to())
        cells = (f"[{bench.name}](#{bench.name})", bench.summary, str(len(record.contests)))
        seconds = UNKNOWN if record.seconds is None else f"{record.seconds:.0f}"
        lines.append(f"| {' | '.join(cells)} | {losing} | {seconds} |")
    missing = missing_reasons(records, reasons)
    if missing:
        lines += ["", f"Reasons missing: {len(missing)}."]
    return "\n".join(lines) + "\n"


def _section(bench: Bench, record: Record, reasons: Mapping[str, str]) -> str:
    lines = [f"## {bench.name}", "", f"{bench.summary[0].upper()}{bench.summary[1:]}.", ""]
    lines += [f"*{line}*  " for line in provenance(record)]
    for sheet in sheets(record.contests, reasons):
        lines += ["", f"### {sheet.title}", "", *_markdown(sheet)]
    return "\n".join(lines) + "\n"


def _markdown(sheet: Sheet) -> list[str]:
    rule = ["---"] + [_rule(column) for column in sheet.columns[1:]]
    lines = [f"| {' | '.join(sheet.columns)} |", f"|{'|'.join(rule)}|"]
    for number, row in enumerate(sheet.rows):
        losing = sheet.losing.get(number, set())
        cells = [f"**{cell}**" if i in losing else cell for i, cell in enumerate(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _rule(column: str) -> str:
    return "---" if column in ("note", REASON) else "---:"
