"""Texts packed into the rows of a GPT train as they would apart."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.losses.sequence import next_token_labels
from xentjax.models import GPT, GPTConfig
from xentjax.models.attention import packed_mask
from xentjax.train import cross_entropy

CONFIG = GPTConfig(vocab_size=50, block_size=16, layers=2, heads=2, width=32)
TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 50, (2, 16)), jnp.int32)
# Four texts of 7 tokens, with padding at the end of a row and inside one; an id used again.
IDS = jnp.array([[1] * 7 + [2] * 7 + [0, 0], [5] * 7 + [0, 0] + [5] * 7])
PLACES = [(0, 0), (0, 7), (1, 0), (1, 9)]
TEXTS = jnp.stack([TOKENS[row, start : start + 7] for row, start in PLACES])
# Made once, since a new objective compiles anew.
ALONE = cross_entropy(inputs="tokens", fused=False)
PACKED = {
    fused: cross_entropy(inputs=("tokens", "segment_ids"), fused=fused) for fused in (False, True)
}


@functools.cache
def sharpened(remat=None):
    """The parts of a model whose attention is far from uniform, so that a leak would tell."""
    model = GPT(dataclasses.replace(CONFIG, remat=remat), rngs=nnx.Rngs(3))
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    return graphdef, jax.tree.map(lambda x: 8 * x if x.ndim > 1 else 1.5 * x, params), rest


def batch_of(tokens, segment_ids=None):
    ids = {} if segment_ids is None else {"segment_ids": segment_ids}
    return {"tokens": tokens, **ids, **next_token_labels(tokens, segment_ids)._asdict()}


@functools.partial(jax.jit, static_argnames=("graphdef", "objective"))
@functools.partial(jax.value_and_grad, argnums=1, has_aux=True)
def total_loss(graphdef, params, rest, batch, objective):
    """((total, (weight, logits)), gradient)."""
    model = nnx.merge(graphdef, params, rest, copy=True)
    # The labels that `where` leaves out are none; any class does for them.
    batch = {**batch, "labels": jnp.maximum(batch["labels"], 0)}
    total, weight, _ = objective(model, batch, None)
    return total, (weight, model(batch["tokens"], segment_ids=batch.get("segment_ids")))


def packed_loss(tokens, segment_ids):
    return total_loss(*sharpened(), batch_of(tokens, segment_ids), PACKED[False])


def packed_logits(tokens, segment_ids):
    return packed_loss(tokens, segment_ids)[0][1][1]


@pytest.fixture(scope="module")
def apart():
    """The loss of the four texts in rows of their own, without segments."""
    return total_loss(*sharpened(), batch_of(TEXTS), ALONE)


@pytest.mark.parametrize(
    ("fused", "remat"),
    [
        (True, "block"),
        *(pytest.param(False, remat, marks=pytest.mark.slow) for remat in (None, "dots")),
    ],
)
def test_packed_loss_and_gradient_are_those_of_the_texts_apart(apart, fused, remat):
    batch = batch_of(TOKENS, IDS)
    (total, (weight, _)), grads = total_loss(*sharpened(remat), batch, PACKED[fused])
    (want_total, (want_weight, _)), want_grads = apart
    assert weight == want_weight == 4 * 6
    # Two layers deep: some 50 roundings of eps = 1.2e-7.
    np.testing.assert_allclose(total, want_total, rtol=6e-6)
    for got, want in zip(jax.tree.leaves(grads), jax.tree.leaves(want_grads), strict=True):
        # Another order of summation and other angles; relative to the largest entry.
        np.testing.assert_allclose(got, want, rtol=0, atol=5e-5 * float(jnp.abs(want).max()))


def test_a_text_has_the_logits_it_has_alone_wherever_it_begins(apart):
    # Rotary positions are relative: no restart at the beginning of a text.
    packed, alone = packed_logits(TOKENS, IDS), apart[0][1][1]
    got = jnp.stack([packed[row, start : start + 7] for row, start in PLACES])
    largest = float(jnp.abs(alone).max())
    # Angles up to 16, rounded to 16·eps = 2e-6 each, and some 50 roundings.
    np.testing.assert_allclose(got, alone, rtol=0, atol=2e-5 * largest)
    # It is the segments that keep them apart.
    together = packed_logits(TOKENS, jnp.ones_like(IDS))
    assert np.max(np.abs(together[0, 7:14] - alone[1])) > 0.01 * largest


def test_a_text_does_not_change_a_bit_with_its_neighbours():
    other = jnp.where(IDS == 2, TOKENS, (TOKENS + 1) % 50)
    before, after = (packed_logits(tokens, IDS) for tokens in (TOKENS, other))
    np.testing.assert_array_equal(before[0, 7:14], after[0, 7:14])
    assert np.all(np.max(np.abs(before - after)[0, :7], axis=-1) > 0)


def test_padding_is_finite_in_value_and_gradient():
    # Each token sees at least itself, in a row of padding alone too.
    (_, (weight, logits)), grads = packed_loss(TOKENS, IDS.at[1].set(0))
    assert weight == 2 * 6
    assert np.all(np.isfinite(logits))
    assert all(np.all(np.isfinite(grad)) for grad in jax.tree.leaves(grads))


@pytest.mark.parametrize("layers", [1, 3])
def test_the_blocks_share_one_mask(layers):
    model = GPT(dataclasses.replace(CONFIG, layers=layers), rngs=nnx.Rngs(0))
    program = jax.make_jaxpr(lambda ids: model(TOKENS, segment_ids=ids))(IDS)
    assert str(program).count("cumsum[") == 1


def test_segments_and_cached_keys_exclude_each_other():
    model = GPT(CONFIG, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match="segment_ids"):
        model.prefill(TOKENS, segment_ids=IDS)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("bad", [IDS[:, :5], IDS[:1], IDS.astype(float)])
def test_segment_ids_that_do_not_fit_the_tokens_are_refused(bad):
    message = r"segment_ids must be integers of the shape of tokens, \(2, 16\), got (int32|float32)"
    with pytest.raises(ValueError, match=message):
        packed_mask(bad, TOKENS)
