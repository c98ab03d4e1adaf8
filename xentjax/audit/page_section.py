"""One danger on the page: its question, the finding, measures, pictures, tables and advice."""

import base64
import math
import re
from collections.abc import Sequence

from xentjax.audit.figures import cell_text, interval_text, is_number, measure_text
from xentjax.audit.interval_bar import interval_bar
from xentjax.audit.markup import Markup, element, lines, prose
from xentjax.audit.page_text import coloured_text
from xentjax.audit.report import WORDS
from xentjax.audit.section import Grid, Measure, Picture, Section, Verdict

# So short a text in a table is a figure with its interval or a name: it stays on one line.
_SHORT = 24
_FIGURE = re.compile(r"[−+-]?[\d.,]+(e[−+-]?\d+)?( ?%)?")

# Told apart by shape as by colour and word: an octagon, a triangle, a disc, a dashed ring.
_OUTLINES: dict[Verdict, tuple[str, str]] = {
    "act": ("M5 1h6l4 4v6l-4 4H5l-4-4V5z", "M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2"),
    "watch": ("M8 1.2l7.2 13.3H.8z", "M8 5.8v4M8 12v.2"),
    "good": ("M8 1a7 7 0 1 0 0 14A7 7 0 1 0 8 1z", "M4.9 8.3l2.2 2.2 4-4.6"),
    "unmeasured": ("M8 1a7 7 0 1 0 0 14A7 7 0 1 0 8 1z", "M5.2 8h5.6"),
}


# What to do where a section has nothing to advise.
_NOTHING: dict[Verdict, tuple[str, ...]] = {
    "good": ("Nothing now. Audit again when the data, the model or its use change.",),
    "watch": ("Collect more held-out data, until the intervals that straddle can tell.",),
    "act": (),
    "unmeasured": (),
}


def anchor(number: int, key: str) -> str:
    """The id of a section: unique by its number, readable by its key."""
    readable = re.sub(r"[^a-z0-9]+", "-", key.lower()).strip("-")[:40]
    return f"section-{number}" + (f"-{readable}" if readable else "")


def verdict_badge(verdict: Verdict) -> Markup:
    """A verdict as shape, word and colour."""
    outline, sign = _OUTLINES[verdict]
    icon = element(
        "svg",
        element("path", class_="outline", d=outline),
        element("path", class_="sign", d=sign),
        viewBox="0 0 16 16",
        width="16",
        height="16",
        aria_hidden="true",
    )
    return element("span", icon, element("span", WORDS[verdict]), class_=f"badge {verdict}")


def section_article(section: Section, number: int) -> Markup:
    """The whole of a section.

    Args:
        section: what was found.
        number: its place in the report, from 1.
    """
    name = anchor(number, section.key)
    head = element(
        "header",
        element("h2", section.title, id=name),
        verdict_badge(section.verdict),
    )
    parts = [
        head,
        element("p", prose(section.question), class_="question"),
        element("p", prose(section.finding), class_="finding"),
        _measures(section.measures),
        *map(_figure, section.pictures),
        *map(_table, section.grids),
        *map(coloured_text, section.texts),
        _list("What to do next", section.advice or _NOTHING[section.verdict], "advice", "ol"),
        _list("Not measured", section.unmeasured, "unmeasured-list", "ul"),
        element("p", element("a", "Back to the overview", href="#top"), class_="back"),
    ]
    return element("article", lines(["", *parts, ""]), class_=section.verdict, aria_labelledby=name)


def _measures(measures: Sequence[Measure]) -> Markup:
    if not measures:
        return Markup("")
    names = ("Measure", "Value", "95 % interval", "Good is", "Verdict")
    heads = [element("th", name, scope="col") for name in names]
    return element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", lines(["", *map(_measure, measures), ""])),
        class_="measures",
    )


def _measure(measure: Measure) -> Markup:
    interval = interval_text(measure)
    return element(
        "tr",
        element("th", prose(measure.name), scope="row"),
        element("td", measure_text(measure), class_="value"),
        element(
            "td",
            interval_bar(measure),
            element("span", interval or "no interval", class_="interval" if interval else "none"),
            class_="where",
        ),
        element("td", prose(measure.good), class_="wanted"),
        element(
            "td",
            verdict_badge(measure.verdict) if measure.verdict else "to compare with",
            class_="stands",
        ),
        class_=measure.verdict or "compared",
    )


def _figure(picture: Picture) -> Markup:
    encoded = base64.b64encode(picture.svg.encode("utf-8", "replace")).decode()
    return element(
        "figure",
        element("h3", prose(picture.title)),
        element("img", src=f"data:image/svg+xml;base64,{encoded}", alt=picture.caption),
        element("figcaption", prose(picture.caption)),
    )


def _table(grid: Grid) -> Markup:
    numeric = [_numeric(grid, place) for place in range(len(grid.columns))]
    heads = [
        element("th", prose(column), scope="col", class_="number" if number else None)
        for column, number in zip(grid.columns, numeric, strict=True)
    ]
    rows = [element("tr", *map(_cell, row, numeric)) for row in grid.rows]
    table = element(
        "table",
        element("thead", element("tr", *heads)),
        element("tbody", lines(["", *rows, ""])),
    )
    return element(
        "div",
        element("h3", prose(grid.title)),
        # Wider than the page it scrolls in its own box, by keyboard too.
        element("div", table, class_="scroll", tabindex="0", role="region", aria_label=grid.title),
        element("p", prose(grid.note), class_="note") if grid.note else "",
        class_="grid",
    )


def _numeric(grid: Grid, place: int) -> bool:
    cells = [row[place] for row in grid.rows if place < len(row)]
    return bool(cells) and all(cell is None or _is_figure(cell) for cell in cells)


def _is_figure(cell: object) -> bool:
    """Whether a cell is a number, or the text of one."""
    return is_number(cell) or (isinstance(cell, str) and bool(_FIGURE.fullmatch(cell)))


def _cell(cell: object, numeric: bool) -> Markup:
    text = cell_text(cell)
    if is_number(cell):
        kind = "number" if math.isfinite(cell) else "number odd"  # type: ignore[arg-type]
    elif numeric:
        kind = "number"
    else:
        kind = "short" if len(text) <= _SHORT else None
    return element("td", prose(text) if isinstance(cell, str) else text, class_=kind)


def _list(title: str, items: Sequence[str], kind: str, tag: str) -> Markup:
    if not items:
        return Markup("")
    return element(
        "div",
        element("h3", title),
        element(tag, lines([element("li", prose(item)) for item in items])),
        class_=kind,
    )
