"""The section on fairness for language models: which kind of line it serves worse."""

from collections.abc import Callable

import numpy as np

from xentjax.audit.heads import LANGUAGE_FAIRNESS
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.lines import KindLoss, Line, line_kind, loss_of_lines, split_lines
from xentjax.audit.section import Grid, Measure, Section
from xentjax.audit.sections.bounds import below, judged
from xentjax.audit.sections.part import Part, joined
from xentjax.audit.token_losses import text_losses

_KINDS = ("prose", "code")
_FEWEST = 30  # lines of a kind, below which the bootstrap says little
# A fifth more loss is noticed; twice as much is another quality of service.
_WATCHED, _FATAL = 1.2, 2.0
_LONGEST = 60_000


def language_fairness_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Compares the loss of prose and code lines of the test text.

    Args:
        subject: the language model.
        seed: of resamples.
        progress: told what is being done.

    Returns:
        The section.
    """
    if progress is not None:
        progress("fairness: loss by kind of line")
    tokens = np.asarray(subject.tokens["test"], np.int32)[:_LONGEST]
    lines: dict[str, list[Line]] = {kind: [] for kind in (*_KINDS, "other")}
    if len(tokens) > 1:
        losses = text_losses(subject.model, tokens, block=subject.block)
        for line in split_lines(subject.tokenizer, tokens[1:], losses):
            lines[line_kind(line.text)].append(line)
    return joined(LANGUAGE_FAIRNESS, [_compare(lines, seed)])


def _compare(lines: dict[str, list[Line]], seed: int) -> Part:
    missing = tuple(
        f"Loss on {kind} lines: test has {len(lines[kind])} of them, fewer than {_FEWEST}; hold "
        "out more text of that kind."
        for kind in _KINDS
        if len(lines[kind]) < _FEWEST
    )
    groups = "Groups of people: a text does not say whom it serves; name groups of texts yourself."
    found = {
        kind: loss_of_lines(each, seed=seed) for kind, each in lines.items() if len(each) >= _FEWEST
    }
    compared = {kind: found[kind] for kind in _KINDS if kind in found}
    if not compared:
        return Part(unmeasured=(*missing, groups))
    worse = max(compared, key=lambda kind: compared[kind].nats_per_byte)
    better = min(compared, key=lambda kind: compared[kind].nats_per_byte)
    ratios = [] if worse == better else [_ratio(worse, better, compared)]
    return Part(
        sentence=_sentence(worse, better, compared),
        measures=(
            *ratios,
            *(
                Measure(
                    f"loss on {kind} lines",
                    each.nats_per_byte,
                    each.low,
                    each.high,
                    unit="nats per byte",
                )
                for kind, each in compared.items()
            ),
        ),
        grids=(_grid(found),),
        advice=(f"Add text with more {worse} to train on, or weigh it more.",)
        if any(ratio.verdict != "good" for ratio in ratios)
        else (),
        unmeasured=(*missing, groups),
    )


def _ratio(worse: str, better: str, compared: dict[str, KindLoss]) -> Measure:
    high, low = compared[worse], compared[better]
    return judged(
        f"loss on {worse} lines over that on {better} lines, a byte",
        # From the outer ends of both intervals: on the wide side.
        (high.nats_per_byte / low.nats_per_byte, high.low / low.high, high.high / low.low),
        below(_WATCHED, act=_FATAL),
    )


def _sentence(worse: str, better: str, found: dict[str, KindLoss]) -> str:
    if worse == better:
        each = found[worse]
        return (
            f"Only {worse} lines are enough to measure: {each.nats_per_byte:.2f} nats a byte "
            f"({each.low:.2f} to {each.high:.2f})."
        )
    a, b = found[worse], found[better]
    return (
        f"Lines of {worse} cost {a.nats_per_byte:.2f} nats a byte ({a.low:.2f} to {a.high:.2f}), "
        f"lines of {better} {b.nats_per_byte:.2f} ({b.low:.2f} to {b.high:.2f}), so a byte of "
        f"{worse} "
        f"costs {a.nats_per_byte / b.nats_per_byte:.2f} times as much. Part of a "
        "difference is the text's own: some kinds are harder for any model."
    )


def _grid(found: dict[str, KindLoss]) -> Grid:
    rows = [
        (kind, each.lines, each.size, f"{each.nats_per_byte:.3f}",
         f"{each.low:.3f} to {each.high:.3f}")
        for kind, each in found.items()
    ]  # fmt: skip
    return Grid(
        "Loss by kind of line",
        ("kind", "lines", "bytes", "nats per byte", "95 % interval"),
        rows,
        "Code is what begins with a prompt, reads as a short Python statement, call or assignment, "
        "or is a fifth signs; prose is what else has four words; the rest is other. Each line is "
        "judged by its own characters alone. The bootstrap draws runs of lines.",
    )
