"""RESULTS.md is what the kept JSON says, and a row that loses says why."""

from bench.catalogue import NAMES
from bench.reasons import missing_reasons, read_reasons, unknown_rows
from bench.record import records_on_file
from bench.report import PAGE, page
from bench.rows import MISSING, REASON, sheets
from tests.bench.records import contest, memory, record

RECORDS = records_on_file(NAMES)


def test_the_page_is_made_from_the_kept_figures():
    assert page(RECORDS, read_reasons()) == PAGE.read_text("utf-8"), "run python -m bench report"


def test_every_reason_is_for_a_row_that_exists():
    assert unknown_rows(RECORDS, read_reasons()) == []


def test_every_row_that_loses_says_why():
    assert missing_reasons(RECORDS, read_reasons()) == []


def test_a_row_without_a_reason_is_found():
    records = {"dense": record(contest("slow", factor=1.5), contest("quick", factor=0.5))}
    assert missing_reasons(records, {}) == ["dense / value: slow: 1.50 × optax"]
    assert missing_reasons(records, {"dense": {"value: slow": " "}}) != []
    assert missing_reasons(records, {"dense": {"value: slow": "It is exact."}}) == []
    assert unknown_rows(records, {"dense": {"value: slwo": "It is exact."}}) == [
        "dense / value: slwo"
    ]
    assert unknown_rows(records, {"ctc": {"value: slow": "It is exact."}}) == ["ctc / value: slow"]


def test_a_sheet_has_every_ratio_and_the_reason_where_a_peer_is_ahead():
    rows = contest("slow", factor=1.5), contest("quick", factor=0.5)
    (sheet,) = sheets(rows, {})
    assert sheet.columns[0] == ""
    cells = [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows]
    slow, tile, quick, _ = cells
    assert slow["× optax"] == "1.50 ± 0.00"
    assert slow["× bare pass"] == "3.00 ± 0.00"
    assert slow["temporary memory"] == "2.00 MB (optax 4.00 MB)"
    assert slow[REASON] == MISSING
    assert tile[""] == "↳ xentjax, tile 8"
    assert quick["× optax"] == "0.50 ± 0.00"
    assert quick[REASON] == ""
    assert sheet.losing[0] == {sheet.columns.index("× optax")}
    (sheet,) = sheets(rows, {"value: slow": "It is exact."})
    assert sheet.rows[0][-1] == "It is exact."


def test_columns_that_nobody_fills_are_left_out():
    (sheet,) = sheets([memory()], {})
    assert sheet.columns == ("", "xentjax, bytes", "× optax")
    assert sheet.rows == (("a", "1 B", "0.50"),)


def test_the_page_names_what_is_missing_and_marks_what_loses():
    kept = record(contest(factor=1.5), absent={"tokamax": "not installed"}, failed={"b": "NaN"})
    text = page({"dense": kept}, {})
    assert "tokamax: not installed, left out" in text
    assert "not timed: b: NaN" in text
    assert "**1.50 ± 0.00**" in text
    assert "Reasons missing: 1." in text
    assert "| ctc | CTC as batch, frames and classes grow | not measured | | |" in text
