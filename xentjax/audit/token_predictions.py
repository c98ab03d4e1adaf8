"""Token predictions: how sure a language model was of each next token, and whether it came.

Passages are kept apart, because tokens that stand together share their topic and their errors.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Bool, Float, Int

from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.train.evaluate import covering_windows, padded_batches


@dataclasses.dataclass(frozen=True)
class TokenPredictions:
    """What a model said of the tokens of some passages.

    Attributes:
        confidence: [P, L], the probability of the likeliest token.
        correct: [P, L], whether that token came.
        losses: [P, L], nats of the token that came.
    """

    confidence: Float[np.ndarray, "P L"]
    correct: Bool[np.ndarray, "P L"]
    losses: Float[np.ndarray, "P L"]


@dataclasses.dataclass(frozen=True)
class TokenLogits:
    """Scores of some tokens.

    Attributes:
        logits: float32 [n, V].
        labels: int32 [n], the tokens that came.
        passages: int64 [n], the passage of each.
    """

    logits: Float[np.ndarray, "n V"]
    labels: Int[np.ndarray, " n"]
    passages: Int[np.ndarray, " n"]


def token_predictions(
    model: Any,
    passages: Int[np.ndarray, "P time"],
    *,
    block: int,
    temperatures: Sequence[float] = (1.0,),
    batch_size: int = 16,
) -> tuple[TokenPredictions, ...]:
    """Confidence, hit and loss of every token but the first of each passage, each predicted once.

    No logits are kept, so that memory does not grow with the text. Within a passage a token is
    predicted after at least half a block of context where there is as much.

    Args:
        model: tokens [B, T] → logits [B, T, V], in evaluation mode.
        passages: [P, L + 1] integers.
        block: the longest context.
        temperatures: what the logits are divided by, each in turn.
        batch_size: windows in one pass.

    Returns:
        One `TokenPredictions` for each temperature.

    Raises:
        ValueError: if there is no passage, passages have fewer than two tokens, or a temperature
            is not above 0.

    Example:
        >>> uniform = lambda tokens: jnp.zeros((*tokens.shape, 4))
        >>> (found,) = token_predictions(uniform, np.zeros((2, 9), np.int32), block=4)
        >>> found.confidence.shape, float(found.confidence[0, 0]), bool(found.correct.all())
        ((2, 8), 0.25, True)
    """
    if not temperatures or not all(0 < value < math.inf for value in temperatures):
        raise ValueError(f"temperatures must be above 0, at least one, got {temperatures}")
    windows = _cut(passages, block)
    scale = jnp.asarray(temperatures, jnp.float32)
    parts = [
        jax.device_get(_read(logits, labels, scale))
        for logits, labels in _logits(model, windows, batch_size)
    ]
    # [temperatures, windows, T] each; the padding of the last batch is cut off.
    sure, right, nats = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
    shape, keep = (len(passages), -1), windows["where"]
    return tuple(
        TokenPredictions(
            *(x[number][: len(keep)][keep].reshape(shape) for x in (sure, right, nats))
        )
        for number in range(len(scale))
    )


def sample_logits(
    model: Any,
    passages: Int[np.ndarray, "P time"],
    *,
    block: int,
    numbers: int = 2**22,
    seed: int = 0,
    batch_size: int = 16,
) -> TokenLogits:
    """Logits of as many random tokens of the passages as memory is given for.

    Args:
        model: as for `token_predictions`.
        passages: [P, L + 1] integers.
        block: the longest context.
        numbers: n · V is at most this, but n is at least 1; all tokens where they fit.
        seed: of the sample.
        batch_size: windows in one pass.

    Returns:
        A `TokenLogits`, in the order of the text.

    Raises:
        ValueError: as `token_predictions`.

    Example:
        >>> uniform = lambda tokens: jnp.zeros((*tokens.shape, 4))
        >>> passages = np.zeros((2, 9), np.int32)
        >>> sample_logits(uniform, passages, block=4, numbers=20).logits.shape
        (5, 4)
    """
    windows = _cut(passages, block)
    places = np.flatnonzero(windows["where"].reshape(-1))
    length = len(places) // len(passages)
    order = np.random.default_rng(seed).permutation(len(places))
    kept: list[np.ndarray] = []
    chosen, start = np.empty(0, np.int64), 0
    for logits, labels in _logits(model, windows, batch_size):
        if not start:
            most = max(1, numbers // logits.shape[-1])
            chosen = np.sort(order[:most])
        here = places[chosen] - start
        here = here[(here >= 0) & (here < labels.size)]
        kept.append(np.asarray(logits).reshape(-1, logits.shape[-1])[here].astype(np.float32))
        start += labels.size
    labels = windows["labels"].reshape(-1)[places[chosen]]
    return TokenLogits(np.concatenate(kept), labels, chosen // length)


def _cut(passages: np.ndarray, block: int) -> dict[str, np.ndarray]:
    """The windows of all passages, in order; `where` marks each token once."""
    if not len(passages) or passages.shape[1] < 2:
        raise ValueError(
            "passages must be [P, L + 1], at least one of two tokens, got shape "
            f"{passages.shape}; give a longer text"
        )
    length = min(block, passages.shape[1] - 1)
    cut = [covering_windows(p, length=length, stride=max(1, length // 2)) for p in passages]
    return {name: np.concatenate([each[name] for each in cut]) for name in cut[0]}


def _logits(
    model: Any, windows: dict[str, np.ndarray], batch_size: int
) -> Iterator[tuple[Any, np.ndarray]]:
    """Logits [B, T, V] and labels [B, T] in batches, the last one padded."""
    score = _scorer(model)
    for batch in padded_batches(windows, batch_size=min(batch_size, len(windows["tokens"]))):
        yield score(batch["tokens"]), batch["labels"]


def _scorer(model: Any) -> Callable[[Any], Any]:
    if isinstance(model, nnx.Module):
        return partial(_score_module, *nnx.split(model))
    return jax.jit(model)


@partial(jax.jit, static_argnums=0)
def _score_module(graph: Any, state: Any, tokens: Any) -> Any:
    return nnx.merge(graph, state)(tokens)


@jax.jit
def _read(logits: Any, labels: Any, temperatures: Any) -> tuple[Any, Any, Any]:
    """Confidence, hits and nats, [temperatures, B, T]."""
    top = jnp.argmax(logits, axis=-1)

    def one(temperature):
        scaled = logits.astype(jnp.float32) / temperature
        return jnp.exp(-softmax_cross_entropy(scaled, top)), softmax_cross_entropy(scaled, labels)

    sure, nats = jax.lax.map(one, temperatures)
    return sure, jnp.broadcast_to(top == labels, sure.shape), nats
