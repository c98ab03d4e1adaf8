"""Passages cover the text once, in order, and score what the model says."""

import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.audit.passage_scores import passage_outcomes


def successor(tokens):
    """Sure that each token is followed by the next number of five."""
    return 50.0 * jnp.eye(5)[(tokens + 1) % 5]


def test_losses_are_where_the_text_departs_from_the_model():
    tokens = np.arange(481) % 5
    tokens[250] = tokens[251]  # within the 32nd of 60 passages of eight tokens
    found = passage_outcomes(successor, tokens, block=8, length=8)
    wrong = np.flatnonzero(found.hits < 1)
    assert wrong.tolist() == [31]
    # Two predictions of eight are wrong, each by a margin of 50 nats: the token, and the one after.
    assert found.losses[31] == pytest.approx(2 * 50 / 8)
    assert found.losses[np.arange(60) != 31].max() < 1e-6


def test_long_texts_are_cut_to_long_passages_evenly_spaced():
    tokens = np.random.default_rng(0).integers(0, 5, 40_001)
    found = passage_outcomes(lambda t: jnp.zeros((*t.shape, 5)), tokens, block=32, most=10)
    np.testing.assert_allclose(found.losses, np.log(5), rtol=1e-6)
    # Shares of hits of 1024 tokens, of class 0 of five: 0.2 ± 4 · √(0.16/1024).
    assert found.hits.shape == (10,)
    assert np.all(np.abs(found.hits - 0.2) < 0.05)


def test_a_text_shorter_than_a_window_is_one_passage():
    assert passage_outcomes(successor, np.arange(4), block=64).losses.shape == (1,)
    with pytest.raises(ValueError, match="tokens must be at least two"):
        passage_outcomes(successor, np.arange(1), block=4)
