"""Batches visit every example once an epoch, in an order that is the seed's alone."""

import grain
import numpy as np
import pytest

from xentjax.data import batches, token_batches

ROWS = {"x": np.arange(23), "y": np.arange(23)[:, None] * np.ones((1, 2))}


def epoch_of(iterator, steps, name="x"):
    return [next(iterator)[name].tolist() for _ in range(steps)]


def test_an_epoch_visits_every_row_once():
    got = list(batches(ROWS, batch_size=5, seed=0, epochs=1, drop_remainder=False))
    assert [len(batch["x"]) for batch in got] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate([batch["x"] for batch in got]).tolist()) == list(range(23))
    assert got[0]["x"].tolist() != list(range(5))


def test_arrays_stay_together():
    for batch in batches(ROWS, batch_size=5, seed=1, epochs=2):
        np.testing.assert_array_equal(batch["y"], batch["x"][:, None] * np.ones((1, 2)))


def test_dropping_the_remainder_keeps_every_batch_whole_and_within_its_epoch():
    got = list(batches(ROWS, batch_size=5, seed=0, epochs=3))
    assert [len(batch["x"]) for batch in got] == [5] * 12
    for epoch in (got[:4], got[4:8], got[8:]):
        rows = np.concatenate([batch["x"] for batch in epoch])
        assert len(set(rows.tolist())) == 20


def test_each_epoch_has_its_own_order():
    iterator = batches(ROWS, batch_size=23, seed=0)
    first, second, third = epoch_of(iterator, 3)
    assert sorted(first) == sorted(second) == sorted(third)
    assert first != second != third != first


def test_neighbouring_seeds_share_no_order():
    orders = [
        tuple(order)
        for seed in range(3)
        for order in epoch_of(batches(ROWS, batch_size=23, seed=seed), 4)
    ]
    assert len(set(orders)) == 12


def test_without_shuffling_rows_come_in_order_for_ever():
    iterator = batches(ROWS, batch_size=10, seed=0, shuffle=False)
    first, second = list(range(10)), list(range(10, 20))
    assert epoch_of(iterator, 5) == [first, second, first, second, first]


def test_same_seed_same_batches():
    first, again = (batches(ROWS, batch_size=5, seed=7) for _ in range(2))
    assert epoch_of(first, 9) == epoch_of(again, 9)


@pytest.mark.parametrize("taken", [0, 3, 4, 11])
def test_saved_place_is_restored_in_a_new_iterator(taken):
    iterator = batches(ROWS, batch_size=5, seed=7)
    assert isinstance(iterator, grain.DatasetIterator)
    epoch_of(iterator, taken)
    state = iterator.get_state()
    want = epoch_of(iterator, 6)
    iterator.set_state(state)
    assert epoch_of(iterator, 6) == want
    fresh = batches(ROWS, batch_size=5, seed=7)
    fresh.set_state(state)
    assert epoch_of(fresh, 6) == want


def test_token_batches_visit_every_window_and_pair_each_token_with_the_next():
    tokens = np.arange(100, dtype=np.uint8)
    got = list(token_batches(tokens, length=8, batch_size=4, seed=0, epochs=1))
    assert len(got) == 92 // 4
    assert got[0]["tokens"].shape == (4, 8)
    starts = []
    for batch in got:
        assert batch["tokens"].dtype == np.int32
        np.testing.assert_array_equal(batch["labels"], batch["tokens"] + 1)
        starts += batch["tokens"][:, 0].tolist()
    assert sorted(starts) == list(range(92))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({}, {}, "at least one array"),
        ({"x": np.zeros(3), "y": np.zeros(4)}, {}, r"x: \(3,\), y: \(4,\)"),
        ({"x": np.array(3)}, {}, r"x: \(\)"),
        ({"x": np.zeros((0, 2))}, {}, "at least one row"),
        (ROWS, {"batch_size": 0}, "batch_size must be at least 1"),
        (ROWS, {"batch_size": 24}, "batch_size 24 exceeds the 23 examples"),
        (ROWS, {"seed": -1}, "seed must be non-negative"),
        (ROWS, {"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_bad_arguments_are_refused(arrays, options, message):
    with pytest.raises(ValueError, match=message):
        batches(arrays, **{"batch_size": 2, "seed": 0, **options})
