"""Sequences: their log-probability, their labels, and packed rows that equal the texts apart."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.sequence import (
    next_token_labels,
    segment_mask,
    segment_positions,
    sequence_log_prob,
)

VOCAB, WIDTH, LONGEST = 11, 8, 6
EPS = 2.0**-23


def attend(weights, tokens, positions, mask):
    """Logits [B, T, V] of one layer of causal attention with learned positions."""
    rows = weights["tokens"][tokens] + weights["positions"][positions]
    query, key, value = (rows @ weights[name] for name in ("query", "key", "value"))
    scores = jnp.einsum("btd,bsd->bts", query, key)
    mixed = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf)) @ value
    return (rows + mixed) @ weights["tokens"].T


def draw_weights(rng):
    shapes = {"tokens": (VOCAB, WIDTH), "positions": (LONGEST, WIDTH)}
    shapes |= dict.fromkeys(("query", "key", "value"), (WIDTH, WIDTH))
    return {name: jnp.asarray(rng.normal(size=s), jnp.float32) for name, s in shapes.items()}


@jax.jit
def packed_loss(weights, tokens, segment_ids):
    logits = attend(weights, tokens, segment_positions(segment_ids), segment_mask(segment_ids))
    labels, where = next_token_labels(tokens, segment_ids)
    return softmax_cross_entropy(logits, labels, where=where, reduction="sum")


def test_packed_texts_cost_and_pull_what_they_do_apart():
    rng = np.random.default_rng(0)
    weights, lengths = draw_weights(rng), ((3, 5, 2), (6, 1, 4))
    texts = [[rng.integers(VOCAB, size=n) for n in row] for row in lengths]
    packed, ids = np.zeros((2, 12), np.int32), np.zeros((2, 12), np.int32)
    apart, apart_ids = np.zeros((6, LONGEST), np.int32), np.zeros((6, LONGEST), np.int32)
    for r, row in enumerate(texts):
        start = 0
        for i, text in enumerate(row):
            place = slice(start, start := start + len(text))
            packed[r, place], ids[r, place] = text, i + 1
            apart[3 * r + i, : len(text)], apart_ids[3 * r + i, : len(text)] = text, 1
    packed[1, 11], ids[1, 11] = 5, 0
    # Positions of padding go on counting; no row is longer than the table.
    value, slope = jax.value_and_grad(packed_loss)(weights, packed, ids)
    wanted, wanted_slope = jax.value_and_grad(packed_loss)(weights, apart, apart_ids)
    # 15 predicted tokens of cost near 5, logits near 20.
    np.testing.assert_allclose(value, wanted, rtol=16 * EPS * 20)
    for name, got in slope.items():
        scale = np.abs(wanted_slope[name]).max()
        np.testing.assert_allclose(got, wanted_slope[name], rtol=0, atol=64 * 20 * EPS * scale)


def test_labels_end_with_rows_segments_and_padding():
    tokens = np.array([[5, 6, 7, 8, 9, 3], [1, 2, 3, 4, 5, 6]], np.uint8)
    labels, where = next_token_labels(tokens)
    np.testing.assert_array_equal(labels[:, :-1], tokens[:, 1:])
    np.testing.assert_array_equal(labels[:, -1], -100)
    np.testing.assert_array_equal(where, np.arange(6)[None] < [[5], [5]])
    ids = np.array([[1, 1, 2, 2, 0, 0], [3, 3, 3, 1, 3, 3]])
    labels, where = next_token_labels(tokens, ids, ignore_index=-1)
    np.testing.assert_array_equal(labels, [[6, -1, 8, -1, -1, -1], [2, 3, -1, -1, 6, -1]])
    np.testing.assert_array_equal(where, labels != -1)


def test_positions_and_mask_of_segments():
    # An id used again, after another, is another text.
    ids = np.array([[1, 1, 2, 2, 2, 0], [3, 3, 1, 3, 3, 3]])
    positions = segment_positions(ids)
    np.testing.assert_array_equal(positions, [[0, 1, 0, 1, 2, 0], [0, 1, 0, 0, 1, 2]])
    mask = segment_mask(ids)
    assert mask.shape == (2, 6, 6)
    # Each token sees exactly those from its position 0 on to itself.
    np.testing.assert_array_equal(mask.sum(-1), positions + 1)
    np.testing.assert_array_equal(mask, mask & np.tri(6, dtype=bool)[None])
    np.testing.assert_array_equal(segment_mask(np.ones(4, int)), np.tri(4, dtype=bool))


def test_sequence_log_prob_sums_or_averages_what_counts():
    rng = np.random.default_rng(1)
    logits = jnp.asarray(rng.normal(size=(3, 4, VOCAB)), jnp.float32)
    labels, where = rng.integers(VOCAB, size=(3, 4)), np.arange(4)[None] < [[4], [1], [0]]
    tokens = -softmax_cross_entropy(logits, labels)
    exact = np.asarray(logits, np.float64)
    exact = exact - np.logaddexp.reduce(exact, -1, keepdims=True)
    exact = np.take_along_axis(exact, labels[..., None], -1)[..., 0]
    total = np.sum(exact, -1, where=where)
    # Four terms near 3.
    np.testing.assert_allclose(sequence_log_prob(tokens, where=where), total, atol=16 * 3 * EPS)
    mean = sequence_log_prob(tokens, where=where, normalize=True)
    np.testing.assert_allclose(mean, total / np.array([4, 1, 1]), atol=16 * 3 * EPS)
    np.testing.assert_allclose(sequence_log_prob(tokens)[0], mean[0] * 4, rtol=8 * EPS)
    assert mean[2] == 0
    assert sequence_log_prob(tokens.astype(jnp.bfloat16)).dtype == jnp.float32


def test_masked_tokens_reach_nothing():
    tokens = jnp.array([[-1.0, jnp.nan, -jnp.inf], [jnp.nan, jnp.nan, jnp.nan]])
    where = jnp.array([[True, False, False], [False, False, False]])
    total = lambda x: jnp.sum(sequence_log_prob(x, where=where, normalize=True))  # noqa: E731
    value, slope = jax.value_and_grad(total)(tokens)
    assert value == -1
    np.testing.assert_array_equal(slope, [[1, 0, 0], [0, 0, 0]])


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="token_log_probs must be floating point, got int32"):
        sequence_log_prob(jnp.array([1, 2]))
    with pytest.raises(ValueError, match="where must be broadcastable"):
        sequence_log_prob(jnp.zeros((2, 3)), where=jnp.ones((2, 2), bool))
    with pytest.raises(ValueError, match="segment_ids must have the shape of tokens: got"):
        next_token_labels(jnp.arange(4), jnp.arange(3))
    with pytest.raises(TypeError, match="segment_ids must be integers, got float32"):
        segment_mask(jnp.ones(3))
    with pytest.raises(ValueError, match=r"tokens must have shape \[\*batch, T\], got a scalar"):
        next_token_labels(jnp.array(1))


def test_ids_beyond_32_bits_are_refused_not_merged():
    ids = np.array([2**40, 2**40, 2**41, 2**41])  # clamped or wrapped, they would be one text
    for read in (segment_positions, segment_mask, lambda x: next_token_labels(np.arange(4), x)):
        with pytest.raises(ValueError, match=r"segment_ids must fit int32, got 1099511627776 to "):
            read(ids)
    halves = np.array([2**31 + 1, 2**31 + 2], np.uint32)  # which fit as they are
    np.testing.assert_array_equal(segment_positions(halves), [0, 0])


def test_what_is_no_log_probability_of_tokens_is_refused():
    with pytest.raises(TypeError, match=r"pass \.log_prob"):
        inspect.unwrap(sequence_log_prob)((jnp.zeros(3), jnp.zeros(3)))
    with pytest.raises(ValueError, match="not the loss"):
        sequence_log_prob(jnp.array([0.5, 1.0]))
