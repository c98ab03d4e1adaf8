"""Asymmetric loss against timm's formula and 50-digit arithmetic, its limits and its ends."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax import sigmoid_cross_entropy
from xentjax.losses.asymmetric import asymmetric_loss
from xentjax.losses.focal import sigmoid_focal_loss

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=40) * 3, jnp.float32)
HARD = jnp.asarray(RNG.integers(0, 2, 40), jnp.float32)
SOFT = jnp.asarray(RNG.random(40), jnp.float32)
EPS = 1.2e-7


def timm_formula(x, y, gamma_positive, gamma_negative, margin):
    """As timm writes it, on probabilities, for labels 0 and 1."""
    p, q = 1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))
    q = np.minimum(q + margin, 1)
    p_t = np.where(y == 1, p, q)
    exponent = gamma_positive * y + gamma_negative * (1 - y)
    return -np.log(p_t) * (1 - p_t) ** exponent


@partial(jax.jit, static_argnames="no_margin")
def derivatives(x, y, gammas, margin, *, no_margin):
    def loss(x, y):
        used = 0 if no_margin else margin
        return asymmetric_loss(
            x, y, gamma_positive=gammas[0], gamma_negative=gammas[1], margin=used
        )

    slope = jax.grad(loss)
    return jnp.stack([jax.vmap(f)(x, y) for f in (loss, slope, jax.grad(slope))])


def with_slopes(x, y, gammas=(1.0, 4.0), margin=0.05, *, no_margin=False):
    """Each element's loss, first and second derivative; padded, so that all calls compile once."""
    size = len(x)
    x, y = (jnp.resize(jnp.asarray(z, jnp.float32), LOGITS.shape) for z in (x, y))
    gammas = tuple(jnp.float32(g) for g in gammas)
    return derivatives(x, y, gammas, jnp.float32(margin), no_margin=no_margin)[:, :size]


def test_without_gammas_and_margin_it_is_sigmoid_cross_entropy():
    for labels in (HARD, SOFT):
        wanted = sigmoid_cross_entropy(LOGITS, labels)
        got = asymmetric_loss(LOGITS, labels, gamma_positive=0, gamma_negative=0, margin=0)
        np.testing.assert_allclose(got, wanted, rtol=2 * EPS)
        got, slope, _ = with_slopes(LOGITS, labels, (0, 0), 0)
        # e^{log p} carries the rounding of log p: |x| < 10 times eps.
        np.testing.assert_allclose(got, wanted, rtol=20 * EPS)
        np.testing.assert_allclose(slope, jax.nn.sigmoid(LOGITS) - labels, atol=20 * EPS)


def test_equal_gammas_without_margin_are_the_sigmoid_focal_loss():
    got = asymmetric_loss(LOGITS, HARD, gamma_positive=2.0, gamma_negative=2.0, margin=0)
    np.testing.assert_allclose(got, sigmoid_focal_loss(LOGITS, HARD), rtol=4 * EPS)


@pytest.mark.parametrize("options", [(1.0, 4.0, 0.05), (0.0, 2.0, 0.2), (0.5, 0.5, 0.01)])
def test_equals_the_formula_of_timm(options):
    x, y = np.asarray(LOGITS, np.float64), np.asarray(HARD, np.float64)
    wanted = timm_formula(x, y, *options)
    names = ("gamma_positive", "gamma_negative", "margin")
    got = asymmetric_loss(LOGITS, HARD, **dict(zip(names, options, strict=True)))
    # p − m cancels where p is near m: an absolute error of eps·p that the power takes on.
    margin, gamma = options[2], options[1]
    p = 1 / (1 + np.exp(-x))
    lost = np.where((y == 0) & (p > margin), (1 + gamma) * p / np.abs(p - margin), 1)
    assert (np.abs(got - wanted) <= 20 * EPS * lost * np.abs(wanted)).all()


@pytest.mark.parametrize("margin", [0.0, 0.05])
@pytest.mark.parametrize("gammas", [(1.0, 4.0), (0.5, 0.5)])
def test_loss_and_slope_are_exact_at_large_margins(margin, gammas):
    margins = np.array([-60.0, -30.0, -17.0, 15.5, 30.0, 60.0])

    def truth(x, label):
        with mpmath.workdps(50):
            m, gamma = mpmath.mpf(np.float64(np.float32(margin))), mpmath.mpf(gammas[1 - label])

            def loss(x):
                p = 1 / (1 + mpmath.exp(-x))
                if label == 1:
                    return -((1 - p) ** gamma) * mpmath.log(p)
                shifted = max(p - m, mpmath.mpf(0))
                return -(shifted**gamma) * mpmath.log(1 - shifted)

            return float(loss(mpmath.mpf(x))), float(mpmath.diff(loss, mpmath.mpf(x)))

    for label in (0, 1):
        labels = np.full(margins.shape, label)
        wanted = np.array([truth(a, label) for a in margins]).T
        # A known 0 and a traced one take different paths to the same number.
        for no_margin in (False, True)[: 1 if margin else 2]:
            value, slope, _ = with_slopes(margins, labels, gammas, margin, no_margin=no_margin)
            rtol = EPS * (8 + 5 * np.abs(margins))
            tiny = np.finfo(np.float32).tiny
            assert (np.abs(value - wanted[0]) <= rtol * np.abs(wanted[0]) + tiny).all()
            assert (np.abs(slope - wanted[1]) <= 2 * rtol * np.abs(wanted[1]) + tiny).all()


def test_negatives_below_the_margin_cost_nothing_and_sure_ones_at_most_minus_log_margin():
    easy = jnp.log(jnp.array([0.04, 0.001]))  # probabilities 0.038 and 0.001
    value, slope, _ = with_slopes(easy, jnp.zeros(2))
    assert not np.any([value, slope])
    np.testing.assert_allclose(with_slopes([1e4], [0], (0, 0))[0], -np.log(0.05), rtol=2 * EPS)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 4.0])
def test_extremes_are_finite_to_the_second_order(gamma):
    ends = jnp.array([1e4, -1e4, jnp.inf, -jnp.inf, 100.0, -100.0, 0.0])
    for margin in (0.0, 0.05):
        for label in (0.0, 0.5, 1.0):
            for no_margin in (False, True):
                labels = jnp.full(ends.shape, label)
                got = with_slopes(ends, labels, (gamma, gamma), margin, no_margin=no_margin)
                assert np.isfinite(got).all()


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"margin must lie in \[0, 1\), got 1.0"):
        asymmetric_loss(LOGITS, HARD, margin=1.0)
    with pytest.raises(ValueError, match="gamma_negative must be non-negative"):
        asymmetric_loss(LOGITS, HARD, gamma_negative=-4.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\], got -1.0"):
        asymmetric_loss(LOGITS, HARD.at[3].set(-1.0))
    value, slope, _ = with_slopes(LOGITS, HARD.at[3].set(-1.0))
    assert np.isnan([value[3], slope[3]]).all()
    assert np.isfinite(np.delete(np.stack([value, slope]), 3, axis=1)).all()


def test_a_traced_margin_out_of_range_is_nan_and_not_below_every_margin():
    value, slope, _ = with_slopes([2.0, -3.0, 1.0], [0.0, 0.0, 1.0], margin=2.0)
    assert np.isnan([value, slope]).all()
    negatives = jax.grad(lambda x, m: jnp.sum(asymmetric_loss(x, np.zeros(2), margin=m)), (0, 1))
    for run in (negatives, jax.jit(negatives)):  # which know that there is no positive
        assert np.isnan(run(jnp.array([2.0, -3.0]), 2.0)[0]).all()
