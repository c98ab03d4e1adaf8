"""Records on the terminal."""

from collections.abc import Iterable, Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.catalogue import BENCHES
from bench.record import Record
from bench.rows import REASON, Sheet, sheets


def wide_console() -> Console:
    """A console wide enough for many columns where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=max(console.width, 140))


def print_record(record: Record, reasons: Mapping[str, str], console: Console) -> None:
    """The tables of a record, with where and how they were taken, and who was not there."""
    for sheet in sheets(record.contests, reasons):
        console.print(_table(sheet))
    for line in provenance(record):
        console.print(line, highlight=False, markup=False, style="dim")


def provenance(record: Record) -> list[str]:
    """Machine, versions, settings and the contestants that were not there, as sentences."""
    counts = {len(contest.ours.samples) for contest in record.contests}
    rounds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else str(max(counts, default=0))
    extent = "full" if record.full else "the cases of `make bench`"
    settings = "".join(f"; {name}: {value}" for name, value in record.settings.items())
    took = "" if record.seconds is None else f", {record.seconds:.0f} s"
    lines = [
        f"{record.environment}{settings}",
        f"{len(record.contests)} rows ({extent}), {rounds} rounds{took}",
    ]
    lines += [f"not timed: {key}: {why}" for key, why in record.failed.items()]
    if record.absent:
        missing = "; ".join(f"{name}: {why}, left out" for name, why in record.absent.items())
        lines.append(missing)
    return lines


def print_list(console: Console) -> None:
    """The benches, one line each."""
    table = Table.grid(padding=(0, 2))
    for bench in BENCHES:
        table.add_row(f"[bold]{bench.name}[/bold]", bench.summary)
    console.print(table)


def _table(sheet: Sheet) -> Table:
    table = Table(title=sheet.title, box=SIMPLE_HEAD, padding=0, title_justify="left")
    for i, column in enumerate(sheet.columns):
        is_text = i == 0 or column in ("note", REASON)
        table.add_column(column, justify="left" if is_text else "right")
    for number, row in enumerate(sheet.rows):
        table.add_row(*_marked(row, sheet.losing.get(number, ())))
    return table


def _marked(row: Iterable[str], losing: Iterable[int]) -> list[str]:
    return [f"[bold red]{cell}[/]" if i in losing else cell for i, cell in enumerate(row)]
