"""Tokenizers round-trip every text and name what they do not know."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xentjax.data import ByteTokenizer, CharTokenizer, load_manual


@given(st.text())
def test_bytes_round_trip_any_text(text):
    tokens = ByteTokenizer().encode(text)
    assert tokens.tolist() == list(text.encode())
    assert ByteTokenizer().decode(tokens) == text


def test_bytes_take_bytes_as_they_are():
    assert ByteTokenizer().encode(b"\x00\xff").tolist() == [0, 255]
    assert ByteTokenizer().decode(np.array([255, 65])) == "\ufffdA"


@given(st.text(min_size=1))
def test_characters_round_trip_their_training_text(text):
    tokenizer = CharTokenizer.train(text)
    tokens = tokenizer.encode(text)
    # The definition, one character at a time.
    vocabulary = sorted(set(text))
    assert tokens.tolist() == [vocabulary.index(character) for character in text]
    assert tokenizer.decode(tokens) == text
    assert tokenizer.vocab_size == len(vocabulary)


def test_characters_round_trip_the_manual():
    text = load_manual().text
    tokenizer = CharTokenizer.train(text)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("unknown", ["!", "z", "m"])  # before, after and among the vocabulary
def test_unknown_character_is_named_with_its_place(unknown):
    with pytest.raises(ValueError, match=f"character '{unknown}' at position 2"):
        CharTokenizer.train("abn").encode("ab" + unknown)


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharTokenizer.train("naïve")])
def test_tokenizers_survive_json(tokenizer):
    saved = json.loads(json.dumps(tokenizer.to_dict()))
    assert type(tokenizer).from_dict(saved) == tokenizer


def test_restoring_the_other_kind_is_refused():
    with pytest.raises(ValueError, match="kind 'char', got 'byte'"):
        CharTokenizer.from_dict(ByteTokenizer().to_dict())


@pytest.mark.parametrize("characters", ["", "ba", "aa"])
def test_vocabulary_must_be_sorted_and_distinct(characters):
    with pytest.raises(ValueError, match="sorted, distinct"):
        CharTokenizer(characters)


@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), CharTokenizer.train("ab")])
@pytest.mark.parametrize("token", [-1, 256])
def test_decoding_a_token_outside_the_vocabulary_is_refused(tokenizer, token):
    with pytest.raises(ValueError, match=f"got {token} at position 1"):
        tokenizer.decode(np.array([0, token]))


def test_decoding_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"shape \(1, 2\)"):
        ByteTokenizer().decode(np.array([[1, 2]]))
