"""Canary exposure: how far a model prefers a planted secret to those it was never shown.

A secret drawn at random from |R| alternatives is ranked among them by what it costs the model.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from xentjax.audit.binomial import exact_share
from xentjax.audit.given import Given, finite_of
from xentjax.audit.token_losses import passage_losses
from xentjax.data.canaries import CanaryFormat

# The mean of −log2 U for U uniform in (0, 1]: the exposure of a secret that nobody planted.
CHANCE_BITS = 1 / math.log(2)


@dataclasses.dataclass(frozen=True)
class Exposure:
    """How exposed each of K canaries is.

    Attributes:
        losses: [K] nats, what each costs the model as a whole.
        alternatives: [M] nats, what others of the same form cost.
        space: |R|, how many there are of the form.
        bits: [K] exposure; between 0 and log2 |R|. Of a canary cheaper than every alternative
            drawn it is log2(M + 1), all that M draws can show.
        low: [K] lower end of the 95 % interval.
        high: [K] upper end, at most log2 |R|.
        exhaustive: every alternative was ranked, and the interval is a point.
    """

    losses: np.ndarray
    alternatives: np.ndarray
    space: int
    bits: np.ndarray
    low: np.ndarray
    high: np.ndarray
    exhaustive: bool


def exposure_of_losses(
    losses: Given,
    alternatives: Given,
    *,
    space: int,
) -> Exposure:
    r"""Exposure from losses: log2 |R| − log2 rank, exact or from a sample of the alternatives.

    With the rank r of a canary among all of R, exposure = log2 |R| − log2 r. If only M of them were
    drawn and k cost no more than the canary, r / |R| is about (k + 1) / (M + 1), and Clopper and
    Pearson's interval of the share r / |R| gives that of the exposure, which falls with it: it
    holds in at least 95 of 100 samples, for the lowest ranks too. A tie counts against the canary.
    A secret that the model was never shown has any rank with equal chance: 1/ln 2 = 1.44 bits on
    average, and b bits or more with probability 2⁻ᵇ.

    Args:
        losses: [K] nats, log-perplexities of the canaries.
        alternatives: [M] nats: of all of R when M = |R|, else of a sample drawn from R with
            replacement.
        space: |R|, at least M.

    Returns:
        An `Exposure`.

    Raises:
        ValueError: if a loss is NaN, there are none, or more alternatives than the space has.

    Example:
        >>> everyone = np.array([1.0, 2.0, 3.0, 4.0])
        >>> found = exposure_of_losses(np.array([1.0, 3.0]), everyone, space=4)
        >>> [f"{bits:.3f}" for bits in found.bits]  # log2 4 − log2 1, log2 4 − log2 3
        ['2.000', '0.415']

    Reference:
        N. Carlini et al., The Secret Sharer: Evaluating and Testing Unintended Memorization in
        Neural Networks, 2019.
    """
    losses = finite_of(losses, "losses", "K", infinite=True)
    alternatives = finite_of(alternatives, "alternatives", "M", infinite=True)
    drawn = len(alternatives)
    if drawn > space:
        raise ValueError(f"alternatives must be at most the space, {space}, got {drawn}")
    ordered = np.sort(alternatives)
    no_dearer = np.searchsorted(ordered, losses, side="right")
    exhaustive = drawn == space
    if exhaustive:
        bits = math.log2(space) - np.log2(np.maximum(no_dearer, 1))
        low = high = bits
    else:
        bits = np.log2(drawn + 1) - np.log2(no_dearer + 1)
        ranks = np.array([exact_share(int(k), drawn) for k in no_dearer])
        # No rank is below 1 of |R|, whatever the sample says.
        high, low = 0.0 - np.log2(np.maximum(ranks[:, 1:], 1 / space)).T
    bits = np.minimum(bits, math.log2(space))
    return Exposure(losses, alternatives, space, bits, low, high, exhaustive)


def canary_exposure(
    model: Any,
    tokenizer: Any,
    canaries: Sequence[str],
    *,
    block: int,
    form: CanaryFormat | None = None,
    alternatives: int = 4096,
    seed: int = 0,
    batch_size: int = 64,
) -> Exposure:
    """Ranks canaries by their loss among all others of their form, or many.

    Each is read as a line of its own, after a line break. One sample of alternatives serves all
    canaries, so their exposures are not independent of each other.

    Args:
        model: a GPT in evaluation mode.
        tokenizer: has `encode`.
        canaries: what was planted, or, for the null, what was not.
        block: the longest context the model takes.
        form: of the canaries, the one they were planted with.
        alternatives: how many to draw; where the form has no more, all are ranked.
        seed: of the draw.
        batch_size: alternatives in one pass.

    Returns:
        An `Exposure`, in the order of the canaries.

    Raises:
        ValueError: if there are no canaries, one is not of the form, alternatives is below 1, or
            the tokenizer gives canaries of one form different numbers of tokens.
    """
    form = CanaryFormat() if form is None else form
    if not canaries or alternatives < 1:
        raise ValueError(
            f"canaries and alternatives must be at least one, got {len(canaries)} and "
            f"{alternatives}"
        )
    numbers = [form.number(canary) for canary in canaries]
    exhaustive = form.space <= alternatives
    if exhaustive:
        others = tuple(form.spell(number) for number in range(form.space))
    else:
        others = form.draw(alternatives, np.random.default_rng(seed))
    lines = [*others, *([] if exhaustive else canaries)]
    losses = _line_losses(model, tokenizer, lines, block, batch_size)
    # Of an exhaustive ranking a canary's own entry is taken, lest two passes round differently.
    own = losses[numbers] if exhaustive else losses[len(others) :]
    return exposure_of_losses(own, losses[: len(others)], space=form.space)


def _line_losses(model, tokenizer, lines, block, batch_size) -> np.ndarray:
    rows = [np.asarray(tokenizer.encode("\n" + line), np.int32) for line in lines]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(
            "canaries must all have the same number of tokens; give an alphabet whose characters "
            "are one token each"
        )
    losses = passage_losses(model, np.stack(rows), block=block, batch_size=batch_size)
    return losses.sum(axis=1, dtype=np.float64)
