"""JSON keeps every number and word, the terminal shows them as they are."""

import dataclasses
import io
import json
import math

import pytest
from rich.console import Console

from tests.audit.reports import HOSTILE, full_section, hostile_report, make_report
from xentjax.audit.report import count_verdicts, verdict_sentence
from xentjax.audit.report_json import read_json, report_to_json, write_json
from xentjax.audit.section import Section
from xentjax.audit.terminal import print_summary


@pytest.mark.parametrize("report", [make_report([full_section()]), hostile_report()])
def test_what_is_written_is_read_back(report, tmp_path):
    write_json(report, tmp_path / "audit.json")
    again = read_json(tmp_path / "audit.json")
    for section, wanted in zip(again.sections, report.sections, strict=True):
        for name in ("key", "title", "question", "verdict", "finding", "advice", "unmeasured"):
            assert getattr(section, name) == getattr(wanted, name)
        # repr, for NaN is not equal to itself.
        assert list(map(repr, section.measures)) == list(map(repr, wanted.measures))
        assert [g.note for g in section.grids] == [g.note for g in wanted.grids]
        assert section.grids[0].rows[0] == [wanted.grids[0].rows[0][0], 12, 0.5]
        assert section.grids[0].rows[1] == [None, 3, math.inf]
        assert repr(section.texts[0].pieces) == repr(wanted.texts[0].pieces)
        assert section.pictures[0] == dataclasses.replace(wanted.pictures[0], svg="")
    assert again.sizes == report.sizes
    assert report_to_json(again) == report_to_json(report)


def test_no_number_that_json_has_not_is_written_and_each_is_named():
    content = report_to_json(make_report([full_section()]))
    json.dumps(content, allow_nan=False)
    assert content["schema"] == 1
    assert content["not_finite"] == {
        "sections[0].measures[2].value": "nan",
        "sections[0].measures[2].low": "nan",
        "sections[0].measures[2].high": "inf",
        "sections[0].grids[0].rows[1][2]": "inf",
        "sections[0].texts[0].pieces[1][1]": "nan",
    }
    assert content["sections"][0]["measures"][0]["low"] == 0.031
    assert content["sections"][0]["pictures"] == [
        {"title": "plain words", "caption": "plain words"}
    ]


@pytest.mark.parametrize(
    ("content", "message"), [([], "is no audit"), ({"format": "xentjax-audit", "schema": 9}, "9")]
)
def test_what_is_no_audit_is_refused(content, message, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_json(tmp_path / "a.json")


def printed(report, width, written=None):
    file = io.StringIO()
    print_summary(report, Console(file=file, width=width, color_system=None), written=written)
    return file.getvalue()


@pytest.mark.parametrize("width", [30, 44, 80, 200])
def test_the_terminal_shows_verdicts_and_findings_within_its_width(width, tmp_path):
    sections = [
        Section("a", "Alpha", "?", "good", "It is fine, " * 9),
        Section("b", "Beta", "?", "act", "W" * 90),
    ]
    shown = printed(make_report(sections), width, tmp_path / "audit.html")
    *lines, last = shown.rstrip("\n").split("\n")
    assert max(map(len, lines)) <= width
    assert last == f"The report is in {tmp_path / 'audit.html'}"
    assert shown.index("✖ act") < shown.index("✔ good")
    assert shown.count("W") == 91  # and that of the title


def test_nothing_printed_is_markup_or_a_control_character():
    shown = printed(hostile_report(), 4000)
    assert "[red]x[/red] [/]" in shown
    assert "\x1b" not in shown
    assert "\x00" not in shown
    assert shown.count("<script>") == 1 + 2 * 3
    assert HOSTILE not in shown


def test_verdicts_are_counted_in_a_sentence():
    report = make_report([full_section(verdict=v) for v in ("good", "act", "good", "unmeasured")])
    assert count_verdicts(report) == {"act": 1, "good": 2, "unmeasured": 1}
    assert verdict_sentence(report) == (
        "Of 4 dangers looked at: 1 to act on, 2 good and 1 not judged."
    )
    assert verdict_sentence(make_report([])) == "Nothing was looked at."


@pytest.mark.parametrize("width", range(40, 60))
def test_no_line_of_the_terminal_begins_with_a_percent_sign(width):
    finding = "Of these " + "57.9 % and " * 9 + "the rest are right."
    file = io.StringIO()
    console = Console(width=width, file=file)
    section = dataclasses.replace(full_section(), finding=finding)
    print_summary(make_report([section]), console)
    printed = file.getvalue()
    assert printed.count("57.9\u00a0%") >= 9
    assert not [line for line in printed.splitlines() if line.strip().startswith("%")]
