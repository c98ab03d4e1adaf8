"""Duplicates: distances of scipy, planted copies found, independent rows left alone."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits

from xentjax.audit import duplicates
from xentjax.audit.duplicates import (
    chance_share,
    conflicts,
    exact_groups,
    find_leaks,
    intrinsic_dimension,
    near_threshold,
    nearest_neighbours,
)


def test_every_copy_is_found_among_rows_that_lie_closer_than_float32_tells():
    rng = np.random.default_rng(0)
    # 20,000 numbers in [0, 1] are 5e-5 apart; the search tells 3e-4 of the spread.
    train = rng.random((20_000, 1))
    found = find_leaks(train[:300], train, threshold=0.0)
    assert found.exact.all()
    assert found.near.all()
    np.testing.assert_array_equal(found.twins, np.arange(300))
    apart = find_leaks(rng.random((300, 1)), train, threshold=0.0)
    assert not apart.exact.any()


def test_whole_numbers_beyond_those_of_floats_are_no_copies():
    found = find_leaks(np.array([[2**60 + 1], [5]]), np.array([[2**60], [5]]), threshold=0.0)
    assert found.exact.tolist() == [False, True]


@pytest.mark.parametrize("blocks", [1, 7, 1000])
def test_neighbours_are_those_of_scipy_whatever_the_block(monkeypatch, blocks):
    rng = np.random.default_rng(0)
    queries, references = rng.normal(size=(29, 5)), rng.normal(size=(31, 5))
    monkeypatch.setattr(duplicates, "_DISTANCES_AT_ONCE", 31 * blocks)
    wanted = cdist(queries, references)
    found = nearest_neighbours(queries, references, k=3)
    np.testing.assert_allclose(found.distances, np.sort(wanted)[:, :3], rtol=1e-12)
    np.testing.assert_array_equal(found.rows, np.argsort(wanted)[:, :3])


def test_a_row_is_no_neighbour_of_its_own_but_its_copy_is():
    rows = np.random.default_rng(1).normal(size=(40, 3))
    rows[17] = rows[5]
    wanted = cdist(rows, rows)
    np.fill_diagonal(wanted, np.inf)
    found = nearest_neighbours(rows, k=2)
    np.testing.assert_allclose(found.distances, np.sort(wanted)[:, :2], rtol=1e-12)
    assert found.rows[17, 0] == 5
    assert found.rows[5, 0] == 17


def test_distances_of_near_copies_are_exact_far_from_the_origin():
    rng = np.random.default_rng(2)
    rows = 1e6 + rng.normal(size=(50, 4))
    near = rows + 1e-5
    found = nearest_neighbours(near, rows)
    np.testing.assert_array_equal(found.rows[:, 0], np.arange(50))
    # The differences themselves are rounded: eps of 1e6 is 1.2e-10 against 1e-5.
    np.testing.assert_allclose(found.distances[:, 0], 2e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_have_few_neighbours(n):
    found = nearest_neighbours(np.arange(n, dtype=float)[:, None], k=3)
    assert np.isinf(found.distances[:, n - 1 :]).all()
    assert (found.rows[:, n - 1 :] == -1).all()
    assert np.isfinite(found.distances[:, : n - 1]).all()


def test_planted_copies_and_near_copies_are_leaks_and_nothing_else_is():
    rng = np.random.default_rng(3)
    rows = (load_digits().data / 16).astype(np.float32)[rng.permutation(1797)]
    train, test = rows[:1400], rows[1400:].copy()
    near = nearest_neighbours(train)
    threshold = near_threshold(near.distances[:, 0])
    assert not find_leaks(test, train, threshold=threshold).near.any()
    test[:20] = train[100:120]
    test[20:30] = train[200:210] + 0.01 * rng.normal(size=(10, 64)).astype(np.float32)
    found = find_leaks(test, train, threshold=threshold)
    assert np.flatnonzero(found.exact).tolist() == list(range(20))
    assert np.flatnonzero(found.near).tolist() == list(range(30))
    assert found.twins[:30].tolist() == [*range(100, 120), *range(200, 210)]


@pytest.mark.parametrize("dimension", [1.0, 2.0, 4.0])
def test_the_dimension_and_the_chance_level_hold_for_independent_rows(dimension):
    rows = np.random.default_rng(4).random((2000, int(dimension)))
    found = nearest_neighbours(rows, k=2)
    # The estimate has relative spread 1/√n = 2.2 %; borders take a little more with d.
    assert intrinsic_dimension(found) == pytest.approx(dimension, rel=0.15)
    near = found.distances[:, 0] <= near_threshold(found.distances[:, 0])
    wanted = chance_share(0.1, dimension)
    # Neighbours come in pairs, so the spread is up to √2 of the binomial's; four of them.
    assert abs(near.mean() - wanted) <= 4 * np.sqrt(2 * wanted / 2000) + 1e-9


def test_groups_are_those_of_numpys_unique_rows():
    rows = np.random.default_rng(5).integers(0, 3, size=(60, 3)).astype(np.float32)
    groups = exact_groups(rows)
    _, wanted = np.unique(rows, axis=0, return_inverse=True)
    np.testing.assert_array_equal(
        groups[:, None] == groups[None], wanted[:, None] == wanted[None, :]
    )
    assert groups.max() + 1 == len(np.unique(wanted))
    assert exact_groups(rows[:0]).shape == (0,)


def test_copies_with_different_labels_conflict():
    groups, labels = np.array([0, 0, 1, 2, 2, 2]), np.array([1, 1, 1, 0, 3, 0])
    assert [group.tolist() for group in conflicts(groups, labels)] == [[3, 4, 5]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nearest_neighbours(np.array([[np.nan]])),
            "queries must be finite, got nan at position",
        ),
        (lambda: nearest_neighbours(np.ones((2, 3)), np.ones((2, 4))), r"rows of shape \(3,\)"),
        (lambda: nearest_neighbours(np.ones((2, 3)), k=4), "k must be from 1 to 3"),
        (lambda: near_threshold(np.ones(3), fraction=1.0), "fraction must lie"),
        (lambda: find_leaks(np.ones((2, 1)), np.ones((2, 1)), threshold=-1.0), "at least 0"),
        (lambda: intrinsic_dimension(nearest_neighbours(np.ones((3, 1)))), "two a row"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
