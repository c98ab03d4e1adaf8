"""Imbalance: the numbers of the formulas, a test of shares that agrees with scipy, its null."""

import numpy as np
import pytest
import scipy.stats

from xentjax.audit.imbalance import (
    _ratio,
    class_balance,
    class_counts,
    recall_half_widths,
    share_test,
)


def test_effective_classes_are_exp_of_scipys_entropy_and_even_classes_count_fully():
    labels = np.repeat(np.arange(4), [50, 30, 15, 5])
    found = class_balance(labels, 4)
    wanted = np.exp(scipy.stats.entropy([50, 30, 15, 5]))
    assert found.effective_classes == pytest.approx(wanted, rel=1e-12)
    assert found.effective_low < wanted < found.effective_high
    even = class_balance(np.repeat(np.arange(5), 20), 5)
    assert even.effective_classes == pytest.approx(5, rel=1e-12)
    assert even.effective_low <= even.effective_classes <= even.effective_high
    assert even.ratio == even.ratio_low == 1


def test_the_interval_of_a_ratio_keeps_its_digits_for_one_row_in_three_million():
    found = _ratio(3_000_000, 1)
    wilson = scipy.stats.binomtest(1, 3_000_001).proportion_ci(method="wilson")
    wanted = (3e6, (1 - wilson.high) / wilson.high, (1 - wilson.low) / wilson.low)
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_class_without_rows_makes_the_ratio_infinite_and_is_no_effective_class():
    found = class_balance(np.array([0, 0, 2, 2]), 3)
    assert found.ratio == np.inf
    assert found.effective_classes == pytest.approx(2, rel=1e-12)
    assert found.ratio_high == np.inf


def test_the_interval_of_the_ratio_is_wilsons_of_the_two_classes():
    found = class_balance(np.repeat([0, 1, 2], [60, 20, 40]), 3)
    wanted = scipy.stats.binomtest(60, 80).proportion_ci(method="wilson")
    assert found.ratio_low == pytest.approx(wanted.low / (1 - wanted.low), rel=1e-5)
    assert found.ratio_high == pytest.approx(wanted.high / (1 - wanted.high), rel=1e-5)


def test_the_interval_of_the_effective_number_covers_the_true_one():
    shares = np.array([0.6, 0.3, 0.1])
    wanted = np.exp(scipy.stats.entropy(shares))
    rng, hits = np.random.default_rng(0), 0
    for seed in range(100):
        found = class_balance(rng.choice(3, 300, p=shares), 3, seed=seed, resamples=200)
        hits += found.effective_low <= wanted <= found.effective_high
    # Of 100 trials at 95 %: at least 87 but for 1 in 1000; the bootstrap may be a little narrow.
    assert hits >= scipy.stats.binom.ppf(0.001, 100, 0.93)


def test_half_widths_are_those_of_wilsons_interval_in_scipy():
    counts = np.array([10, 50, 1000])
    for count, width in zip(counts, recall_half_widths(counts), strict=True):
        exact = scipy.stats.binomtest(int(0.9 * count), int(count)).proportion_ci(method="wilson")
        assert width == pytest.approx((exact.high - exact.low) / 2, abs=1e-5)


def test_the_statistic_is_scipys_and_the_p_value_near_its_asymptote():
    table = np.array([[200, 180, 120], [60, 40, 50]])
    found = share_test(table, resamples=2000)
    wanted = scipy.stats.chi2_contingency(table, correction=False)
    assert found.statistic == pytest.approx(wanted.statistic, rel=1e-12)
    # Four standard errors of 2000 permutations, and the asymptote's own error of a tenth.
    spread = 4 * np.sqrt(wanted.pvalue * (1 - wanted.pvalue) / 2000) + 0.1 * wanted.pvalue
    assert abs(found.p_value - wanted.pvalue) < spread


def test_random_splits_are_seldom_called_different():
    rng, rejected = np.random.default_rng(1), 0
    for seed in range(100):
        labels, cut = rng.choice(3, 200, p=[0.7, 0.25, 0.05]), rng.permutation(200) < 140
        table = np.stack([class_counts(labels[cut], 3), class_counts(labels[~cut], 3)])
        rejected += share_test(table, seed=seed, resamples=199).p_value <= 0.05
    assert rejected <= scipy.stats.binom.ppf(0.999, 100, 0.05)


def test_a_planted_difference_is_found_and_empty_parts_say_nothing():
    assert share_test(np.array([[100, 100], [40, 5]])).p_value == pytest.approx(1 / 1000)
    assert share_test(np.array([[100, 0], [40, 0]])).p_value == 1
    assert share_test(np.array([[100, 30], [0, 0]])).p_value == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_counts(np.array([0, 3]), 3), r"\[0, 3\), got 3 at position 1"),
        (lambda: class_counts(np.array([-1]), 3), "got -1 at position 0"),
        (lambda: class_counts(np.array([0]), 0), "classes must be at least 1"),
        (lambda: class_balance(np.zeros(0, int), 3), "at least one number"),
        (lambda: recall_half_widths(np.array([1]), recall=1.5), "recall must lie"),
        (lambda: share_test(np.array([[1, -1], [1, 1]])), "counts must not be negative"),
        (lambda: share_test(np.array([[1, 1], [1, 1]]), resamples=0), "resamples must be"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
