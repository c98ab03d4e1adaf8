"""Splits are disjoint, whole, in proportion, and warn when too small to tell."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from xentjax.data import SmallSplitWarning, contiguous_split, stratified_split
from xentjax.data.splits import accuracy_interval

FRACTIONS = [(0.7, 0.15, 0.15), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33), (0.98, 0.01, 0.01)]


def quietly(split, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSplitWarning)
        return split(*args, **kwargs)


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(3, 60), min_size=1, max_size=6),
    fractions=st.sampled_from(FRACTIONS),
    seed=st.integers(0, 1000),
)
def test_stratified_split_is_a_partition_with_every_class_in_proportion(counts, fractions, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 7, counts))
    split = quietly(stratified_split, labels, fractions=fractions, seed=seed)
    np.testing.assert_array_equal(np.sort(np.concatenate(split)), np.arange(len(labels)))
    for label, count in zip(np.arange(len(counts)) * 7, counts, strict=True):
        for part, fraction in zip(split, fractions, strict=True):
            got = np.sum(labels[part] == label)
            # Off by less than one from the exact share, or by up to two where a class is so
            # rare that the other two parts had to be given their one example.
            assert got >= 1
            assert abs(got - fraction * count) < 1 or min(fractions) * count < 1
            assert abs(got - fraction * count) < 2


def test_stratified_split_depends_on_the_seed_and_on_nothing_else():
    labels = np.random.default_rng(0).integers(0, 3, 2000)
    first, again, other = (stratified_split(labels, seed=seed) for seed in (0, 0, 1))
    for part, part_again in zip(first, again, strict=True):
        np.testing.assert_array_equal(part, part_again)
    assert not np.array_equal(first.test, other.test)


def test_rows_are_drawn_at_random_and_not_in_order():
    labels = np.zeros(2000, int)
    test = stratified_split(labels, seed=0).test
    # 300 draws without replacement from 0 … 1999: standard error of the mean 31; 5 of them.
    assert abs(test.mean() - 999.5) < 155


def test_contiguous_split_is_three_intervals_in_order():
    split = contiguous_split(12_345)
    np.testing.assert_array_equal(np.concatenate(split), np.arange(12_345))
    assert [len(part) for part in split] == [9876, 1235, 1234]


@pytest.mark.parametrize("n", [3, 4, 5, 30, 31])
def test_contiguous_split_gives_every_part_something(n):
    split = quietly(contiguous_split, n, fractions=(0.98, 0.01, 0.01))
    np.testing.assert_array_equal(np.concatenate(split), np.arange(n))
    assert min(map(len, split)) >= 1


@pytest.mark.parametrize(("correct", "n"), [(0, 5), (268, 268), (255, 268), (1, 2), (950, 1000)])
def test_the_interval_is_scipys_wilson_interval(correct, n):
    wanted = binomtest(correct, n).proportion_ci(0.95, method="wilson")
    # The quantile of the normal distribution is given to seven digits.
    np.testing.assert_allclose(accuracy_interval(n, accuracy=correct / n), wanted, atol=2e-7)


def test_small_split_warns_with_its_size_and_its_half_width():
    labels = np.repeat([0, 1], 100)
    with pytest.warns(SmallSplitWarning) as caught:
        stratified_split(labels, seed=0)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert messages[0].startswith("validation split has 30 examples")
    assert "known only to ± 8.9 points" in messages[1]


def test_large_split_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stratified_split(np.repeat([0, 1], 1000), seed=0)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 1), int), r"int64 of shape \(4, 1\)"),
        (np.zeros(9), "float64"),
        (np.zeros(0, int), "non-empty"),
        (np.array([0, 0, 0, 5, 5]), r"class 5 has 2 example\(s\)"),
    ],
)
def test_labels_that_cannot_be_split_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        stratified_split(labels, seed=0)


@pytest.mark.parametrize(
    "fractions", [(0.7, 0.3), (0.7, 0.3, 0.0), (0.7, 0.2, 0.2), (1.1, -0.2, 0.1)]
)
def test_fractions_that_are_no_partition_are_refused(fractions):
    with pytest.raises(ValueError, match="fractions must"):
        stratified_split(np.zeros(9, int), fractions=fractions, seed=0)
    with pytest.raises(ValueError, match="fractions must"):
        contiguous_split(9, fractions=fractions)


def test_sequence_too_short_for_three_parts_is_refused():
    with pytest.raises(ValueError, match="n must be at least 3"):
        contiguous_split(2)
