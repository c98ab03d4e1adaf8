"""Poly loss against optax, 50-digit arithmetic, its limit and its ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.polynomial import poly_loss

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
SOFT = jnp.asarray(RNG.dirichlet(np.ones(4), 5), jnp.float32)
ONE_HOT = jax.nn.one_hot(LABELS, 4)
EPS = 1.2e-7


def test_epsilon_zero_is_cross_entropy():
    for labels in (LABELS, SOFT):
        for epsilon in (0, jnp.asarray(0.0)):
            np.testing.assert_allclose(
                poly_loss(LOGITS, labels, epsilon=epsilon),
                softmax_cross_entropy(LOGITS, labels),
                rtol=2 * EPS,
            )


@pytest.mark.parametrize("epsilon", [2.0, -1.0])
def test_equals_optax_on_its_domain_and_indices_equal_one_hot_rows(epsilon):
    for labels, rows in ((LABELS, ONE_HOT), (SOFT, SOFT)):
        got = poly_loss(LOGITS, labels, epsilon=epsilon)
        wanted = optax.losses.poly_loss_cross_entropy(LOGITS, rows, epsilon=epsilon)
        # Sums of a few numbers of size 1; optax subtracts, so the error is absolute.
        np.testing.assert_allclose(got, wanted, atol=8 * EPS)
    hard = poly_loss(LOGITS, LABELS, epsilon=epsilon)
    np.testing.assert_allclose(poly_loss(LOGITS, ONE_HOT, epsilon=epsilon), hard, rtol=8 * EPS)


@pytest.mark.parametrize("offset", [0.0, 1e7])
def test_loss_and_slope_are_exact_at_every_margin(offset):
    def truth(margin):
        with mpmath.workdps(50):

            def loss(m):
                p = 1 / (1 + mpmath.exp(-m))
                return -mpmath.log(p) + 2 * (1 - p)

            return float(loss(mpmath.mpf(margin))), float(mpmath.diff(loss, margin))

    def loss(m, labels):
        return poly_loss(jnp.stack([m, jnp.zeros_like(m)]) + offset, labels)

    slopes = jax.jit(jax.vmap(jax.value_and_grad(loss), in_axes=(0, None)))
    margins = jnp.array([-30.0, -1.0, 0.0, 2.0, 14.0, 17.0, 30.0])
    wanted = np.array([truth(float(m)) for m in margins]).T
    for labels in (jnp.array(0), jnp.array([1.0, 0.0])):
        np.testing.assert_allclose(slopes(margins, labels), wanted, rtol=8 * EPS)


@jax.jit
def total_with_slope(logits, labels):
    return jax.value_and_grad(lambda x: jnp.sum(poly_loss(x, labels)))(logits)


def test_masked_classes_and_infinite_logits_leave_the_rest_as_it_was():
    masked = LOGITS.at[:, 3].set(-jnp.inf)
    few, free = LABELS % 3, SOFT.at[:, 3].set(0.0)
    for labels, sliced in ((few, few), (free, free[:, :3])):
        got, slope = total_with_slope(masked, labels)
        wanted, slope_wanted = total_with_slope(LOGITS[:, :3], sliced)
        np.testing.assert_allclose(got, wanted, rtol=8 * EPS)
        np.testing.assert_allclose(slope[:, :3], slope_wanted, atol=8 * EPS)
        assert not np.any(slope[:, 3])
    certain = jnp.array([jnp.inf, 0.0, -jnp.inf])
    for labels in (jnp.array(0), jnp.array([1.0, 0.0, 0.0])):
        assert poly_loss(certain, labels) == 0
    # The label itself masked costs everything, by index or by mass.
    for labels in (jnp.array(2), jnp.array([0.0, 0.0, 1.0])):
        assert poly_loss(jnp.array([1.0, 0.0, -jnp.inf]), labels) == np.inf


def test_sixteen_bits_lose_nothing_but_the_rounding_of_the_logits():
    for dtype in (jnp.bfloat16, jnp.float16):
        narrow = LOGITS.astype(dtype)
        for labels in (LABELS, SOFT):
            got = poly_loss(narrow, labels)
            assert got.dtype == jnp.float32
            np.testing.assert_array_equal(got, poly_loss(narrow.astype(jnp.float32), labels))
            assert jax.eval_shape(total_with_slope, narrow, labels)[1].dtype == dtype


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="epsilon must be finite, got inf"):
        poly_loss(LOGITS, LABELS, epsilon=float("inf"))
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got 4 at position \(0,\)"):
        poly_loss(LOGITS, LABELS.at[0].set(4))
    with pytest.raises(ValueError, match="floating labels must be finite and non-negative"):
        poly_loss(LOGITS, -SOFT)
    with pytest.raises(ValueError, match="ignore_index=-1 goes with integer labels"):
        poly_loss(LOGITS, SOFT, ignore_index=-1)
    with pytest.raises(ValueError, match="labels must have the shape of logits"):
        poly_loss(LOGITS, SOFT[:, 0])
    with pytest.raises(TypeError, match="labels must be integer class indices, got bool"):
        poly_loss(LOGITS, ONE_HOT.astype(bool))
    with pytest.warns(UserWarning, match="look like probabilities"):
        poly_loss(SOFT, LABELS)
    for labels in (LABELS.at[1].set(-1), SOFT.at[1, 2].set(-0.1)):
        value, slope = total_with_slope(LOGITS, labels)
        assert np.isnan(value)
        assert np.isnan(slope[1]).all()
        assert np.isfinite(np.delete(slope, 1, axis=0)).all()


def test_ignored_labels_are_masked_ones():
    keep = np.array([True, False, True, True, True])
    ignored = poly_loss(LOGITS, LABELS.at[1].set(-100), ignore_index=-100, reduction="mean")
    masked = poly_loss(LOGITS, LABELS, where=keep, reduction="mean")
    np.testing.assert_allclose(ignored, masked, rtol=2 * EPS)
    moved = poly_loss(LOGITS.T, LABELS, axis=0)
    np.testing.assert_allclose(moved, poly_loss(LOGITS, LABELS), rtol=2 * EPS)
