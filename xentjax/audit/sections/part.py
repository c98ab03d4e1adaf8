"""Parts of a section: one question among several, answered in a sentence with its measures."""

import dataclasses
from collections.abc import Sequence

from xentjax.audit.heads import Head
from xentjax.audit.section import ColouredText, Grid, Measure, Picture, Section, Verdict, worst

_SENTENCES = 3


@dataclasses.dataclass(frozen=True)
class Part:
    """What one look at the data found.

    Attributes:
        sentence: the answer with its number; empty where nothing could be measured.
        measures: the numbers.
        grids: tables.
        pictures: drawings.
        texts: coloured texts.
        advice: what to do, where something is to be done.
        unmeasured: what was not measured, why, and how it could be.
    """

    sentence: str = ""
    measures: Sequence[Measure] = ()
    grids: Sequence[Grid] = ()
    pictures: Sequence[Picture] = ()
    texts: Sequence[ColouredText] = ()
    advice: Sequence[str] = ()
    unmeasured: Sequence[str] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst of the measures."""
        return worst([measure.verdict for measure in self.measures])


def joined(head: Head, parts: Sequence[Part]) -> Section:
    """One section of several parts; its finding is what the worst of them say."""
    order: tuple[Verdict, ...] = ("act", "watch", "good", "unmeasured")
    ranked = sorted(parts, key=lambda part: order.index(part.verdict))
    said = [part.sentence for part in ranked if part.sentence]
    return Section(
        *head,
        verdict=worst([part.verdict for part in parts]),
        finding=" ".join(said[:_SENTENCES]) or "Nothing of this could be measured here.",
        measures=[measure for part in parts for measure in part.measures],
        grids=[grid for part in parts for grid in part.grids],
        pictures=[picture for part in parts for picture in part.pictures],
        texts=[text for part in parts for text in part.texts],
        # Two parts may have the same to say.
        advice=list(dict.fromkeys(text for part in ranked for text in part.advice)),
        unmeasured=[text for part in parts for text in part.unmeasured],
    )
