"""The binomial tail and the exact interval are scipy's."""

import numpy as np
import pytest
from scipy import stats

from xentjax.audit.binomial import at_most, exact_share


@pytest.mark.parametrize(("successes", "n", "rate"), [(0, 10, 0.1), (5, 300, 0.05), (40, 40, 0.9)])
def test_the_binomial_tail_is_scipys(successes, n, rate):
    wanted = stats.binom.cdf(successes, n, rate)
    np.testing.assert_allclose(at_most(successes, n, rate), wanted, rtol=1e-10)


@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (1, 4096), (30, 600), (4000, 4096)])
def test_the_exact_interval_is_scipys(successes, n):
    failures = n - successes
    # Quantiles of beta distributions, which end where there are no successes or no failures.
    low = stats.beta.ppf(0.025, successes, failures + 1) if successes else 0
    high = stats.beta.ppf(0.975, successes + 1, failures) if failures else 1
    found = exact_share(successes, n)
    np.testing.assert_allclose(found[1:], (low, high), rtol=1e-9)
    assert found.value == successes / n
