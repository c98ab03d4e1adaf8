import numpy as np
import pytest

from xentjax.timing.spread import Spread, paired_ratio


@pytest.mark.parametrize(
    ("figures", "median", "iqr"),
    [
        ([7.0], 7.0, 0.0),
        ([1.0, 3.0], 2.0, 1.0),  # quartiles 1.5 and 2.5
        ([4.0, 1.0, 3.0, 2.0], 2.5, 1.5),  # quartiles 1.75 and 3.25, in any order
        ([1.0, 2.0, 3.0, 4.0, 1000.0], 3.0, 2.0),  # one burst moves neither
    ],
)
def test_median_and_iqr_match_figures_worked_by_hand(figures, median, iqr):
    assert Spread.of(figures) == Spread(median=median, iqr=iqr, count=len(figures))


def test_median_error_is_how_far_medians_of_normal_samples_scatter():
    samples = np.random.default_rng(0).standard_normal((4000, 101))
    scatter = np.median(samples, axis=1).std()
    errors = [Spread.of(row.tolist()).median_error for row in samples[:400]]
    # The scatter of 4000 medians is known to 1.1 %, the mean of 400 errors to 0.6 %, and the
    # formula, exact for many runs, is 1 % high at 101: 5 % is three standard errors and that.
    assert np.mean(errors) == pytest.approx(scatter, rel=0.05)


def test_spread_of_nothing_is_refused():
    with pytest.raises(ValueError, match="figures is empty"):
        Spread.of([])


def test_paired_ratio_keeps_the_ratio_when_both_slow_down_together():
    base = [1.0, 8.0, 2.0, 32.0]
    assert paired_ratio([3.0 * b for b in base], base) == Spread(median=3.0, iqr=0.0, count=4)


def test_paired_ratio_is_the_median_of_ratios_not_the_ratio_of_medians():
    # Ratios 4, 1, 1/4; the medians are 4 and 2.
    assert paired_ratio([4.0, 4.0, 1.0], [1.0, 4.0, 4.0]).median == 1.0


def test_rounds_of_different_runs_cannot_be_paired():
    with pytest.raises(ValueError, match="seconds has 2 rounds and base_seconds 1"):
        paired_ratio([1.0, 1.0], [1.0])


def test_a_baseline_below_the_clock_is_refused():
    with pytest.raises(ValueError, match="cannot resolve the baseline"):
        paired_ratio([1.0], [0.0])
