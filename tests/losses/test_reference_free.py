"""SimPO and ORPO against 50-digit arithmetic, up to answers that are certain or impossible."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax.losses.reference_free import orpo_loss, simpo_loss

RNG = np.random.default_rng(0)
CHOSEN = jnp.asarray(-0.05 - np.abs(RNG.normal(size=(3, 4))), jnp.float32)
REJECTED = jnp.asarray(-0.05 - np.abs(RNG.normal(size=(3, 4))), jnp.float32)
TINY = float(np.finfo(np.float32).tiny)


def truth(chosen, rejected, weight=0.5):
    """ORPO with its two slopes and three curvatures, by the paper's formula."""

    def loss(c, r):
        p, q = mpmath.exp(c), mpmath.exp(r)
        odds = (p / (1 - p)) / (q / (1 - q))
        return -c + weight * mpmath.log1p(1 / odds)

    point = mpmath.mpf(float(chosen)), mpmath.mpf(float(rejected))
    orders = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
    return [float(mpmath.diff(loss, point, n) if any(n) else loss(*point)) for n in orders]


def derivatives(chosen, rejected):
    def loss(c, r):
        return orpo_loss(c, r, odds_weight=0.5)

    def all_of(c, r):
        first = jax.grad(loss, (0, 1))
        (cc, cr), (_, rr) = jax.jacfwd(first, (0, 1))(c, r)
        return jnp.stack([loss(c, r), *first(c, r), cc, cr, rr])

    return jax.jit(jax.vmap(all_of))(chosen, rejected)


def test_orpo_and_its_derivatives_are_exact_from_certain_to_impossible():
    ends = np.array([-1e-30, -1e-9, -1e-3, -0.6931, -0.7, -3.0, -40.0], np.float32)
    chosen, rejected = (x.ravel() for x in np.meshgrid(ends, ends))
    got = np.asarray(derivatives(chosen, rejected), np.float64)
    with mpmath.workdps(120):
        wanted = np.array([truth(c, r) for c, r in zip(chosen, rejected, strict=True)])
    # log 10⁻³⁰ = −69 and −40: the log-odds are known to 110 eps of their size, and slopes are
    # exponentials of them. Curvatures in float32 overflow where 1 − p is below 10⁻¹⁹.
    scale = np.maximum(np.abs(wanted), TINY)
    error = np.abs(got - wanted)
    bound = 2 * 110 * 1.2e-7 * np.maximum(scale, np.abs(wanted[:, :1]) * (np.arange(6) == 0))
    assert np.all(error[:, :3] <= bound[:, :3]), np.max(error[:, :3] / scale[:, :3], 0)
    mild = (np.minimum(chosen, rejected) > -4) & (np.maximum(chosen, rejected) < -1e-4)
    # A curvature is a difference of two terms 1/(1 − p) as large.
    size = np.max(np.abs(wanted[mild, 3:]), 1, keepdims=True)
    worst = 4 * 1.2e-7 / -np.expm1(np.maximum(chosen, rejected)[mild, None])
    assert np.all(error[mild, 3:] <= worst * size), np.max(error[mild, 3:] / size / worst)


def test_orpo_has_no_nan_at_the_ends():
    chosen = jnp.array([0.0, 0.0, -1e4, -1e4, 0.0, -1.0, -1e4])
    rejected = jnp.array([0.0, -1e4, 0.0, -1e4, -1.0, 0.0, -1.0])
    got = np.asarray(derivatives(chosen, rejected))
    assert np.isfinite(got).all()
    # Equal answers are a coin; one that is certain against one that is not costs nothing.
    np.testing.assert_allclose(got[[0, 3], 0], [0.5 * np.log(2), 1e4 + 0.5 * np.log(2)], rtol=2e-7)
    assert not np.any(got[[1, 4], 0])
    # A certain rejected answer costs as much as float32 can tell: log 10³⁸ and what is between.
    np.testing.assert_allclose(
        got[5, 0], 1 + 0.5 * (1 - np.log(TINY) + np.log1p(-np.exp(-1))), 1e-6
    )
    assert got[5, 2] > 0
    assert got[5, 1] < 0


def test_orpo_is_the_nll_without_the_ratio_and_takes_another():
    np.testing.assert_array_equal(orpo_loss(CHOSEN, REJECTED, odds_weight=0.0), -CHOSEN)
    nll = jnp.full((3, 4), 2.0)
    np.testing.assert_allclose(
        orpo_loss(CHOSEN, REJECTED, chosen_nll=nll),
        orpo_loss(CHOSEN, REJECTED) + CHOSEN + nll,
        rtol=4e-7,
    )
    np.testing.assert_allclose(orpo_loss(CHOSEN, CHOSEN), -CHOSEN + 0.1 * np.log(2), rtol=2e-7)


def test_orpo_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"rejected must be log-probabilities.*got 0.5 at .*\(1,"):
        orpo_loss(CHOSEN, REJECTED.at[1, 2].set(0.5))
    with pytest.raises(ValueError, match="odds_weight must be non-negative"):
        orpo_loss(CHOSEN, REJECTED, odds_weight=-0.1)
    with pytest.raises(ValueError, match="chosen_nll must have the shape of chosen"):
        orpo_loss(CHOSEN, REJECTED, chosen_nll=jnp.ones(()))
    value, slope = jax.jit(jax.value_and_grad(lambda x: jnp.sum(orpo_loss(x, REJECTED)[0])))(
        CHOSEN.at[0, 1].set(0.1)
    )
    assert np.isnan(value)
    assert np.isnan(slope[0, 1])
    assert np.isfinite(slope[1:]).all()
    keep = np.ones((3, 4), bool)
    keep[0, 1] = False
    masked = orpo_loss(CHOSEN.at[0, 1].set(np.nan), REJECTED, where=keep, reduction="mean")
    np.testing.assert_allclose(masked, orpo_loss(CHOSEN, REJECTED)[keep].mean(), rtol=4e-7)


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_simpo_is_the_papers_formula(gamma):
    z = 2.5 * (np.asarray(CHOSEN, np.float64) - np.asarray(REJECTED)) - gamma
    got = simpo_loss(CHOSEN, REJECTED, beta=2.5, gamma=gamma)
    np.testing.assert_allclose(got, np.logaddexp(0, -z), rtol=1e-6)


def test_simpo_limits_and_bad_input():
    # Without a margin, equal answers or β → 0 are a coin.
    np.testing.assert_allclose(simpo_loss(CHOSEN, CHOSEN, gamma=0.0), np.log(2), rtol=2e-7)
    tiny = simpo_loss(CHOSEN, REJECTED, beta=1e-9, gamma=0.0)
    np.testing.assert_allclose(tiny, np.log(2), rtol=2e-7)
    with pytest.raises(ValueError, match="beta must be positive"):
        simpo_loss(CHOSEN, REJECTED, beta=-1.0)
    with pytest.raises(ValueError, match="gamma must be non-negative"):
        simpo_loss(CHOSEN, REJECTED, gamma=-1.0)
    with pytest.raises(ValueError, match="rejected must have the shape of chosen"):
        simpo_loss(CHOSEN, REJECTED[0])
