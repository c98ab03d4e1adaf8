"""Suffixes are sorted as Python sorts them, and matches are those that str.find gives."""

import numpy as np
import pytest

from xentjax.audit.suffix_array import matching_lengths, sort_suffixes


def draw(rng, length, symbols):
    return rng.integers(0, symbols, length)


@pytest.mark.parametrize("symbols", [1, 2, 5, 300])
@pytest.mark.parametrize("length", [1, 2, 17, 64])
def test_suffixes_are_in_the_order_of_lists(length, symbols):
    tokens = draw(np.random.default_rng(length), length, symbols)
    wanted = sorted(range(length), key=lambda start: tokens[start:].tolist())
    assert sort_suffixes(tokens).order.tolist() == wanted


def longest_by_search(text, query):
    for length in range(len(query), 0, -1):
        if query[:length] in text:
            return length
    return 0


@pytest.mark.parametrize("symbols", [1, 2, 4, 90])
def test_lengths_are_those_of_a_plain_search(symbols):
    rng = np.random.default_rng(symbols)
    text, queries = draw(rng, 200, symbols), draw(rng, 60, symbols + 1).reshape(3, 20)
    queries[0, 3:15] = text[-12:]  # a span at the very end of the text
    found = matching_lengths(sort_suffixes(text), queries)
    letters = "".join(map(chr, text + 65))
    for query, lengths in zip(queries, found, strict=True):
        spelled = "".join(map(chr, query + 65))
        wanted = [longest_by_search(letters, spelled[start:]) for start in range(20)]
        assert lengths.tolist() == wanted
    assert found[0, 3] >= 12


def test_a_planted_passage_is_found_whole_and_foreign_tokens_never():
    rng = np.random.default_rng(1)
    text = draw(rng, 5000, 20)
    query = np.full((1, 50), 99)
    query[0, 5:45] = text[1234:1274]
    found = matching_lengths(sort_suffixes(text), query)[0]
    assert found.max() == 40
    assert found.argmax() == 5
    assert not found[:5].any()
    assert not found[45:].any()


@pytest.mark.parametrize("bad", [np.zeros(0, np.int64), np.zeros((2, 2), np.int64)])
def test_what_is_no_sequence_is_refused(bad):
    with pytest.raises(ValueError, match="tokens must be at least one"):
        sort_suffixes.__wrapped__(bad)
    with pytest.raises(ValueError, match="negative"):
        sort_suffixes(np.array([1, -1]))


def test_the_end_of_the_text_is_no_token():
    with pytest.raises(ValueError, match="query must not be negative"):
        matching_lengths(sort_suffixes(np.array([1])), np.array([[1, -1]]))
