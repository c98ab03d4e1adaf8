"""Each token's loss is that of the model given its context, once, whatever the windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.token_losses import _losses, passage_losses, text_losses, text_pieces
from xentjax.data import ByteTokenizer, CharTokenizer
from xentjax.models import GPT, GPTConfig

BLOCK, VOCABULARY = 8, 12
TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, 61)


@pytest.fixture(scope="module")
def model():
    shape = GPTConfig(vocab_size=VOCABULARY, block_size=BLOCK, layers=2, heads=2, width=16)
    drawn = GPT(shape, rngs=nnx.Rngs(0))
    # Sharper than the initial weights, so that context matters.
    drawn.embedding[...] = 30 * drawn.embedding[...]
    drawn.eval()
    return drawn


def brute_force(model, tokens):
    """Token by token: float64 log-softmax after each context, filled up to one shape."""
    forward = jax.jit(lambda tokens: model(tokens))
    losses, start, reached = [], 0, BLOCK
    for t in range(1, len(tokens)):
        if t > reached:
            start = min(start + BLOCK // 2, len(tokens) - 1 - BLOCK)
            reached = start + BLOCK
        context = np.zeros((1, BLOCK), np.int32)
        context[0, : t - start] = tokens[start:t]
        logits = np.asarray(forward(jnp.asarray(context))[0, t - start - 1], np.float64)
        losses.append(np.logaddexp.reduce(logits) - logits[tokens[t]])
        if t > BLOCK:
            assert t - start > BLOCK // 2  # half a window of context
    return np.array(losses)


@pytest.mark.parametrize("length", [2, 5, 9, 13, 30])
def test_every_token_is_predicted_once_from_half_a_window(model, length):
    tokens = TOKENS[:length]
    losses = text_losses(model, tokens, block=BLOCK, batch_size=3)
    assert losses.shape == (length - 1,)
    assert losses.dtype == np.float32
    # Logits up to about 30 in float32: some roundings of 30 · 2⁻²⁴ ≈ 2e-6 each.
    np.testing.assert_allclose(losses, brute_force(model, tokens), atol=1e-4, rtol=1e-5)


def test_passages_do_not_see_each_other_and_batches_change_roundings_only(model):
    passages = TOKENS[:60].reshape(4, 15)
    together = passage_losses(model, passages, block=BLOCK, batch_size=5)
    alone = [text_losses(model, row, block=BLOCK) for row in passages]
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_one_compilation_serves_all_batches(model):
    text_losses(model, TOKENS, block=BLOCK, batch_size=4)
    before = _losses._cache_size()
    text_losses(model, TOKENS[:50], block=BLOCK, batch_size=4)  # 11 windows, not 14
    assert _losses._cache_size() == before


@pytest.mark.parametrize(
    ("tokens", "options", "wanted"),
    [
        (np.array([1]), {}, "at least two"),
        (np.array([1, -1]), {}, "not be negative"),
        (np.array([1, 2]), {"block": 0}, "block must be at least 1"),
        (np.array([1, VOCABULARY]), {}, "outside its vocabulary"),
        (np.zeros((1, 3, 2), np.int32), {}, "shape"),
    ],
)
def test_bad_input_is_named(model, tokens, options, wanted):
    with pytest.raises(ValueError, match=wanted):
        # Past the annotations, as a caller without a checker is.
        text_losses.__wrapped__(model, tokens, **{"block": BLOCK, **options})


@pytest.mark.parametrize("text", ["plain", "né €𝄞!", ""])
@pytest.mark.parametrize("kind", ["byte", "char"])
def test_pieces_join_to_the_text_and_keep_the_sum(text, kind):
    tokenizer = ByteTokenizer() if kind == "byte" else CharTokenizer.train(text + "x")
    tokens = tokenizer.encode(text).astype(np.int32)
    losses = np.arange(len(tokens), dtype=np.float32)
    pieces = text_pieces(tokenizer, tokens, losses)
    assert "".join(piece for piece, _ in pieces) == text
    assert len(pieces) == len(text)
    assert sum(loss for _, loss in pieces) == losses.sum()


def test_bytes_that_are_no_text_lose_nothing():
    tokens = np.array([255, 255, 65, 255, 66], np.int32)
    pieces = text_pieces(ByteTokenizer(), tokens, np.ones(5, np.float32))
    assert sum(loss for _, loss in pieces) == 5
    assert "".join(piece for piece, _ in pieces) == ByteTokenizer().decode(tokens)


def test_tokens_that_would_wrap_around_are_refused(model):
    with pytest.raises(ValueError, match="tokens must be below"):
        text_losses(model, np.array([1, 2**32 + 1, 2]), block=BLOCK)
