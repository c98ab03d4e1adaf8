"""A finding: one part of a section on a language model, before the parts are put together."""

import dataclasses
from collections.abc import Sequence

from xentjax.audit.section import ColouredText, Grid, Measure, Picture, Section, worst


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one measurement adds to a section; the fields are those of `Section`.

    Attributes:
        sentence: what was found, with its numbers; empty where nothing was measured.
        measures: the numbers.
        grids: tables.
        pictures: drawings.
        texts: coloured texts.
        advice: what to do next.
        unmeasured: what was not measured, why, and how it could be.
    """

    sentence: str = ""
    measures: Sequence[Measure] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()
    texts: Sequence[ColouredText] = ()
    advice: Sequence[str] = ()
    unmeasured: Sequence[str] = ()


def make_section(key: str, title: str, question: str, findings: Sequence[Finding]) -> Section:
    """Puts findings together; the verdict is the worst of all measures."""

    def joined(name: str) -> tuple:
        return tuple(each for finding in findings for each in getattr(finding, name))

    measures = joined("measures")
    sentences = [finding.sentence for finding in findings if finding.sentence]
    return Section(
        key=key,
        title=title,
        question=question,
        verdict=worst([measure.verdict for measure in measures]),
        finding=" ".join(sentences) or "Nothing could be measured; see below why.",
        measures=measures,
        grids=joined("grids"),
        pictures=joined("pictures"),
        texts=joined("texts"),
        advice=joined("advice"),
        unmeasured=joined("unmeasured"),
    )
