"""Verbatim extraction: what a language model, given the beginning, recites of its training text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from xentjax.audit.estimate import Estimate, bootstrap_mean, share
from xentjax.audit.given import Given, tokens_of
from xentjax.audit.suffix_array import SuffixArray, matching_lengths
from xentjax.models.generation import generate


@dataclasses.dataclass(frozen=True)
class Extraction:
    """What came of P prompts of one length.

    Attributes:
        prompt_length: tokens of each prompt.
        continuations: [P, L] tokens that the model wrote.
        copied: [P] the longest span of each continuation that stands anywhere in the training
            text, in tokens.
        recited: [P] tokens of the true continuation given before the first that differs.
        natural: [P] the longest span of the true continuation that stands in the training text:
            L for prompts from it; for others, how much the text repeats itself anyway.
        reproduced: n → share of prompts whose next n tokens were all given.
    """

    prompt_length: int
    continuations: np.ndarray
    copied: np.ndarray
    recited: np.ndarray
    natural: np.ndarray
    reproduced: Mapping[int, Estimate]

    def mean_copied(self, seed: int = 0) -> Estimate:
        """The mean of `copied`, with its bootstrap interval over prompts."""
        return bootstrap_mean(self.copied.astype(np.float64), seed=seed)


def extract_verbatim(
    model: Any,
    source: Given,
    training: SuffixArray,
    *,
    prompt_lengths: Sequence[int] = (8, 16, 32, 64),
    length: int = 50,
    targets: Sequence[int] = (20, 50),
    prompts: int = 64,
    temperature: float = 0.0,
    seed: int = 0,
) -> tuple[Extraction, ...]:
    """Prompts a model with pieces of a text and looks for what it writes in the training text.

    The same places are continued from prompts of every length, so the lengths differ in nothing
    else. Pieces do not overlap. Prompts from the training text are the attack; prompts from text
    that the model has not seen are its null, for a text that repeats itself is "reproduced"
    without having been memorized.

    Args:
        model: a GPT in evaluation mode; `generate` takes it.
        source: [N] tokens to take prompts from.
        training: of the text the model was trained on.
        prompt_lengths: tokens of the prompts, each ≥ 1.
        length: tokens to write, ≥ 1.
        targets: after how many tokens to ask whether all were right, each in [1, length].
        prompts: how many places to continue; fewer where the source has no room for them.
        temperature: 0 takes the likeliest token each time; above it, samples.
        seed: of the places and the sampling.

    Returns:
        An `Extraction` a prompt length, in their order.

    Raises:
        TypeError: if source are not integers.
        ValueError: if an option is out of range or the source is too short for one prompt.

    Reference:
        N. Carlini et al., Quantifying Memorization Across Neural Language Models, 2023.
    """
    _check(prompt_lengths, length, targets, prompts)
    source = tokens_of(source, "source").astype(np.int32)
    starts = _places(len(source), max(prompt_lengths), length, prompts, seed)
    truth = source[starts[:, None] + np.arange(length)[None, :]]
    natural = matching_lengths(training, truth).max(axis=1)
    found = []
    for number, width in enumerate(prompt_lengths):
        given = source[starts[:, None] - np.arange(width, 0, -1)[None, :]]
        key = jax.random.fold_in(jax.random.key(seed), number)
        written = np.asarray(
            generate(model, given, length=length, temperature=temperature, key=key)
        )
        copied = matching_lengths(training, written).max(axis=1)
        recited = np.cumprod(written == truth, axis=1).sum(axis=1)
        reproduced = {n: share(int((recited >= n).sum()), len(recited)) for n in targets}
        found.append(Extraction(width, written, copied, recited, natural, reproduced))
    return tuple(found)


def _places(available: int, before: int, after: int, prompts: int, seed: int) -> np.ndarray:
    """Where continuations begin: one place in each of as many equal parts of the source."""
    room = available // (before + after)
    if room < 1:
        raise ValueError(
            f"source must hold at least {before + after} tokens, a prompt and what follows it, "
            f"got {available}; shorten prompt_lengths or length"
        )
    count = min(prompts, room)
    part = available // count
    offsets = np.random.default_rng(seed).integers(0, part - before - after + 1, count)
    return np.arange(count) * part + offsets + before


def _check(prompt_lengths, length, targets, prompts) -> None:
    for name, number in (("length", length), ("prompts", prompts)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if not prompt_lengths or min(prompt_lengths) < 1:
        raise ValueError(f"prompt_lengths must be numbers of at least 1, got {prompt_lengths}")
    if not targets or not 1 <= min(targets) <= max(targets) <= length:
        raise ValueError(f"targets must lie in [1, length] = [1, {length}], got {targets}")
