"""Sections: what an audit found out about one danger, as plain data, before it is a page.

A section asks one question, answers it with a verdict, and shows measures with their intervals,
tables, pictures and coloured text; it says what is good, what to do next, and what was not
measured. `report` makes HTML, JSON and terminal text of it.
"""

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["good", "watch", "act", "unmeasured"]
_SEVERITY: tuple[Verdict, ...] = ("act", "watch", "good", "unmeasured")


@dataclasses.dataclass(frozen=True)
class Measure:
    """A number with its interval, and what would be good.

    Attributes:
        name: what it measures, such as "calibration error on test".
        value: the number.
        low: lower end of the 95 % interval, or None where there is none.
        high: upper end.
        unit: "share" is shown in percent, "nats" and others as they are; "" is a plain number.
        good: what would be good, such as "near 0".
        verdict: how this number stands; None for one that is told to compare with, and not judged.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    good: str = ""
    verdict: Verdict | None = None


@dataclasses.dataclass(frozen=True)
class Grid:
    """A small table.

    Attributes:
        title: above it.
        columns: their names.
        rows: texts and numbers, as long as columns.
        note: below it; may be empty.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str = ""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that stands alone.

    Attributes:
        title: above it.
        caption: says in words what is to be seen, for those who cannot see it too.
        svg: the drawing.
    """

    title: str
    caption: str
    svg: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class ColouredText:
    """A text whose pieces carry a number each.

    Attributes:
        title: above it.
        caption: what the colour means.
        pieces: (text, number) in order.
        low: the number without colour.
        high: the number of the strongest colour.
    """

    title: str
    caption: str
    pieces: Sequence[tuple[str, float]]
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Section:
    """What was found out about one danger.

    Attributes:
        key: one word, for links and JSON, such as "calibration".
        title: such as "Overconfidence".
        question: what a careful person asks, in one sentence.
        verdict: the worst of what was measured, or "unmeasured".
        finding: the answer in one to three sentences, with the numbers that matter.
        measures: the numbers.
        grids: tables.
        pictures: drawings.
        texts: coloured texts.
        advice: what to do next, most useful first.
        unmeasured: what was not measured, each with the reason and how it could be.
    """

    key: str
    title: str
    question: str
    verdict: Verdict
    finding: str
    measures: Sequence[Measure] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()
    texts: Sequence[ColouredText] = ()
    advice: Sequence[str] = ()
    unmeasured: Sequence[str] = ()


def worst(verdicts: Sequence[Verdict | None]) -> Verdict:
    """The verdict that wants most done; "unmeasured" where there is none but None.

    Example:
        >>> worst(["good", "act", "unmeasured"])
        'act'
    """
    for verdict in _SEVERITY:
        if verdict in verdicts:
            return verdict
    return "unmeasured"


def picture(title: str, caption: str, draw: Callable[..., None], *arguments: Any) -> Picture:
    """Draws into memory.

    Args:
        title: above the picture.
        caption: what is to be seen.
        draw: a function of `xentjax.plots` that takes the file to write last among its positional
            arguments.
        *arguments: those before it.
    """
    file = io.BytesIO()
    draw(*arguments, file)
    return Picture(title, caption, file.getvalue().decode())
