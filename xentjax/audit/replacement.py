"""Replaced input: what a language model loses as tokens that it reads are replaced at random."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from xentjax.audit.estimate import Estimate, bootstrap_mean
from xentjax.audit.given import Given, tokens_of
from xentjax.audit.token_losses import window_losses


def replace_at_random(
    tokens: Int[np.ndarray, "*shape"],
    share: float,
    choices: Int[np.ndarray, " choices"],
    rng: np.random.Generator,
) -> Int[np.ndarray, "*shape"]:
    """Tokens of which each is replaced with a probability, by one drawn from some others.

    Args:
        tokens: integers of any shape.
        share: the probability, in [0, 1].
        choices: what to draw from; it may draw the token that was there.
        rng: of the places and the draws.

    Example:
        >>> replace_at_random(np.arange(4), 1.0, np.array([7]), np.random.default_rng(0)).tolist()
        [7, 7, 7, 7]
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must lie in [0, 1], got {share}")
    drawn = rng.choice(choices, tokens.shape)
    return np.where(rng.random(tokens.shape) < share, drawn, tokens)


def replacement_losses(
    model: Any,
    windows: Given,
    shares: Sequence[float],
    *,
    choices: Given,
    seed: int = 0,
) -> tuple[Estimate, ...]:
    """The loss of windows whose input, but not what is to be predicted, is damaged.

    Args:
        model: a GPT in evaluation mode.
        windows: [W, T + 1] tokens; the first T are read, the last T predicted.
        shares: of tokens read that are replaced.
        choices: what replaces them, such as the tokens that the text has.
        seed: of the places, the draws and the bootstrap. A place that is replaced at one share is
            replaced at every larger one.

    Returns:
        The loss in nats per token at every share, with the bootstrap interval over windows.

    Raises:
        TypeError: if tokens are not integers.
        ValueError: if a share is outside [0, 1], there are no choices or windows hold fewer than
            two tokens.
    """
    windows = tokens_of(windows, "windows", "W T").astype(np.int32)
    choices = tokens_of(choices, "choices", "K").astype(np.int32)
    if windows.shape[1] < 2:
        raise ValueError(f"windows must hold at least two tokens, got {windows.shape[1]}")
    found = []
    for share in shares:
        read = replace_at_random(windows[:, :-1], share, choices, np.random.default_rng(seed))
        losses = window_losses(model, read, windows[:, 1:])
        found.append(mean_over_windows(losses, seed=seed))
    return tuple(found)


def mean_over_windows(losses: Float[np.ndarray, "windows time"], *, seed: int) -> Estimate:
    """The mean loss with a bootstrap interval that draws whole windows, for tokens hang together.

    Example:
        >>> mean_over_windows(np.ones((4, 2), np.float32), seed=0).high
        1.0
    """
    return bootstrap_mean(losses.mean(axis=1, dtype=np.float64), seed=seed)
