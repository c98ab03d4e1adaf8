"""Held-out text that train has too flatters the test loss, and is told apart from new text."""

import dataclasses
from collections import Counter

import jax
import numpy as np
import pytest
from flax import nnx

from tests.audit.overfit_gpt import random_sentences
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.sections.new_text import new_text_part
from xentjax.audit.sections.passage_membership import _passages
from xentjax.audit.shared_tokens import repeated_tokens, shared_tokens
from xentjax.data import ByteTokenizer

RNG = np.random.default_rng(0)
# The alphabet over and over, and letters at random, which share no passage by chance.
TRAIN = (97 + np.arange(8192) % 26).astype(np.int32)
NEW, HELD = (RNG.integers(97, 123, 8192).astype(np.int32) for _ in range(2))


class Alphabet(nnx.Module):
    """Gives the next letter of the alphabet a logit of 8 and all else 0."""

    def __call__(self, tokens):
        return 8.0 * jax.nn.one_hot(97 + (tokens - 96) % 26, 256)


@pytest.fixture(scope="module")
def subject():
    tokens = {"train": TRAIN, "validation": HELD, "test": np.concatenate([TRAIN, NEW])}
    return LanguageModel("tiny", Alphabet(), ByteTokenizer(), tokens, 16)


def test_shared_tokens_equal_a_search_for_every_window():
    rng = np.random.default_rng(1)
    test, train = rng.integers(0, 3, 60), rng.integers(0, 3, 50)
    wanted = np.zeros(60, bool)
    known = {tuple(train[k : k + 4]) for k in range(47)}
    for k in range(57):
        wanted[k : k + 4] |= tuple(test[k : k + 4]) in known
    assert 0 < wanted.sum() < 60
    np.testing.assert_array_equal(shared_tokens(test, train, length=4), wanted)
    assert not shared_tokens(test[:3], train, length=4).any()


def test_repeated_tokens_equal_a_count_of_every_window():
    tokens = np.random.default_rng(2).integers(0, 3, 60)
    windows = [tuple(tokens[k : k + 4]) for k in range(57)]
    wanted = np.zeros(60, bool)
    for k, window in enumerate(windows):
        wanted[k : k + 4] |= windows.count(window) > 1
    assert 0 < wanted.sum() < 60
    np.testing.assert_array_equal(repeated_tokens(tokens, length=4), wanted)
    assert not repeated_tokens(tokens[:3], length=4).any()


def test_the_loss_on_new_text_is_that_of_the_new_half(subject):
    part = new_text_part(subject, bound=0.1, seed=0)
    fresh, kind = part.measures
    test = subject.tokens["test"]
    losses = np.log(np.exp(8) + 255) - 8 * (test[1:] == 97 + (test[:-1] - 96) % 26)
    truth = losses[len(TRAIN) - 1 :].mean()  # loss k is of token k + 1
    # Sums of 16 k losses below 8.1 in float32: 16 k roundings of 6e-8 at the worst.
    np.testing.assert_allclose(fresh.value, truth, rtol=1e-3)
    np.testing.assert_allclose(kind.value, truth - losses.mean(), rtol=2e-3)
    assert fresh.low <= truth <= fresh.high
    # 7.7 nats on 16 of 32 blocks and none on the others: 7.7 · (1 − share of new blocks), and of
    # 32 draws the share has a deviation of 0.088; 3.8 ± 1.3, and as much again for the bootstrap.
    assert 2 < kind.low < kind.high < 5.7
    assert part.verdict == "act"
    assert "50.0 % of the test's tokens" in part.sentence


def test_a_text_that_is_all_new_adds_nothing(subject):
    clean = dataclasses.replace(subject, tokens={**subject.tokens, "test": NEW})
    assert new_text_part(clean, bound=0.1, seed=0).measures == ()


def test_a_text_that_train_has_wholly_is_unmeasured(subject):
    copied = dataclasses.replace(subject, tokens={**subject.tokens, "test": TRAIN[:7000]})
    part = new_text_part(copied, bound=0.1, seed=0)
    assert not part.measures
    assert "0 tokens outside" in part.unmeasured[0]


def test_copies_of_training_text_are_no_passages_never_seen(subject):
    train = np.concatenate([NEW[:4096], HELD, NEW[:2048]])  # half of the first part twice
    test = np.concatenate([NEW, RNG.integers(97, 123, 4096).astype(np.int32)])
    tokens = {"train": train, "validation": test[::-1].copy(), "test": test}
    passages = _passages(dataclasses.replace(subject, tokens=tokens))
    counts = Counter(tuple(train[k : k + 50]) for k in range(len(train) - 49))
    assert len({len(found) for found in passages.values()}) == 1
    for split, most in (("train", 1), ("test", 0)):
        for row in passages[split]:
            assert max(counts[tuple(row[k : k + 50])] for k in range(len(row) - 49)) == most


def test_sentences_of_the_same_words_are_new():
    train, test = (
        ByteTokenizer().encode(random_sentences(200, seed=seed)).astype(np.int32) for seed in (0, 1)
    )
    assert not shared_tokens(test, train).any()
