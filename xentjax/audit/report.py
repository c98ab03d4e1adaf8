"""Reports: what an audit found in one trained model, before it is a page, JSON or terminal text."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from xentjax.audit.section import Section, Verdict

VERDICTS: tuple[Verdict, ...] = ("act", "watch", "good", "unmeasured")
WORDS: Mapping[Verdict, str] = {
    "act": "act",
    "watch": "watch",
    "good": "good",
    "unmeasured": "not judged",
}
MEANINGS: Mapping[Verdict, str] = {
    "act": "the whole interval lies beyond the bound, or beyond a harder one where “act” names it",
    "watch": "the interval straddles a bound, so the data cannot tell, or lies between the two",
    "good": "the whole interval lies within the bound",
    "unmeasured": "too little to go by; why, and how it could be, is said in the section",
}
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_OVERVIEW_LENGTH = 160


@dataclasses.dataclass(frozen=True)
class Report:
    """What an audit found, and all that its figures depend on.

    Attributes:
        title: of the page.
        run: the name of the audited run.
        model: what kind of model, such as "MLP".
        data: the name of the data.
        data_sha256: the hash of the data.
        sizes: how much of what each split holds, such as "training rows" → 1259.
        parameters: how many numbers were trained, or None where that is not known.
        versions: package → version, of the audit.
        device: what it ran on.
        seeds: what it is for → seed, such as "training" → 0.
        date: of the audit.
        seconds: that it took.
        made_with: the command or call that makes it again.
        sections: what was found, one a danger.
    """

    title: str
    run: str
    model: str
    data: str
    data_sha256: str
    sizes: Mapping[str, int]
    parameters: int | None
    versions: Mapping[str, str]
    device: str
    seeds: Mapping[str, int]
    date: str
    seconds: float
    made_with: str
    sections: Sequence[Section]


def count_verdicts(report: Report) -> dict[Verdict, int]:
    """How many sections came to each verdict, the most urgent first."""
    found = [section.verdict for section in report.sections]
    return {verdict: found.count(verdict) for verdict in VERDICTS if verdict in found}


def verdict_sentence(report: Report) -> str:
    """The verdicts in one sentence, such as "Of 7 dangers, 1 to act on and 6 good."."""
    phrases = {"act": "to act on", "watch": "to watch", "good": "good"}
    counts = count_verdicts(report)
    said = [f"{counts[v]} {phrases.get(v, WORDS[v])}" for v in counts]
    if not said:
        return "Nothing was looked at."
    total = len(report.sections)
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"Of {total} danger{'s' if total != 1 else ''} looked at: {listed}."


def leading_sentences(finding: str) -> str:
    """As many whole sentences as make a short overview, and one at least.

    Example:
        >>> leading_sentences("It is 0.5 points off. Of 9 groups one is worse. " + "W" * 120)
        'It is 0.5 points off. Of 9 groups one is worse.'
        >>> len(leading_sentences("More. " * 99))  # 26 times 5 letters and 25 spaces
        155
    """
    shown, *rest = _SENTENCE_END.split(finding)
    for sentence in rest:
        if len(shown) + 1 + len(sentence) > _OVERVIEW_LENGTH:
            break
        shown = f"{shown} {sentence}"
    return shown.strip()
