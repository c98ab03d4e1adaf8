"""Replacement damages what is read and nothing else, as much as asked."""

import numpy as np
import pytest

from tests.audit.overfit_gpt import learn_by_heart, make_gpt, random_sentences
from xentjax.audit.replacement import mean_over_windows, replace_at_random, replacement_losses
from xentjax.audit.token_losses import passage_losses
from xentjax.data import ByteTokenizer

TEXT = ByteTokenizer().encode(random_sentences(12, seed=0)).astype(np.int32)
WINDOWS = np.stack([TEXT[start : start + 33] for start in range(0, 396, 33)])


def test_as_many_are_replaced_as_asked():
    tokens = np.zeros((100, 100), np.int32)
    replaced = replace_at_random(tokens, 0.3, np.array([5, 6]), np.random.default_rng(0))
    # Binomial(10000, 0.3): five standard deviations are 230.
    assert abs((replaced > 0).sum() - 3000) < 230
    assert set(np.unique(replaced)) == {0, 5, 6}
    np.testing.assert_array_equal(
        replace_at_random(tokens, 0.0, np.array([5]), np.random.default_rng(0)), tokens
    )


def test_what_is_replaced_at_one_share_is_replaced_at_every_larger():
    tokens = np.zeros(1000, np.int32)
    draw = [
        replace_at_random(tokens, s, np.array([1]), np.random.default_rng(3)) for s in (0.1, 0.4)
    ]
    assert (draw[0] <= draw[1]).all()


def test_without_replacement_it_is_the_plain_loss_and_damage_costs_a_model_that_reads():
    model = learn_by_heart(make_gpt(256), TEXT, steps=150)
    choices = np.unique(TEXT)
    clean, damaged = replacement_losses(model, WINDOWS, (0.0, 0.5), choices=choices)
    plain = passage_losses(model, WINDOWS, block=32).mean()
    assert clean.value == pytest.approx(plain, abs=1e-5)
    assert clean.low <= clean.value <= clean.high
    assert damaged.low > clean.high


def test_the_interval_draws_windows_and_not_tokens():
    # Ten windows of equal tokens: repeating tokens within them adds no information.
    base = np.random.default_rng(0).normal(5, 1, (10, 1)).astype(np.float32)
    few, many = (mean_over_windows(np.repeat(base, n, axis=1), seed=0) for n in (1, 50))
    assert few.low == pytest.approx(many.low, abs=1e-5)
    assert few.high == pytest.approx(many.high, abs=1e-5)


def test_bad_shares_are_named():
    with pytest.raises(ValueError, match="share must lie"):
        replace_at_random(WINDOWS, 1.5, np.array([1]), np.random.default_rng(0))
    with pytest.raises(ValueError, match="at least two tokens"):
        replacement_losses(None, WINDOWS[:, :1], (0.1,), choices=np.array([1]))
