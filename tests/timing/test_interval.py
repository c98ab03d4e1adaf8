import numpy as np
import pytest
from scipy.stats import binom

from xentjax.timing.interval import NO_DIFFERENCE, Interval, median_interval, verdict


def exact_interval(figures):
    """The percentile bootstrap of the median without drawing, for an odd number of figures.

    A median drawn again is at most the k-th smallest figure when more than half of the draws,
    Binomial(n, k/n), are at most that.
    """
    ordered, n = sorted(figures), len(figures)
    below = [binom.sf(n // 2, n, k / n) for k in range(1, n + 1)]
    return [ordered[next(k for k in range(n) if below[k] >= share)] for share in (0.025, 0.975)]


@pytest.mark.parametrize("count", [7, 11, 19])
def test_interval_is_that_of_the_exact_bootstrap(count):
    # At these counts the share of medians at or below an end, and below it, are 0.012 or more
    # from 0.025: over three standard errors of 2000 draws, √(0.025·0.975 / 2000) = 0.0035.
    figures = np.random.default_rng(count).lognormal(size=count).tolist()
    found = median_interval(figures)
    assert [found.low, found.high] == exact_interval(figures)


def test_fewer_than_six_rounds_have_no_interval_and_no_verdict():
    assert median_interval([2.0] * 5) is None
    assert verdict(median_interval([2.0] * 5)) == "too few rounds"
    assert verdict(median_interval([2.0] * 6)) == "slower"


def test_seed_decides_the_draws():
    figures = np.random.default_rng(0).lognormal(size=40).tolist()
    assert median_interval(figures, seed=1) == median_interval(figures, seed=1)


def verdicts(true_ratio, repetitions, rounds=30):
    """Verdicts on two contestants whose runs scatter by a tenth each."""
    rng = np.random.default_rng(0)
    noise = rng.lognormal(sigma=0.1, size=(2, repetitions, rounds))
    ratios = true_ratio * noise[0] / noise[1]
    return [verdict(median_interval(row.tolist(), seed)) for seed, row in enumerate(ratios)]


def test_equal_contestants_are_seldom_called_different():
    # Coverage at 30 rounds is 93 % or better: of 200, 14 ± 3.6 miss; five deviations allowed.
    assert verdicts(1.0, 200).count(NO_DIFFERENCE) >= 200 - (14 + 18)


def test_a_planted_difference_is_found():
    # A ratio of 1.2 lies 0.18 / (1.25·0.14 / √30) = 5.6 standard errors of the median from 1.
    assert verdicts(1.2, 50).count("slower") >= 49
    assert verdicts(1 / 1.2, 50).count("faster") >= 49


def test_an_interval_knows_what_it_holds():
    assert 1.0 in Interval(0.9, 1.0)
    assert 1.1 not in Interval(0.9, 1.0)
