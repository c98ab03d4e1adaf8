"""Windows hold consecutive tokens and their successors, and never leave their array."""

import numpy as np
import pytest

from xentjax.data import TokenWindows


@pytest.mark.parametrize("stride", [1, 3, 4, 9])
@pytest.mark.parametrize("n", [5, 6, 12, 13, 14])
def test_windows_are_the_slices_at_every_stride(n, stride):
    tokens, length = np.arange(n) * 10, 4
    windows = TokenWindows(tokens, length, stride=stride)
    starts = [start for start in range(0, n, stride) if start + length + 1 <= n]
    assert len(windows) == len(starts)
    for window, start in zip((windows[i] for i in range(len(windows))), starts, strict=True):
        np.testing.assert_array_equal(window["tokens"], tokens[start : start + length])
        np.testing.assert_array_equal(window["labels"], tokens[start + 1 : start + length + 1])


def test_stride_of_length_predicts_every_token_once():
    windows = TokenWindows(np.arange(41), 8, stride=8)
    labels = np.concatenate([windows[i]["labels"] for i in range(len(windows))])
    np.testing.assert_array_equal(labels, np.arange(1, 41))


def test_take_gathers_what_indexing_gives():
    windows = TokenWindows(np.arange(200, dtype=np.uint8), 7, stride=2)
    rows = np.array([5, 0, 5, 90])
    taken = windows.take(rows)
    for name in ("tokens", "labels"):
        assert taken[name].dtype == np.int32
        np.testing.assert_array_equal(taken[name], np.stack([windows[row][name] for row in rows]))


def test_batches_are_copies_of_the_data():
    tokens = np.arange(10, dtype=np.int32)
    windows = TokenWindows(tokens, 3)
    windows.take(np.array([0]))["tokens"][:] = -1
    windows[0]["tokens"][:] = -1
    np.testing.assert_array_equal(tokens, np.arange(10))


@pytest.mark.parametrize(
    ("tokens", "length", "stride", "message"),
    [
        (np.arange(4), 4, 1, r"length \+ 1 = 5.*got 4"),
        (np.arange(9.0), 4, 1, "float64"),
        (np.zeros((9, 1), int), 4, 1, r"\(9, 1\)"),
        (np.arange(9), 0, 1, "length=0"),
        (np.arange(9), 4, 0, "stride=0"),
    ],
)
def test_bad_windows_are_refused(tokens, length, stride, message):
    with pytest.raises(ValueError, match=message):
        TokenWindows(tokens, length, stride=stride)
