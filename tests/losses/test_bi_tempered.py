"""The bi-tempered loss against 50 digits, its limits, its bound and its ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.losses.deformed_oracle import bi_tempered_loss as truth
from xentjax.losses.bi_tempered import bi_tempered_loss
from xentjax.losses.fenchel_young import entmax_loss
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(6, 5)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2, 4])
EPS = 2.0**-23
# (t1, t2): the default, the paper's, equal ones, no tempering of one, finite support.
TEMPERATURES = [
    (0.8, 1.2),
    (0.2, 4.0),
    (0.5, 1.37),
    (1.0, 1.2),
    (0.7, 1.0),
    (0.5, 0.5),
    (0.9, 0.25),
]


@jax.jit
def value_and_slope(x, labels, t1, t2):
    losses, pull = jax.vjp(lambda x: bi_tempered_loss(x, labels, t1=t1, t2=t2), x)
    return losses, pull(jnp.ones_like(losses))[0]


@pytest.mark.parametrize(("t1", "t2"), TEMPERATURES)
def test_loss_matches_50_digits(t1, t2):
    x = 2 * LOGITS
    exact = [truth(row, int(y), t1, t2) for row, y in zip(x, LABELS, strict=True)]
    # p is the −5th (or ½th, …) power of a number near 1, the loss a logarithm of it.
    np.testing.assert_allclose(
        bi_tempered_loss(x, LABELS, t1=t1, t2=t2), exact, rtol=16 * EPS, atol=16 * EPS
    )
    rounded = [float(np.float32(t)) for t in (t1, t2)]
    exact = [truth(row, int(y), *rounded) for row, y in zip(x, LABELS, strict=True)]
    got, _ = value_and_slope(x, LABELS, *map(jnp.float32, rounded))
    np.testing.assert_allclose(got, exact, rtol=16 * EPS, atol=16 * EPS)


def test_gradient_matches_differences_of_50_digits():
    row, h = np.asarray(LOGITS[1], np.float64), 1e-6
    for t1, t2 in ((0.8, 1.2), (0.5, 1.37)):
        rounded = [float(np.float32(t)) for t in (t1, t2)]
        wanted = [
            (truth(row + h * e, 3, *rounded) - truth(row - h * e, 3, *rounded)) / (2 * h)
            for e in np.eye(5)
        ]
        _, got = value_and_slope(LOGITS[1:2], LABELS[1:2], *map(jnp.float32, rounded))
        # Differences of float64: 1e-16 / h = 1e-10.
        np.testing.assert_allclose(got[0], wanted, rtol=0, atol=8 * EPS)


def test_both_temperatures_at_one_are_cross_entropy():
    ce = softmax_cross_entropy(LOGITS, LABELS)
    np.testing.assert_array_equal(bi_tempered_loss(LOGITS, LABELS, t1=1, t2=1.0), ce)
    one, near = jnp.float32(1), jnp.float32(1 - 2.0**-20)
    np.testing.assert_allclose(value_and_slope(LOGITS, LABELS, one, one)[0], ce, rtol=8 * EPS)
    # The loss is smooth in t₁ and t₂, with slopes of some ones.
    losses, slope = value_and_slope(LOGITS, LABELS, near, 2 - near)
    np.testing.assert_allclose(losses, ce, rtol=8 * 2.0**-20)
    wanted = jax.grad(lambda x: jnp.sum(softmax_cross_entropy(x, LABELS)))(LOGITS)
    np.testing.assert_allclose(slope, wanted, rtol=0, atol=8 * 2.0**-20)


def test_equal_temperatures_below_one_are_entmax():
    near = 0.3 * LOGITS  # every class has p > 0
    np.testing.assert_allclose(
        bi_tempered_loss(near, LABELS, t1=0.5, t2=0.5),
        entmax_loss(near, LABELS, alpha=1.5),
        rtol=16 * EPS,
    )


@pytest.mark.parametrize("margin", [15.0, 30.0])
def test_near_softmax_a_large_margin_keeps_its_digits(margin):
    t1, t2 = (float(np.float32(t)) for t in (0.999, 1.001))
    row = jnp.array([[0.0, -margin, -margin - 1]], jnp.float32)
    got, slope = value_and_slope(row, jnp.array([0]), jnp.float32(t1), jnp.float32(t2))
    np.testing.assert_allclose(got[0], truth(row[0], 0, t1, t2), rtol=4 * margin * EPS)
    np.testing.assert_allclose(slope[0, 0], -slope[0, 1:].sum(), rtol=16 * EPS)


def test_no_margin_costs_more_than_the_bound():
    x = jnp.array([[0.0, 1e4, -3.0], [0.0, 1e30, 0.0]])
    losses, slope = value_and_slope(x, jnp.array([0, 0]), jnp.float32(0.5), jnp.float32(1.2))
    # 1 / (1 − t₁) − (1 − Σ p^1.5) / 1.5, and p is all on one class: less p_y^½ / ½ at 10⁴.
    assert np.all(np.asarray(losses) <= 2)
    np.testing.assert_allclose(losses[1], 2, rtol=EPS)
    assert np.isfinite(slope).all()
    outside, slope = value_and_slope(x, jnp.array([0, 0]), jnp.float32(0.5), jnp.float32(0.7))
    np.testing.assert_allclose(outside, 2, rtol=EPS)
    assert not np.any(slope)


@pytest.mark.usefixtures("x64")
def test_derivatives_by_the_temperatures_are_right():
    row, h = jnp.asarray(LOGITS[0], jnp.float64), 1e-5
    at = jax.jit(lambda t: bi_tempered_loss(row, 1, t1=t[0], t2=t[1]))
    slope = jax.jit(jax.grad(at))
    for t1, t2 in ((0.8, 1.2), (0.999, 1.001)):
        t = jnp.array([t1, t2])
        wanted = [(at(t + h * e) - at(t - h * e)) / (2 * h) for e in jnp.eye(2)]
        np.testing.assert_allclose(slope(t), wanted, rtol=1e-7)  # h² and eps / h: 1e-10


@pytest.mark.slow
def test_hessian_in_a_scan_is_the_plain_one():
    x, v = LOGITS[:2], jnp.cos(LOGITS[:2])

    def plain(x):
        return jnp.sum(jnp.sin(bi_tempered_loss(x, LABELS[:2])))

    def scanned(x):
        step = lambda c, row: (c + jnp.sin(bi_tempered_loss(*row)), None)  # noqa: E731
        return jax.lax.scan(step, 0.0, (x, LABELS[:2]))[0]

    @jax.jit
    def products(x):
        along = lambda f: jax.jvp(jax.grad(f), (x,), (v,))[1]  # noqa: E731
        back = jax.grad(lambda x: jnp.sum(jax.grad(scanned)(x) * v))(x)
        return along(plain), along(scanned), back

    wanted, *others = products(x)
    for got in others:
        np.testing.assert_allclose(got, wanted, rtol=0, atol=64 * EPS * np.abs(wanted).max())


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"t1 must lie in \[0, 1\], got 1.2"):
        bi_tempered_loss(LOGITS, LABELS, t1=1.2)
    with pytest.raises(ValueError, match="t2 must be non-negative and finite, got -1"):
        bi_tempered_loss(LOGITS, LABELS, t2=-1.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 5\), got 5 at position \(1,\)"):
        bi_tempered_loss(LOGITS, LABELS.at[1].set(5))
    bad = LABELS.at[1].set(-1)
    value, slope = value_and_slope(LOGITS, bad, jnp.float32(0.8), jnp.float32(1.2))
    assert np.isnan(value[1])
    assert np.isnan(slope[1]).all()
    assert np.isfinite(slope[2:]).all()
    ignored = bi_tempered_loss(LOGITS, bad, ignore_index=-1, reduction="mean")
    keep = np.arange(6) != 1
    np.testing.assert_allclose(
        ignored, bi_tempered_loss(LOGITS, LABELS, where=keep, reduction="mean"), rtol=2 * EPS
    )
