"""A report in the terminal: some lines a danger, the most urgent first, and where the rest is."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from xentjax.audit.markup import printable
from xentjax.audit.report import VERDICTS, WORDS, Report, leading_sentences, verdict_sentence
from xentjax.audit.section import Verdict

# Sign and colour; the word is between them, so neither has to be seen.
_SHOWN: dict[Verdict, tuple[str, str]] = {
    "act": ("✖", "bold red"),
    "watch": ("▲", "bold yellow"),
    "good": ("✔", "green"),
    "unmeasured": ("○", "dim"),
}


def print_summary(report: Report, console: Console, *, written: Path | None = None) -> None:
    """Prints verdicts and findings.

    Texts are printed as they are: nothing in them is markup, and control characters are shown.

    Args:
        report: what was found.
        console: where to print.
        written: where the page lies.
    """
    table = Table(
        title=_text(report.title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    table.add_column("verdict", no_wrap=True)
    table.add_column("finding", overflow="fold", ratio=1)
    for section in sorted(report.sections, key=lambda each: VERDICTS.index(each.verdict)):
        sign, style = _SHOWN[section.verdict]
        said = Group(_text(section.title, "bold"), _Prose(leading_sentences(section.finding)))
        table.add_row(Text(f"{sign} {WORDS[section.verdict]}", style), said)
    console.print(table)
    console.print(_text(verdict_sentence(report)))
    if written is not None:
        # Not broken over lines, so that it can be copied.
        console.print(Text("The report is in ").append(_text(str(written), "bold")), soft_wrap=True)


def _text(words: str, style: str = "") -> Text:
    return Text(printable(words), style)


class _Prose:
    """Sentences whose lines break at no other place than a space.

    rich takes a no-break space for a space, and would put a number and its percent on two lines.
    """

    def __init__(self, words: str) -> None:
        self.words = printable(words).replace(" %", "\u00a0%")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line in textwrap.wrap(self.words, options.max_width):
            # Letters two cells wide make it longer than its number of letters: rich wraps again.
            yield Text(line, no_wrap=cell_len(line) <= options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement.get(console, options, Text(self.words))
