"""CTC, value and gradient, as batch, frames, labels and classes grow.

The inputs are those of the family's case: logits [N, T, C] with frames and labels of a length of
their own. optax takes paddings in place of lengths, torch log-probabilities with time first; both
conversions are part of their run, as their users must do them too.

The tolerance grows with the frames: at 8x800x32 the gradients of xentjax, optax and torch are
2.5e-5, 1.6e-4 and 4.4e-4 from those in float64.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from bench.cases.sequences import CASES, spoken
from bench.effort import Effort
from bench.heat import Heat
from bench.lineup import TimedLineup
from bench.losses import lineup

# N, T, C: a phoneme recogniser, letters of long utterances, a batch, word pieces.
SHAPES = ((16, 100, 64), (8, 800, 32), (64, 200, 32), (8, 200, 1024))
FULL = ((32, 1600, 32), (16, 400, 4096))


def tolerance(frames: int, classes: int) -> float:
    """A path has about T log C nats; its rounding is the relative error of what it is exp of."""
    return 4 * 2**-24 * frames * math.log(classes)


def heats(effort: Effort) -> Iterator[Heat]:
    for n, frames, classes in SHAPES + (FULL if effort.full else ()):
        case = replace(CASES["CTC"], draw=partial(spoken, frames=frames), size=(n, classes))
        hold = TimedLineup(partial(lineup, case), tolerance(frames, classes), budget=4.0)
        yield Heat("value and gradient, N x T x C", f"{n}x{frames}x{classes}", hold)
