"""Entmax and sparsemax losses against 50 digits, the sort of the paper, optax, and their limits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.losses.deformed_oracle import entmax_loss as truth
from xentjax.losses.fenchel_young import entmax_loss, sparsemax_loss
from xentjax.losses.normalizations import entmax, sparsemax
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2, 4])
EPS = 2.0**-23
ALPHAS = (1.0, 1 + 1e-6, 1.01, 1.25, 1.5, 1.8, 2.0)


def losses_and_slope(x, labels, alpha):
    """Losses and gradient."""
    losses, pull = jax.vjp(lambda x: entmax_loss(x, labels, alpha=alpha), x)
    return losses, pull(jnp.ones_like(losses))[0]


value_and_slope = jax.jit(losses_and_slope)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_loss_and_gradient_match_50_digits(alpha):
    x = 3 * LOGITS
    rounded = jnp.float32(alpha)
    for got, a in (
        (value_and_slope(x, LABELS, rounded), float(rounded)),
        (jax.jit(partial(losses_and_slope, alpha=alpha))(x, LABELS), alpha),
    ):
        wanted = [truth(row, int(label), a) for row, label in zip(x, LABELS, strict=True)]
        for ours, exact in zip(got, zip(*wanted, strict=True), strict=True):
            # p is a power 1/β of a number near 1 that is rounded once or twice, at logits of 9.
            np.testing.assert_allclose(ours, exact, rtol=0, atol=16 * EPS)


@pytest.mark.parametrize("alpha", [1.0, 1.0001, 1.02])
@pytest.mark.parametrize("margin", [15.0, 22.0, 30.0])
def test_near_softmax_a_large_margin_keeps_its_digits(alpha, margin):
    alpha = float(np.float32(alpha))
    row = jnp.array([0.0, -margin, -margin - 1], jnp.float32)
    got = value_and_slope(row[None], jnp.array([0]), jnp.float32(alpha))
    for (ours,), wanted in zip(got, truth(row, 0, alpha), strict=True):
        # exp(log1p(βv) / β): a relative error of a few eps in the exponent, which is the margin.
        np.testing.assert_allclose(ours, wanted, rtol=4 * margin * EPS)


def test_alpha_one_is_cross_entropy_and_two_is_sparsemax():
    ce = softmax_cross_entropy(LOGITS, LABELS)
    np.testing.assert_array_equal(entmax_loss(LOGITS, LABELS, alpha=1), ce)
    traced = [entmax_loss(LOGITS, LABELS, alpha=jnp.float32(a)) for a in (1.0, 1 + 1e-6, 2.0)]
    np.testing.assert_allclose(traced[0], ce, rtol=8 * EPS)
    np.testing.assert_allclose(traced[1], ce, rtol=2e-6 + 8 * EPS)  # a slope in α of some ones
    exact = sparsemax_loss(LOGITS, LABELS)
    np.testing.assert_array_equal(entmax_loss(LOGITS, LABELS, alpha=2), exact)
    np.testing.assert_allclose(traced[2], exact, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(entmax(LOGITS, alpha=1), jax.nn.softmax(LOGITS), rtol=2 * EPS)


def test_sparsemax_of_two_classes_is_the_modified_huber_loss():
    margins = jnp.linspace(-3, 3, 25)
    rows = jnp.stack([margins, jnp.zeros_like(margins)], -1)
    m = np.asarray(margins, np.float64)
    wanted = np.where(m >= 1, 0, np.where(m <= -1, -m, 0.25 * (1 - m) ** 2))
    got = sparsemax_loss(rows, jnp.zeros(25, jnp.int32))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=4 * EPS)
    np.testing.assert_array_equal(np.asarray(got)[m >= 1], 0)
    binary = jax.vmap(optax.losses.sparsemax_loss)(margins, jnp.ones(25))
    np.testing.assert_allclose(got, binary, rtol=0, atol=4 * EPS)


def test_optax_agrees_where_it_has_the_loss():
    wide = jnp.asarray(RNG.normal(size=(16, 40)), jnp.float32)
    labels = jnp.asarray(RNG.integers(40, size=16))
    wanted = optax.losses.multiclass_sparsemax_loss(wide, labels)
    np.testing.assert_allclose(sparsemax_loss(wide, labels), wanted, rtol=0, atol=32 * EPS)
    nearest = jax.vmap(optax.projections.projection_simplex)(wide)
    np.testing.assert_allclose(sparsemax(wide), nearest, rtol=0, atol=8 * EPS)


def by_sorting(x):
    """1.5-entmax in float64 by the sort of Peters et al.: the largest support that is its own."""
    x = np.sort(np.asarray(x, np.float64) / 2)[::-1]
    k = np.arange(1, len(x) + 1)
    mean, square = np.cumsum(x) / k, np.cumsum(x**2) / k
    with np.errstate(invalid="ignore"):
        tau = mean - np.sqrt((1 - k * (square - mean**2)) / k)
    return tau[np.sum(tau <= x) - 1]


@pytest.mark.parametrize("classes", [1, 2, 500])
def test_entmax_probabilities_match_the_sort(classes):
    x = np.float32(2 * RNG.normal(size=(8, classes)))
    tau = np.array([by_sorting(row) for row in x])[:, None]
    wanted = np.maximum(x.astype(np.float64) / 2 - tau, 0) ** 2
    got = entmax(jnp.asarray(x.T), axis=0).T
    np.testing.assert_allclose(got, wanted, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(np.sum(got, -1), 1, rtol=16 * EPS)
    assert np.all((np.asarray(got) == 0) | (wanted > 0))


def test_a_learned_example_costs_nothing_and_pulls_nowhere():
    for alpha, margin in ((1.5, 2.0), (2.0, 1.0), (1.25, 4.0)):
        value, slope = jax.value_and_grad(lambda x, a=alpha: entmax_loss(x, 0, alpha=a))(
            jnp.array([margin, 0.0, -1.0])
        )
        assert value == 0
        assert not np.any(slope)


def test_a_wrong_class_far_ahead_costs_its_lead():
    # One class has all of p, and Ω(p) = 0: p·x − x_y is the margin.
    for alpha in (1.5, 2.0):
        assert entmax_loss(jnp.array([0.0, 1e4]), 0, alpha=alpha) == 1e4


def test_a_common_offset_and_masked_classes_change_nothing():
    rows = jnp.array([[0.5, 0.0, -0.25], [2.0, 1.0, 0.0]])
    labels = jnp.array([1, 0])
    wanted = entmax_loss(rows, labels)
    # At 10⁷ float32 holds whole numbers: the second row survives.
    np.testing.assert_array_equal(entmax_loss(rows + 1e7, labels)[1], wanted[1])
    masked = jnp.concatenate([rows, jnp.full((2, 1), -jnp.inf)], -1)
    value, slope = jax.value_and_grad(lambda x: jnp.sum(entmax_loss(x, labels)))(masked)
    np.testing.assert_allclose(value, jnp.sum(wanted), rtol=4 * EPS)
    assert not np.any(slope[:, 3])
    lost, slope = jax.value_and_grad(lambda x: entmax_loss(x, 3))(masked[0])
    assert lost == jnp.inf
    np.testing.assert_allclose(slope[3], -1, rtol=4 * EPS)


@pytest.mark.usefixtures("x64")
def test_the_derivative_by_alpha_is_right_through_one():
    row, h = jnp.asarray(LOGITS[0], jnp.float64), 1e-5
    at = jax.jit(lambda a: entmax_loss(row, 1, alpha=a))
    slope = jax.jit(jax.grad(at))
    for alpha in (1.0 + 1e-4, 1.3, 1.7):
        wanted = (at(alpha + h) - at(alpha - h)) / (2 * h)
        np.testing.assert_allclose(slope(alpha), wanted, rtol=1e-7)  # h² and eps / h: 1e-10
    np.testing.assert_allclose(slope(1.0), slope(1 + 1e-7), rtol=1e-6)


@pytest.mark.slow
def test_hessian_in_a_scan_is_the_plain_one():
    x, v = LOGITS, jnp.cos(LOGITS)

    def plain(x):
        return jnp.sum(jnp.sin(entmax_loss(x, LABELS, alpha=1.3)))

    def scanned(x):
        step = lambda c, row: (c + jnp.sin(entmax_loss(*row, alpha=1.3)), None)  # noqa: E731
        return jax.lax.scan(step, 0.0, (x, LABELS))[0]

    @jax.jit
    def products(x):
        return [
            product
            for f in (plain, scanned)
            for product in (
                jax.jvp(jax.grad(f), (x,), (v,))[1],
                jax.grad(lambda x, f=f: jnp.sum(jax.grad(f)(x) * v))(x),
            )
        ]

    wanted, *others = products(x)
    for got in others:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=64 * EPS * np.abs(wanted).max())


def test_hessian_is_diag_s_minus_s_s_over_its_sum():
    row, alpha = LOGITS[1], 1.5
    hessian = jax.jit(jax.hessian(lambda x: entmax_loss(x, 0, alpha=alpha)))(row)
    s = np.sqrt(np.asarray(entmax(row, alpha=alpha), np.float64))  # p^(2 − α)
    np.testing.assert_allclose(hessian, np.diag(s) - np.outer(s, s) / s.sum(), atol=16 * EPS)


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"alpha must lie in \[1, 2\], got 2.5"):
        entmax_loss(LOGITS, LABELS, alpha=2.5)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 5\), got 5 at position \(1,\)"):
        sparsemax_loss(LOGITS, LABELS.at[1].set(5))
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        entmax_loss(LOGITS, jax.nn.one_hot(LABELS, 5))
    with pytest.raises(TypeError, match="logits must be floating point, got int32"):
        sparsemax(LABELS)
    bad = LABELS.at[1].set(-1)
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(entmax_loss)))(LOGITS, bad)
    assert np.isnan(value[1])
    assert np.isnan(slope[1]).all()
    assert np.isfinite(slope[2:]).all()
    ignored = entmax_loss(LOGITS, bad, ignore_index=-1, reduction="mean")
    keep = np.arange(6) != 1
    np.testing.assert_allclose(
        ignored, entmax_loss(LOGITS, LABELS, where=keep, reduction="mean"), rtol=2 * EPS
    )
