"""Token losses: what each token of a text cost a language model, exactly and once.

The ground of every audit of a language model: memorized text is cheap, canaries are ranked by what
they cost, coloured text shows it.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Int

from xentjax.audit.given import Given, finite_of, tokens_of
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.train.evaluate import covering_windows


def text_losses(
    model: Any, tokens: Given, *, block: int, batch_size: int = 64
) -> Float[np.ndarray, " predicted"]:
    r"""The cross-entropy of every token of one text but the first, in nats.

        l_t = −log p(x_t | tokens before it, at least block/2 of them where there are as many)

    Prefer it to a mean loss where it matters which tokens are cheap or dear.

    Args:
        model: a GPT in evaluation mode: an nnx module, tokens [B, T] → logits [B, T, V].
        tokens: [N] integers in [0, V), N ≥ 2.
        block: the longest context the model takes, T ≥ 1.
        batch_size: windows in one pass; memory grows with it, figures do not change beyond
            roundings.

    Returns:
        [N − 1] float32 nats; number i is the loss of token i + 1.

    Raises:
        TypeError: if tokens are not integers.
        ValueError: if tokens are not one-dimensional, of the vocabulary, or fewer than two,
            or block or batch_size is below 1.

    Example:
        >>> from xentjax.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=4, width=8, heads=1, layers=1), rngs=nnx.Rngs(0))
        >>> model.embedding[...] = jnp.zeros((4, 8))  # all logits are 0: each token costs ln 4
        >>> [f"{loss:.4f}" for loss in text_losses(model, np.array([3, 1, 2]), block=64)]
        ['1.3863', '1.3863']

    See Also:
        `passage_losses` for many texts of one length, each by itself.
    """
    text = tokens_of(tokens, "tokens", "N")
    return passage_losses(model, text[None, :], block=block, batch_size=batch_size)[0]


def passage_losses(
    model: Any, passages: Given, *, block: int, batch_size: int = 64
) -> Float[np.ndarray, "passages predicted"]:
    r"""The cross-entropy of every token but the first of each passage, in nats.

    No passage sees another. Within one, each token is predicted once, after at least half a block
    of context where there is as much.

    Args:
        model: as for `text_losses`.
        passages: [P, N] integers in [0, V), N ≥ 2.
        block: the longest context the model takes.
        batch_size: windows in one pass.

    Returns:
        [P, N − 1] float32 nats.

    Raises:
        ValueError: as `text_losses`.

    Example:
        >>> from xentjax.models import GPT, GPTConfig
        >>> model = GPT(GPTConfig(vocab_size=4, width=8, heads=1, layers=1), rngs=nnx.Rngs(0))
        >>> passage_losses(model, np.zeros((5, 9), np.int32), block=4).shape
        (5, 8)
    """
    passages = _checked(passages, block, batch_size)
    length = min(block, passages.shape[1] - 1)
    cut = [covering_windows(p, length=length, stride=max(1, length // 2)) for p in passages]
    # All passages are cut at the same places, so their windows stack.
    tokens, labels = (np.concatenate([c[name] for c in cut]) for name in ("tokens", "labels"))
    losses = window_losses(model, tokens, labels, batch_size=batch_size)
    # Windows are in order and each masks what its predecessor reached, so the losses kept are in
    # the order of the text.
    keep = cut[0]["where"]
    return losses.reshape(len(passages), *keep.shape)[:, keep]


def window_losses(
    model: Any,
    tokens: Int[np.ndarray, "windows time"],
    labels: Int[np.ndarray, "windows time"],
    *,
    batch_size: int = 64,
) -> Float[np.ndarray, "windows time"]:
    """The cross-entropy of given labels after given tokens, window by window, in nats.

    Prefer it where what is read and what is to be predicted differ, as with damaged input.

    Args:
        model: as for `text_losses`.
        tokens: [W, T] integers in [0, V), T at most the longest context.
        labels: [W, T], the token after each.
        batch_size: windows in one pass.

    Returns:
        [W, T] float32 nats.

    Raises:
        ValueError: if a token or label is outside the vocabulary.
    """
    graphdef, state = nnx.split(model)
    size = min(batch_size, len(tokens))
    # Zeros fill the last batch, so that one compiled program serves all.
    filled = [np.pad(x, ((0, -len(x) % size), (0, 0))) for x in (tokens, labels)]
    losses = np.concatenate(
        [
            _losses(graphdef, state, *(jnp.asarray(x[start : start + size]) for x in filled))
            for start in range(0, len(filled[0]), size)
        ]
    )[: len(tokens)]
    bad = np.argwhere(np.isnan(losses))
    if bad.size:
        window, place = bad[0]
        raise ValueError(
            f"the model gives NaN for token {labels[window, place]} after token "
            f"{tokens[window, place]}: one of them is outside its vocabulary, or its parameters "
            "are not finite"
        )
    return losses


def text_pieces(tokenizer: Any, tokens: Given, losses: Given) -> Sequence[tuple[str, float]]:
    """Tokens as readable pieces of text with their losses, for `ColouredText`.

    A character that several byte tokens make up is one piece, with the sum of their losses.

    Args:
        tokenizer: has `decode`.
        tokens: [N] integers.
        losses: [N] nats, one a token.

    Returns:
        (text, nats) in order; the texts joined are the decoded text.

    Raises:
        TypeError: if tokens are not integers.
        ValueError: if there are not as many losses as tokens, or a loss is NaN.

    Example:
        >>> from xentjax.data import ByteTokenizer
        >>> tokens = ByteTokenizer().encode("né").astype(np.int32)  # é is two bytes
        >>> text_pieces(ByteTokenizer(), tokens, np.array([1.0, 2.0, 0.5], np.float32))
        [('n', 1.0), ('é', 2.5)]
    """
    text = tokens_of(tokens, "tokens", "N", may_be_empty=True)
    nats = finite_of(losses, "losses", "N", text.shape, infinite=True)
    pieces, start = [], 0
    for stop in range(1, len(text) + 1):
        piece = tokenizer.decode(text[start:stop])
        # UTF-8 has at most four bytes a character: what is undecodable by then is no character.
        whole = "\ufffd" not in piece or stop - start == 4 or stop == len(text)
        if whole:
            pieces.append((piece, float(nats[start:stop].sum())))
            start = stop
    return pieces


def _checked(passages: Given, block: int, batch_size: int) -> np.ndarray:
    found = tokens_of(passages, "tokens", "P N")
    for name, number in (("block", block), ("batch_size", batch_size)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1, got {number}")
    if found.shape[1] < 2:
        raise ValueError(
            "tokens must be at least two a passage, one to predict from and one to predict, got "
            f"{found.shape[1]}"
        )
    return found.astype(np.int32)


@partial(jax.jit, static_argnums=0)
def _losses(graphdef, state, tokens, labels):
    return softmax_cross_entropy(nnx.merge(graphdef, state)(tokens), labels)
