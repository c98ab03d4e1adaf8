"""Membership of text: can the loss of a passage tell whether the model was trained on it?

Three scores, all high for text that the model knows: the mean log-probability, that of the
unlikeliest tokens alone, and the loss set against what a compressor makes of the same text.
"""

import dataclasses
import zlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.estimate import share
from xentjax.audit.given import Given, finite_of
from xentjax.metrics.intervals import bootstrap_interval
from xentjax.metrics.ranking import roc_auc

_FEWEST = 8


@dataclasses.dataclass(frozen=True)
class TextMembership:
    """How well one score tells members from others.

    Attributes:
        auc: the chance that a member scores above another passage; 0.5 is guessing.
        low: lower end of the 95 % bootstrap interval over passages.
        high: upper end.
        passages: how many of each kind.
    """

    auc: float
    low: float
    high: float
    passages: int


def mean_log_probability(losses: Given) -> np.ndarray:
    """The mean log-probability of each passage's tokens in nats: [P, T] losses → [P] scores.

    Example:
        >>> mean_log_probability(np.array([[1.0, 3.0]])).tolist()
        [-2.0]
    """
    return -finite_of(losses, "losses", "P T", infinite=True).mean(axis=1)


def min_k_probability(losses: Given, *, share: float = 0.2) -> np.ndarray:
    """The mean log-probability of the unlikeliest tokens of each passage: [P, T] → [P].

    Prefer it to the mean where passages differ in how much of them is easy: a passage that was
    seen before has few tokens that surprise.

    Args:
        losses: nats.
        share: of the tokens, in (0, 1]; at least one token is taken.

    Example:
        >>> min_k_probability(np.array([[1.0, 3.0, 2.0, 0.0]]), share=0.5).tolist()  # 3 and 2
        [-2.5]

    Reference:
        W. Shi et al., Detecting Pretraining Data from Large Language Models, 2023.
    """
    losses = finite_of(losses, "losses", "P T", infinite=True)
    if not 0 < share <= 1:
        raise ValueError(f"share must lie in (0, 1], got {share}")
    kept = max(1, int(share * losses.shape[1]))
    return -np.sort(losses, axis=1)[:, -kept:].mean(axis=1)


def zlib_ratio(losses: Given, texts: Sequence[bytes]) -> np.ndarray:
    """Minus the loss of each passage over its compressed size: nats a byte, [P].

    What is easy for everybody, such as repetition, is easy for a compressor too and is set off.

    Args:
        losses: [P, T] nats.
        texts: P passages as bytes.

    Example:
        >>> ratio = zlib_ratio(np.ones((1, 4)), [b"aaaa"])
        >>> round(float(ratio[0] * len(zlib.compress(b"aaaa", 9))), 6)  # minus the loss
        -4.0

    Reference:
        N. Carlini et al., Extracting Training Data from Large Language Models, 2021.
    """
    losses = finite_of(losses, "losses", "P T", infinite=True)
    if len(texts) != len(losses):
        raise ValueError(f"texts must be as many as losses, {len(losses)}, got {len(texts)}")
    return -losses.sum(axis=1) / np.array([len(zlib.compress(text, 9)) for text in texts])


def membership_auc(members: Given, others: Given, *, seed: int) -> TextMembership:
    """The area under the ROC curve of a score on members against others, with its interval.

    Read it against a null: pieces of one text differ in topic, and a score that tells topics apart
    is above or below 0.5 without any memorization. Two parts that were both held out show how far
    topic alone goes. The bootstrap draws passages, so neighbouring passages, which are alike, make
    the interval too narrow: space them out, or make them long.

    Args:
        members: [P] scores of passages trained on.
        others: [P] scores of as many that were not, P ≥ 8.
        seed: of the bootstrap.

    Returns:
        A `TextMembership`.

    Raises:
        ValueError: if they are not as many, fewer than 8 or not finite.

    Example:
        >>> low, high = np.arange(8.0), np.arange(8.0) + 4
        >>> membership_auc(high, low, seed=0).auc  # 64 pairs: 10 lost, 4 tied
        0.875
    """
    members = finite_of(members, "members", "P")
    others = finite_of(others, "others", "P", members.shape)
    if len(members) < _FEWEST:
        raise ValueError(f"members and others must be at least {_FEWEST}, got {len(members)}")
    # Ranks keep apart what float32 would round together.
    ranks = np.unique(np.concatenate([members, others]), return_inverse=True)[1]
    halves = np.split(ranks.astype(np.float32), 2)
    found = bootstrap_interval(jax.random.key(seed), _auc, *halves)
    auc, low, high = (float(part) for part in found[:3])
    if auc in (0.0, 1.0):
        # Resamples of what is told apart wholly are all alike; what is known is how many there are.
        _, low, high = share(auc * len(members), len(members))
    return TextMembership(auc, low, high, len(members))


def membership_scores(losses: Given, texts: Sequence[bytes]) -> Mapping[str, np.ndarray]:
    """All three scores of passages, by name: each [P]."""
    return {
        "mean log-probability": mean_log_probability(losses),
        "unlikeliest 20 % of tokens": min_k_probability(losses),
        "loss over compressed size": zlib_ratio(losses, texts),
    }


def _auc(members, others):
    # Pairs are resampled, so that both kinds stay as many as they are.
    labels = jnp.repeat(
        jnp.array([True, False]), len(members), total_repeat_length=2 * len(members)
    )
    return roc_auc(jnp.concatenate([members, others]), labels)
