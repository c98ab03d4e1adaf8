"""The part about text: passages and lines of the test that train has word for word."""

import math

import numpy as np

from xentjax.audit.language_model import LanguageModel
from xentjax.audit.section import Grid, Measure, Verdict
from xentjax.audit.sections.bounds import below, judged, mild
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent
from xentjax.audit.text_overlap import (
    SharedWindows,
    longest_shared_span,
    repeated_share,
    shared_lines,
    shared_windows,
)

_SHARE = 0.01  # of the test, which then moves the loss by little
_FEWEST_LINES = 20
_SHOWN = 160  # characters of the longest span


def shared_passages_part(
    subject: LanguageModel, *, lengths: tuple[int, ...], judged: int, seed: int
) -> Part:
    """Windows of tokens that occur in both, against what train repeats of itself."""
    train, test = (np.asarray(subject.tokens[k]).astype(np.int64) for k in ("train", "test"))
    # As long as the test, so that both have as many windows; what is left is train to it.
    held = train[-len(test) :] if len(train) >= 2 * len(test) else train[len(train) // 2 :]
    known = train[: len(train) - len(held)]
    shuffled = np.random.default_rng(seed).permutation(test)
    usable = [n for n in lengths if n <= min(len(test), len(held), len(known)) // 2]
    if judged not in usable:
        return Part(
            unmeasured=[
                f"Shared passages: the test has {len(test)} tokens and train {len(train)}, too few "
                f"for windows of {judged}. Hold a longer text out."
            ]
        )
    rows, found = [], {}
    for n in usable:
        own, usual, chance = (
            shared_windows(text, base, length=n, seed=seed)
            for text, base in ((test, train), (held, known), (shuffled, train))
        )
        found[n] = own, usual
        rows.append([n, _with_interval(own), _with_interval(usual), percent(chance.share)])
    own, usual = found[judged]
    span = longest_shared_span(test, train)
    measure = _passages_measure(own, usual)
    repeated = repeated_share(train, length=judged)
    return Part(
        _sentence(own, usual, span.length, measure.verdict),
        measures=[
            measure,
            Measure(
                f"training windows of {judged} tokens that train had before",
                repeated,
                unit="share",
            ),
            Measure("longest passage in both", float(span.length), unit="tokens"),
        ],
        grids=[
            Grid(
                "Passages in both, by length",
                ["tokens", "test in train", "end of train in the rest of it", "shuffled test"],
                rows,
                "The third column is what a text of this kind repeats of itself; the last is "
                f"chance. The longest passage begins: {_shown(subject, test, span)}",
            )
        ],
        advice=[_ADVICE[measure.verdict]] if measure.verdict in _ADVICE else [],
    )


_ADVICE = {
    "act": "Remove from train the passages that test has, or hold other text out: their loss "
    "measures memory. Deduplicate by document before splitting.",
    "watch": "Part of the test loss measures repetition. Report the loss on the windows that train "
    "does not have beside the whole.",
}


def shared_lines_part(subject: LanguageModel) -> Part:
    """Lines of the test that train has too."""
    train, test = (
        subject.tokenizer.decode(np.asarray(subject.tokens[k])) for k in ("train", "test")
    )
    found = shared_lines(test, train)
    if found.lines < _FEWEST_LINES:
        return Part(
            unmeasured=[
                f"Shared lines: the test has {found.lines} lines of 20 characters or more, and "
                f"{_FEWEST_LINES} are needed to tell. Hold a longer text out."
            ]
        )
    grids = []
    if found.shared:
        # A row of asterisks says nothing.
        worded = [line for line in found.commonest if any(map(str.isalpha, line))]
        lines = [
            [line if len(line) <= 80 else f"{line[:79]}…"] for line in worded or found.commonest
        ]
        grids.append(Grid("Lines in both, commonest first", ["line"], lines))
    return Part(
        f"{found.shared} of {found.lines} longer lines of the test are in train too.",
        measures=[
            judged(
                "test lines of 20 characters or more that train has",
                found.shared / found.lines,
                mild(below(0.05)),
                unit="share",
                why="headings and boilerplate recur; counted in this very text",
            )
        ],
        grids=grids,
    )


def _passages_measure(own: SharedWindows, usual: SharedWindows) -> Measure:
    """Bad is more than a hundredth, and more than the text repeats of itself anyway."""
    ends = (own.low, own.high)
    return judged(
        f"test windows of {own.length} tokens found in train word for word",
        # None in this very text is none, and a text of few blocks has no interval.
        (own.share, *ends) if own.share and all(map(math.isfinite, ends)) else own.share,
        below(_SHARE, act=max(_SHARE, _beyond_repetition(own, usual))),
        unit="share",
        why=f"train repeats {percent(usual.share)} of itself",
    )


def _beyond_repetition(own: SharedWindows, usual: SharedWindows) -> float:
    """Where the interval of the share must begin, so that it exceeds what train repeats of itself.

    The lower end of the difference of two shares is d − √((p − low)² + u²), with d the difference
    and u what the interval of the other share reaches above it (Newcombe 1998): it is above 0
    where low > p − √(d² − u²), and nowhere if d ≤ u.
    """
    apart = own.share - usual.share
    reach = np.nan_to_num(usual.high - usual.share, nan=0.0)
    return own.share - math.sqrt(apart**2 - reach**2) if apart > reach else math.inf


def _sentence(
    own: SharedWindows, usual: SharedWindows, longest: int, verdict: Verdict | None
) -> str:
    share = (
        f"{percent(own.share)} of the test's windows of {own.length} tokens are in train word for "
        f"word (the end of train repeats {percent(usual.share)} of the rest of it); the longest "
        f"passage in both has {longest:,} tokens."
    )
    said = {
        "act": "The test repeats training text: ",
        "watch": "Test and train share passages: ",
        "good": "Test and train share few passages: ",
    }
    return said[verdict or "good"] + share


def _with_interval(found: SharedWindows) -> str:
    return f"{percent(found.share)} ({percent(found.low)} to {percent(found.high)})"


def _shown(subject, test, span) -> str:
    text = subject.tokenizer.decode(test[span.test_start : span.test_start + span.length])
    text = " ".join(text.split())
    return f"“{text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'}”"
