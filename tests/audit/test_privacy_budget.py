"""Privacy budgets: dp_accounting's own figures, and the analytic Gaussian mechanism."""

import math
import sys

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from xentjax.audit.privacy_budget import noise_needed, privacy_spent, true_positive_bound


@pytest.fixture
def accounting():
    pytest.importorskip("jax_privacy", reason="the accountant (extra privacy)")
    return pytest.importorskip("dp_accounting", reason="the accountant's own library")


@pytest.mark.parametrize(
    ("noise", "batch_size", "steps", "largest"),
    [(1.0, 64, 300, None), (3.0, 32, 100, 60), (2.0, 200, 20, 1000)],
)
def test_what_is_spent_is_what_dp_accounting_says(accounting, noise, batch_size, steps, largest):
    if largest is None or largest >= 1000:
        event = accounting.PoissonSampledDpEvent(
            batch_size / 1000, accounting.GaussianDpEvent(noise)
        )
    else:
        event = accounting.TruncatedSubsampledGaussianDpEvent(
            dataset_size=1000,
            sampling_probability=batch_size / 1000,
            truncated_batch_size=largest,
            noise_multiplier=noise,
        )
    accountant = accounting.pld.PLDAccountant(
        accounting.NeighboringRelation.ADD_OR_REMOVE_ONE, value_discretization_interval=1e-4
    )
    accountant.compose(event, steps)
    found = privacy_spent(
        noise, rows=1000, batch_size=batch_size, steps=steps, delta=1e-4, largest_batch=largest
    )
    assert found == pytest.approx(accountant.get_epsilon(1e-4), rel=1e-9)


@pytest.mark.usefixtures("accounting")
def test_without_sampling_it_is_the_analytic_gaussian_mechanism():
    # 25 steps at σ = 10 are one Gaussian with μ = √25 / 10 (Balle & Wang 2018, theorem 8).
    mu, delta = 0.5, 1e-5
    wanted = brentq(
        lambda e: norm.cdf(mu / 2 - e / mu) - math.exp(e) * norm.cdf(-mu / 2 - e / mu) - delta,
        0.1,
        10,
    )
    found = privacy_spent(10.0, rows=50, batch_size=50, steps=25, delta=delta)
    # An upper bound, which rounds losses to a grid of 1e-4, once a step.
    assert wanted <= found <= wanted + 25 * 1e-4


@pytest.mark.usefixtures("accounting")
def test_the_noise_needed_spends_what_was_allowed():
    budget = {"rows": 500, "batch_size": 50, "steps": 100, "delta": 1e-4}
    noise = noise_needed(0.5, **budget)
    assert privacy_spent(noise, **budget) <= 0.5
    assert privacy_spent(noise - 0.01, **budget) > 0.5


def test_the_bound_on_attacks_is_met_by_randomized_response():
    """A coin that tells the truth with e^ε / (1 + e^ε) is ε-private, and the bound is its ROC."""
    epsilon = 1.3
    truth = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert true_positive_bound(1 - truth, epsilon, 0.0) == pytest.approx(truth)
    for rate in np.linspace(0, 1, 11):
        corners = np.interp(rate, [0, 1 - truth, 1], [0, truth, 1])
        assert true_positive_bound(float(rate), epsilon, 0.0) == pytest.approx(corners)


@pytest.mark.parametrize(
    ("rate", "epsilon", "delta", "bound"),
    [(0.3, 0.0, 0.0, 0.3), (0.0, 3.0, 0.01, 0.01), (0.01, 1000.0, 0.0, 1.0), (1.0, 1.0, 0.0, 1.0)],
)
def test_the_bound_at_its_ends(rate, epsilon, delta, bound):
    assert true_positive_bound(rate, epsilon, delta) == pytest.approx(bound)


def test_a_missing_accountant_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax_privacy", None)
    with pytest.raises(ImportError, match=r'pip install "xentjax\[privacy\]"'):
        privacy_spent(1.0, rows=10, batch_size=2, steps=1, delta=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 11}, r"batch_size must lie in \[1, rows = 10\], got 11"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"delta": 0.0}, "delta must lie in"),
        ({"largest_batch": 1}, "largest_batch must be at least batch_size"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    budget = {"rows": 10, "batch_size": 2, "steps": 1, "delta": 0.01} | change
    with pytest.raises(ValueError, match=message):
        privacy_spent(1.0, **budget)
    with pytest.raises(ValueError, match=message):
        noise_needed(1.0, **budget)


def test_no_noise_and_no_promise_are_refused():
    budget = {"rows": 10, "batch_size": 2, "steps": 1, "delta": 0.01}
    with pytest.raises(ValueError, match="noise_multiplier must be positive"):
        privacy_spent(0.0, **budget)
    with pytest.raises(ValueError, match="epsilon must lie in"):
        noise_needed(51.0, **budget)
    with pytest.raises(ValueError, match="false_positive_rate"):
        true_positive_bound(1.1, 1.0, 0.0)
