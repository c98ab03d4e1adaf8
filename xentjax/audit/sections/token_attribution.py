"""The section on attribution for language models: what surprises it, and what it looks at."""

import itertools
from collections.abc import Callable

import numpy as np

from xentjax.audit.attention import attention_rollout, trace_attention
from xentjax.audit.heads import LANGUAGE_ATTRIBUTION
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.passages import spread_passages
from xentjax.audit.replacement import mean_over_windows
from xentjax.audit.section import ColouredText, Grid, Section, picture
from xentjax.audit.sections.bounds import above, judged, mild
from xentjax.audit.sections.part import Part, joined
from xentjax.audit.sections.wording import percent
from xentjax.audit.token_losses import passage_losses, text_pieces, window_losses
from xentjax.plots.attention import draw_attention

# About a screen of text, and a square that can be read on a phone.
_SHOWN, _ROLLED = 700, 40
_WINDOWS, _FEWEST = 256, 8


def language_attribution_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Colours a test passage by what each token cost, and shows what positions draw on.

    Args:
        subject: the language model.
        seed: of resamples.
        progress: told what is being done.

    Returns:
        The section.
    """
    tell = progress or (lambda _: None)
    tell("attribution: what context is worth")
    context = _context(subject, seed)
    tell("attribution: a passage by the loss of its tokens")
    text = _coloured(subject)
    tell("attribution: attention rollout")
    rolled = _rollout(subject)
    return joined(LANGUAGE_ATTRIBUTION, (context, text, rolled))


def _context(subject: LanguageModel, seed: int) -> Part:
    """The loss by how much context there is: what the model uses, measured and not supposed."""
    windows = spread_passages(subject.tokens["test"], length=subject.block + 1, count=_WINDOWS)
    if len(windows) < _FEWEST or subject.block < 4:
        return Part(
            unmeasured=(
                f"What context is worth: test has fewer than {_FEWEST} windows of "
                f"{subject.block} tokens; hold out more text.",
            )
        )
    losses = window_losses(subject.model, windows[:, :-1], windows[:, 1:])
    edges = [0, *(2**n for n in range(subject.block.bit_length()) if 2**n < subject.block)]
    edges.append(subject.block)
    rows = []
    for first, stop in itertools.pairwise(edges):
        found = mean_over_windows(losses[:, first:stop], seed=seed)
        many = f"{first + 1}" if stop == first + 1 else f"{first + 1} to {stop}"
        rows.append((many, f"{found.value:.3f}", f"{found.low:.3f} to {found.high:.3f}"))
    half, quarter = subject.block // 2, subject.block // 4
    # The same tokens twice, once without the first half of the window to read.
    without = window_losses(subject.model, windows[:, half:-1], windows[:, half + 1 :])
    saved = without[:, -quarter:] - losses[:, -quarter:]
    gain = mean_over_windows(saved, seed=seed)
    measure = judged(
        f"loss saved by tokens more than {half} back",
        gain,
        mild(above(0.0)),
        unit="nats",
        why="then the model uses its whole block",
    )
    used = measure.verdict == "good"
    helps = "The model uses" if used else "The model is not seen to use"
    return Part(
        sentence=(
            f"{helps} distant context: what stands more than {half} tokens back saves "
            f"{gain.value:.3f} nats a token ({gain.low:.3f} to {gain.high:.3f})."
        ),
        measures=(measure,),
        grids=(
            Grid(
                "Loss by context",
                ("tokens of context", "loss (nats)", "95 % interval"),
                rows,
                f"{len(windows)} test windows of {subject.block} tokens; the bootstrap draws "
                "windows.",
            ),
        ),
        advice=()
        if used
        else ("A smaller block may serve as well, at less cost; or train for longer.",),
    )


def _coloured(subject: LanguageModel) -> Part:
    passage = _readable(subject, min(_SHOWN, len(subject.tokens["test"])))
    if passage is None:
        return Part(unmeasured=("Coloured text: test has fewer than 2 tokens; hold out more.",))
    losses = passage_losses(subject.model, passage[None, :], block=subject.block)[0]
    pieces = text_pieces(subject.tokenizer, passage[1:], losses)
    # The dearest few in a hundred would leave all others pale.
    high = float(max(np.quantile([loss for _, loss in pieces], 0.97), 1e-6))
    dearest = np.sort(losses)[::-1][: max(1, len(losses) // 10)].sum() / max(losses.sum(), 1e-9)
    return Part(
        sentence=(
            f"In the passage shown, the hardest tenth of the tokens bears {percent(dearest)} of "
            "the loss."
        ),
        texts=(
            ColouredText(
                "A test passage by what each token cost",
                "The stronger the colour, the more the model was surprised: it costs "
                f"−log p nats; the strongest stands for {high:.1f} and more. Beginnings of words "
                "and names are hard, their ends easy.",
                pieces,
                0.0,
                high,
            ),
        ),
    )


def _rollout(subject: LanguageModel) -> Part:
    passage = _readable(subject, min(_ROLLED, subject.block, len(subject.tokens["test"])))
    if passage is None:
        return Part(unmeasured=("Attention rollout: test has fewer than 2 tokens.",))
    rolled = attention_rollout(trace_attention(subject.model, passage).weights)
    pieces = [subject.tokenizer.decode(passage[t : t + 1]) for t in range(len(passage))]
    last = rolled[-1]
    order = np.argsort(last)[::-1][:3]
    named = ", ".join(
        f"{pieces[t]!r} ({percent(last[t])}, {len(last) - 1 - t} back)" for t in order
    )
    return Part(
        pictures=(
            picture(
                "Attention rollout",
                "Row by row, how much of a position's final state could have come from each token "
                f"up to it. The last position draws most on {named}. Attention shows what could "
                "flow, not what decided: read it as a hint.",
                draw_attention,
                rolled,
                pieces,
                f"Attention of {len(subject.model.blocks)} layers rolled out",
            ),
        ),
    )


def _readable(subject: LanguageModel, length: int) -> np.ndarray | None:
    """Of sixteen passages spread over the test text, that with most letters: no table, no code."""
    if length < 2:
        return None
    passages = spread_passages(subject.tokens["test"], length=length, count=16)
    letters = [sum(map(str.isalpha, subject.tokenizer.decode(row))) for row in passages]
    return passages[int(np.argmax(letters))]
