"""Overlap of texts: exact, against brute force; planted spans found; shuffled text shares none."""

import numpy as np
import pytest

from xentjax.audit.text_overlap import longest_shared_span, shared_lines, shared_windows
from xentjax.data import load_manual


def windows(tokens, length):
    return [tuple(tokens[i : i + length]) for i in range(len(tokens) - length + 1)]


@pytest.mark.parametrize("length", [1, 2, 3, 5, 8, 11, 16])
@pytest.mark.parametrize("vocabulary", [2, 4])
def test_shared_windows_are_those_of_brute_force(length, vocabulary):
    rng = np.random.default_rng(length)
    test, train = rng.integers(0, vocabulary, 60), rng.integers(0, vocabulary, 200)
    known = set(windows(train, length))
    wanted = [window in known for window in windows(test, length)]
    assert shared_windows(test, train, length=length).hits.tolist() == wanted


@pytest.mark.parametrize("seed", range(12))
def test_the_longest_span_is_that_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    test, train = rng.integers(0, 3, 40 + seed), rng.integers(0, 3, 50)
    if seed % 3 == 0:
        test[5:30] = train[10:35]
    found = longest_shared_span(test, train)
    wanted = max(n for n in range(41) if set(windows(test, n)) & set(windows(train, n)))
    assert found.length == wanted
    own = test[found.test_start : found.test_start + wanted]
    np.testing.assert_array_equal(own, train[found.train_start : found.train_start + wanted])


@pytest.mark.parametrize(
    ("test", "train", "length"),
    [([1], [2], 0), ([1], [1], 1), ([1, 2, 3], [1, 2, 3], 3), ([], [1], 0), ([9, 1], [1, 2, 9], 1)],
)
def test_spans_of_the_smallest_texts(test, train, length):
    assert longest_shared_span(np.array(test, int), np.array(train, int)).length == length


def test_no_window_lies_across_the_seam_of_the_two_texts():
    found = shared_windows(np.array([2, 3, 1, 2]), np.array([0, 1]), length=2)
    assert not found.hits.any()  # "1 2" is the end of train and the beginning of the test


def test_a_planted_passage_is_found_in_a_real_text_and_shuffled_text_shares_none():
    tokens = np.frombuffer(load_manual().data[:60_000], np.uint8).astype(np.int32)
    train, test = tokens[:50_000], np.random.default_rng(0).permutation(tokens[50_000:])
    assert shared_windows(test, train, length=20).share == 0
    test[2000:3000] = train[7000:8000]
    found = shared_windows(test, train, length=20)
    # Besides the 981 windows of the passage, none but by chance: those that reach past its ends.
    assert found.hits[2000:2981].all()
    assert found.hits.sum() <= 981 + 4
    assert found.low < found.share < found.high
    span = longest_shared_span(test, train)
    assert span.length >= 1000
    assert span.test_start <= 2000


def test_the_interval_covers_the_share_of_a_long_text_that_repeats_in_blocks():
    rng, covered = np.random.default_rng(1), 0
    train = rng.integers(0, 1000, 5000)
    for seed in range(60):
        # Passages of 100 tokens, copied with chance 0.3: the unit that was sampled.
        test = np.concatenate(
            [
                train[:100] if rng.random() < 0.3 else rng.integers(1000, 2000, 100)
                for _ in range(60)
            ]
        )
        found = shared_windows(test, train, length=2, block=100, seed=seed)
        covered += found.low <= 0.3 * 0.99 <= found.high
    # At 95 %, with 2 points lost to the percentile bootstrap on 60 blocks: binomial(60, 0.93).
    assert covered >= 48


def test_a_text_of_one_block_has_no_interval():
    found = shared_windows(np.arange(30), np.arange(30), length=5)
    assert (found.share, found.low, found.high) == (1, 0, 1)


def test_lines_count_from_their_shortest_length_on():
    found = shared_lines(
        "  return x\nreturn x\nlong and shared\nlong and own\n",
        "return x\nlong and shared",
        shortest=9,
    )
    assert (found.lines, found.shared, found.commonest) == (2, 1, ("long and shared",))
    assert shared_lines("", "x").lines == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shared_windows(np.arange(3), np.arange(9), length=4), "at least length = 4"),
        (lambda: shared_windows(np.arange(3), np.arange(9), length=0), "at least 1"),
        (lambda: shared_lines("a", "b", shortest=0), "shortest must be at least 1"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_ids_beyond_the_whole_numbers_of_floats_stay_apart():
    test, train = np.array([2**60 + 1, 5], np.uint64), np.array([2**60, 5], np.int64)
    assert shared_windows(test, train, length=1).hits.tolist() == [False, True]
