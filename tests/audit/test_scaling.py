"""Temperatures and vector scalings are those of scipy, and undo what was planted."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize
from scipy.special import log_softmax, softmax

from xentjax.audit.scaling import fit_temperature, fit_vector_scaling


def draw(rng, n=500, classes=5, factor=1.0):
    """Logits whose labels are drawn from their softmax, then times a factor."""
    logits = rng.normal(scale=1.5, size=(n, classes))
    below = softmax(logits, axis=1).cumsum(axis=1) < rng.random((n, 1))
    return factor * logits, np.minimum(below.sum(axis=1), classes - 1)


def nats(logits, labels):
    return -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_is_scipys(factor):
    logits, labels = draw(np.random.default_rng(0), factor=factor)
    found = fit_temperature(logits, labels)
    wanted = optimize.minimize_scalar(
        lambda u: nats(logits * np.exp(u), labels), bounds=(-3, 3), options={"xatol": 1e-10}
    )
    # Values in double precision place a minimum only to about √eps.
    np.testing.assert_allclose(found.temperature, np.exp(-wanted.x), rtol=1e-6)
    np.testing.assert_allclose(found.nats_before, nats(logits, labels), rtol=1e-12)
    np.testing.assert_allclose(found.nats_after, wanted.fun, rtol=1e-12)
    assert not found.at_bound


def test_a_planted_factor_is_found_within_its_standard_error():
    rng = np.random.default_rng(1)
    found = [fit_temperature(*draw(rng, factor=3.0)) for _ in range(60)]
    z = np.array([(f.temperature - 3) / f.standard_error for f in found])
    # Σ z² of 60 lies in χ²₆₀'s 0.1 % to 99.9 %.
    assert 31.7 < (z**2).sum() < 99.6


def test_the_slope_vanishes_at_the_temperature_found():
    logits, labels = draw(np.random.default_rng(2), factor=2.0)
    t = fit_temperature(logits, labels).temperature
    p = softmax(logits / t, axis=1)
    slope = ((p * logits).sum(axis=1) - logits[np.arange(len(labels)), labels]).mean()
    assert abs(slope) < 1e-7


def test_temperature_changes_no_decision():
    logits, labels = draw(np.random.default_rng(3), factor=5.0)
    logits = logits.astype(np.float32)
    scaled = fit_temperature(logits, labels).apply(logits)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))
    assert fit_temperature(logits, labels).apply(jnp.asarray(logits)).dtype == jnp.float32


@pytest.mark.parametrize("scale", [1.0, 1e-3, 300.0])
def test_all_right_is_at_the_bound_and_said_to_be(scale):
    found = fit_temperature(scale * np.eye(4), np.arange(4))
    assert found.at_bound
    assert found.temperature == 0.05
    assert np.isnan(found.standard_error)
    assert np.isfinite(found.nats_after)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(np.eye(3), np.array([1, 2, 0])), (1e4 * np.eye(3), np.array([1, 2, 0]))],
    ids=["wrong", "wrong by far"],
)
def test_all_wrong_is_at_the_upper_bound(logits, labels):
    found = fit_temperature(logits, labels)
    assert found.at_bound
    assert found.temperature == 20.0


def test_logits_that_say_nothing_leave_a_bound():
    assert fit_temperature(np.zeros((3, 2)), np.array([0, 1, 0])).at_bound


def test_one_wrong_row_among_huge_logits_still_has_a_temperature():
    logits = np.repeat([[40.0, 0.0]], 20, axis=0)
    found = fit_temperature(logits, np.array([1] + [0] * 19))
    # 19 : 1 is said with a margin of log 19.
    np.testing.assert_allclose(found.temperature, 40 / np.log(19), rtol=1e-6)


@pytest.mark.parametrize("factor", [1.0, 4.0])
def test_the_vector_scaling_is_scipys(factor):
    logits, labels = draw(np.random.default_rng(4), n=300, classes=4, factor=factor)
    logits[:, 2] += 1.5

    def objective(x):
        w, b = x.reshape(2, 4)
        return nats(w * logits + b, labels) + 0.05 * (((w - 1) ** 2).sum() + (b**2).sum()) / 300

    start = np.r_[np.ones(4), np.zeros(4)]
    wanted = optimize.minimize(objective, start, tol=1e-12, options={"maxiter": 2000})
    found = fit_vector_scaling(logits, labels)
    assert found.converged
    np.testing.assert_allclose(np.r_[found.scale, found.bias], wanted.x, atol=2e-4)
    np.testing.assert_allclose(found.nats_after, nats(found.apply(logits), labels), rtol=1e-12)
    assert found.nats_after < found.nats_before


def test_a_planted_offset_is_taken_back():
    logits, labels = draw(np.random.default_rng(5), n=20_000, classes=3, factor=2.0)
    found = fit_vector_scaling(logits + np.array([[1.0, 0.0, -1.0]]), labels)
    # The logits were 2 (x + ½, x, x − ½); an offset is known to about √(C / N) · 2 ≈ 0.025.
    np.testing.assert_allclose(found.scale, 0.5, atol=0.05)
    np.testing.assert_allclose(found.bias - found.bias.mean(), [-0.5, 0, 0.5], atol=0.1)


def test_separated_rows_leave_the_vector_scaling_finite():
    found = fit_vector_scaling(30.0 * np.eye(3), np.arange(3))
    assert found.converged
    assert np.all(np.isfinite(found.scale))
    assert np.all(np.isfinite(found.bias))


def test_the_thread_is_in_single_precision_again():
    fit_vector_scaling(np.eye(3), np.array([0, 1, 1]))
    assert jnp.ones(1).dtype == jnp.float32


@pytest.mark.parametrize(
    ("options", "message"), [({"lowest": 0.0}, "lowest"), ({"highest": 0.01}, "highest")]
)
def test_bad_bounds_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(np.eye(2), np.array([0, 1]), **options)


def test_bad_rows_are_named():
    with pytest.raises(ValueError, match="logits must be finite"):
        fit_temperature(np.array([[np.inf, 0.0]]), np.array([0]))
    with pytest.raises(ValueError, match="ridge must be above 0"):
        fit_vector_scaling(np.eye(2), np.array([0, 1]), ridge=0.0)
