"""Lines of a text as the groups of a language model: prose against code, and what each costs."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
from jaxtyping import Float, Int

from xentjax.audit.token_losses import text_pieces
from xentjax.metrics.intervals import bootstrap_interval

LineKind: TypeAlias = Literal["prose", "code", "other"]

# Fewer runs make an interval that is not to be believed; longer ones are cut for it.
_LONGEST_RUN, _RUNS_WANTED = 16, 30
_STATEMENT = re.compile(
    r"(@\w|#!|(def|class|if|elif|for|while|with|try|except|match|case)\b.*:$"
    r"|(import|from|return|raise|yield|assert|pass|del|print)\b.*[^.]$|\w+(\.\w+)*\(.*\)$"
    r"|[\w.\[\], ]+ ?[-+*/|&]?= ?\S)"
)
_WORD = re.compile(r"(?<![\w.])[A-Za-z]{2,}(?![\w(=])")


@dataclasses.dataclass(frozen=True)
class Line:
    """One line and what it cost.

    Attributes:
        text: with its line break, if it has one.
        loss: nats, all its tokens together.
        size: bytes of UTF-8.
    """

    text: str
    loss: float
    size: int


@dataclasses.dataclass(frozen=True)
class KindLoss:
    """What one kind of line costs.

    Attributes:
        lines: how many.
        size: bytes in all.
        nats_per_byte: the loss of all over the bytes of all.
        low: lower end of the 95 % bootstrap interval over runs of lines.
        high: upper end.
    """

    lines: int
    size: int
    nats_per_byte: float
    low: float
    high: float


def line_kind(line: str) -> LineKind:
    """Whether a line is prose or code, by a plain rule of its own characters.

    Code begins with a prompt (">>>", "...") or reads as a Python statement, a call or an
    assignment, with at most four plain words; or operators, brackets and quotes are a fifth of its
    characters. Prose is what else has at least four words. All other lines (empty ones, headings,
    grammar) are "other". The rule knows no context: a line of a program's text string is prose.

    Example:
        >>> line_kind("   The statement returns a value to its caller.")
        'prose'
        >>> line_kind("   return self.value"), line_kind("")
        ('code', 'other')
    """
    bare = line.strip()
    if not bare:
        return "other"
    signs = sum(character in "()[]{}<>=+-*/%&|^~:;,.'\"`\\_@#$" for character in bare)
    words = len(_WORD.findall(bare))
    if bare.startswith((">>> ", "... ")) or (_STATEMENT.match(bare) and words <= 4):
        return "code"
    if 5 * signs >= len(bare):
        return "code" if any(character.isalnum() for character in bare) else "other"
    return "prose" if words >= 4 else "other"


def split_lines(
    tokenizer: Any, tokens: Int[np.ndarray, " time"], losses: Float[np.ndarray, " time"]
) -> Sequence[Line]:
    """Tokens and their losses as lines, each ending with its line break.

    Args:
        tokenizer: has `decode`.
        tokens: [N] integers.
        losses: [N] nats.

    Returns:
        The lines; their texts joined are the decoded text, their losses sum to the losses. A piece
        of text with a line break in it ends the line it is in.
    """
    lines, text, loss = [], "", 0.0
    for piece, nats in text_pieces(tokenizer, tokens, losses):
        text, loss = text + piece, loss + nats
        if "\n" in piece:
            lines.append(Line(text, loss, len(text.encode())))
            text, loss = "", 0.0
    if text:
        lines.append(Line(text, loss, len(text.encode())))
    return lines


def loss_of_lines(lines: Sequence[Line], *, seed: int) -> KindLoss:
    """The loss per byte of some lines, with a bootstrap interval over runs of them.

    Lines that follow each other share their topic, and are drawn together: in runs of up to 16,
    shorter ones where there would be fewer than 30 runs.

    Args:
        lines: at least two, in the order of the text.
        seed: of the bootstrap.

    Raises:
        ValueError: if there are fewer than two lines.

    Example:
        >>> same = [Line("ab", 1.0, 2), Line("abcd", 2.0, 4)]
        >>> loss_of_lines(same, seed=0).nats_per_byte  # 3 nats, 6 bytes
        0.5
    """
    if len(lines) < 2:
        raise ValueError(f"lines must be at least two, got {len(lines)}")
    starts = np.arange(0, len(lines), max(1, min(_LONGEST_RUN, len(lines) // _RUNS_WANTED)))
    losses, sizes = (
        np.add.reduceat(np.array(each, np.float64), starts).astype(np.float32)
        for each in ([line.loss for line in lines], [line.size for line in lines])
    )
    found = bootstrap_interval(jax.random.key(seed), _ratio, losses, sizes)
    rate, low, high = (float(part) for part in found[:3])
    return KindLoss(len(lines), sum(line.size for line in lines), rate, low, high)


def _ratio(losses, sizes):
    return losses.sum() / sizes.sum()
