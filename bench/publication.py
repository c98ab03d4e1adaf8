"""What is made from the records on file: bench/RESULTS.md, a table of docs/losses.md, a picture."""

from collections.abc import Mapping
from pathlib import Path

from bench.document import between
from bench.growth_picture import PICTURE, draw_growth
from bench.loss_table import DOCUMENT, markdown
from bench.record import Record
from bench.report import PAGE, page


def publish(records: Mapping[str, Record], reasons: Mapping[str, Mapping[str, str]]) -> list[Path]:
    """Writes what the records are enough for.

    Args:
        records: bench → record.
        reasons: bench → row → why a peer is ahead.

    Returns:
        The files written.
    """
    PAGE.write_text(page(records, reasons), "utf-8")
    written = [PAGE]
    if "losses" in records:
        text = DOCUMENT.read_text("utf-8")
        DOCUMENT.write_text(between(text, "time", markdown(records["losses"])), "utf-8")
        written.append(DOCUMENT)
    if "growth" in records:
        draw_growth(records["growth"].contests, PICTURE)
        written.append(PICTURE)
    return written
