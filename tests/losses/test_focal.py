"""Focal losses against 50-digit arithmetic, optax, their limits and their ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest

from xentjax import focal_loss, sigmoid_cross_entropy, softmax_cross_entropy
from xentjax.losses.focal import sigmoid_focal_loss

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
TINY = float(np.finfo(np.float32).tiny)  # what is below it is flushed to 0


def truth(margin, gamma):
    """The loss and its slope by the margin x_0 − x_1, label 0, in 50 digits."""
    with mpmath.workdps(50):

        def loss(m):
            nll = mpmath.log1p(mpmath.exp(-m))
            return (1 - mpmath.exp(-nll)) ** gamma * nll

        return float(loss(mpmath.mpf(margin))), float(mpmath.diff(loss, margin))


def test_gamma_zero_is_cross_entropy():
    for gamma in (0, jnp.asarray(0.0)):
        np.testing.assert_array_equal(
            focal_loss(LOGITS, LABELS, gamma=gamma), softmax_cross_entropy(LOGITS, LABELS)
        )


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("margin", [-30.0, -1.0, 0.0, 2.0, 14.0, 17.0])
def test_loss_and_slope_are_exact_at_every_margin(margin, gamma):
    def loss(m):
        return focal_loss(jnp.stack([m, jnp.zeros_like(m)]), jnp.array(0), gamma=gamma)

    got = jax.value_and_grad(loss)(jnp.float32(margin))
    # (1 − p)^γ repeats the rounding of 1 − p γ times.
    np.testing.assert_allclose(got, truth(margin, gamma), rtol=(4 + 4 * gamma) * 1.2e-7, atol=TINY)


@pytest.mark.parametrize("gamma", [0.3, 1.0, 2.0])
def test_a_certain_label_costs_nothing_and_pulls_nowhere(gamma):
    logits = jnp.array([200.0, 0.0])  # e⁻²⁰⁰ is 0 in float32: 1 − p is exactly 0
    value, slope = jax.value_and_grad(focal_loss)(logits, jnp.array(0), gamma=gamma)
    assert value == 0
    assert not np.any(slope)


def test_rows_of_many_classes_on_any_axis_are_the_same():
    # 600 classes take the path that sums by blocks and zeroes the label in place.
    logits = jnp.asarray(np.random.default_rng(1).normal(size=(2, 600)), jnp.float32)
    labels = jnp.array([3, 599])
    gradient = jax.jit(
        jax.grad(lambda x, axis: focal_loss(x, labels, axis=axis, reduction="sum")),
        static_argnums=1,
    )
    np.testing.assert_array_equal(gradient(logits, -1), gradient(logits, 1))
    np.testing.assert_allclose(gradient(logits, -1), gradient(logits.T, 0).T, atol=2e-7)


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="gamma must be non-negative"):
        focal_loss(LOGITS, LABELS, gamma=-1.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got 4 at position \(1,\)"):
        focal_loss(LOGITS, jnp.array([0, 4, 1, 1, 1]))
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        focal_loss(LOGITS, jax.nn.one_hot(LABELS, 4))
    value, slope = jax.jit(jax.value_and_grad(lambda x, y: focal_loss(x, y, reduction="sum")))(
        LOGITS, jnp.array([0, -1, 1, 2, 2])
    )
    assert np.isnan(value)
    assert np.isnan(slope[1]).all()
    assert np.isfinite(slope[2:]).all()
    ignored = focal_loss(LOGITS, LABELS.at[1].set(-100), ignore_index=-100, reduction="mean")
    keep = np.array([True, False, True, True, True])
    np.testing.assert_allclose(
        ignored, focal_loss(LOGITS, LABELS, where=keep, reduction="mean"), rtol=2e-7
    )


def test_a_masked_label_is_infinitely_wrong_with_the_slope_of_cross_entropy():
    logits = jnp.array([-jnp.inf, 0.0, 1.0])
    value, slope = jax.value_and_grad(focal_loss)(logits, jnp.array(0))
    assert value == jnp.inf
    wanted = jax.grad(softmax_cross_entropy)(logits, jnp.array(0))
    np.testing.assert_array_equal(slope, wanted)


def test_a_traced_gamma_out_of_range_is_nan_for_every_row():
    rows = jnp.array([[200.0, 0.0], [0.0, 100.0], [-jnp.inf, 0.0]])  # sure, wrong, impossible
    for loss in (focal_loss, sigmoid_focal_loss):
        labels = jnp.zeros(3, int) if loss is focal_loss else jnp.array([[1.0, 0.0]] * 3)
        for run in (lambda f: f, jax.jit):
            value, vjp = jax.vjp(run(lambda x, g: loss(x, labels, gamma=g)), rows, jnp.nan)  # noqa: B023
            assert np.isnan(value).all()
            finite = np.isfinite(rows) | (loss is focal_loss)
            assert np.isnan(vjp(jnp.ones_like(value))[0])[finite].all()


# --- sigmoid ----------------------------------------------------------------------------------

SCORES = jnp.asarray(np.random.default_rng(1).normal(size=24) * 3, jnp.float32)
HARD = jnp.asarray(np.random.default_rng(2).integers(0, 2, 24), jnp.float32)
SOFT = jnp.asarray(np.random.default_rng(3).random(24), jnp.float32)


@jax.jit
def sigmoid_with_slopes(x, y, gamma):
    """Each element's loss, first and second derivative."""
    loss = lambda x, y: sigmoid_focal_loss(x, y, gamma=gamma)  # noqa: E731
    slope = jax.grad(loss)
    return tuple(jax.vmap(f)(x, y) for f in (loss, slope, jax.grad(slope)))


def sigmoid_truth(x, y, gamma):
    with mpmath.workdps(50):

        def loss(x):
            p, q = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
            miss = y * q + (1 - y) * p
            return -(miss**gamma) * (y * mpmath.log(p) + (1 - y) * mpmath.log(q))

        x, y, gamma = mpmath.mpf(float(x)), mpmath.mpf(float(y)), mpmath.mpf(gamma)
        return float(loss(x)), float(mpmath.diff(loss, x))


def test_sigmoid_gamma_zero_is_sigmoid_cross_entropy():
    for labels in (HARD, SOFT):
        wanted = sigmoid_cross_entropy(SCORES, labels)
        for gamma in (0, jnp.asarray(0.0)):
            got = sigmoid_focal_loss(SCORES, labels, gamma=gamma)
            np.testing.assert_allclose(got, wanted, rtol=2.4e-7)


@pytest.mark.parametrize("gamma", [0.5, 2.0, 5.0])
def test_sigmoid_loss_and_slope_are_exact_at_every_margin(gamma):
    margins = np.array([-60.0, -30.0, -17.0, -3.0, -0.5, 0.0, 1.0, 14.0, 15.5, 30.0, 60.0])
    for label in (0.0, 1.0, 0.3):
        x, y = jnp.asarray(margins, jnp.float32), jnp.full(margins.shape, label, jnp.float32)
        value, slope, _ = sigmoid_with_slopes(x, y, gamma)
        wanted = np.array([sigmoid_truth(a, b, gamma) for a, b in zip(x, y, strict=True)]).T
        # exp(γ log(1 − p)) turns the rounding of its exponent into a relative error.
        rtol = 1.2e-7 * (4 + gamma * (1 + np.abs(margins)))
        assert (np.abs(value - wanted[0]) <= rtol * np.abs(wanted[0]) + TINY).all()
        # Soft labels pull both ways: their slope is rounded where it crosses 0, at σ(x) = y.
        crossing = 0 if label in (0, 1) else 4 * 1.2e-7
        assert (np.abs(slope - wanted[1]) <= 2 * rtol * np.abs(wanted[1]) + crossing + TINY).all()


def test_sigmoid_equals_optax_and_the_torchvision_formula_on_their_domain():
    for labels in (HARD, SOFT):
        for gamma, alpha in ((2.0, None), (0.5, 0.25)):
            got = sigmoid_focal_loss(SCORES, labels, gamma=gamma, alpha=alpha)
            wanted = optax.losses.sigmoid_focal_loss(SCORES, labels, gamma=gamma, alpha=alpha)
            # Both round exp(γ·log(1 − p_t)) at |x| < 10, optax the logarithm by some eps more.
            np.testing.assert_allclose(got, wanted, rtol=40 * 1.2e-7)
            x, y = np.asarray(SCORES, np.float64), np.asarray(labels, np.float64)
            p = 1 / (1 + np.exp(-x))
            p_t = p * y + (1 - p) * (1 - y)
            formula = -(y * np.log(p) + (1 - y) * np.log1p(-p)) * (1 - p_t) ** gamma
            formula *= 1 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
            np.testing.assert_allclose(got, formula, rtol=40 * 1.2e-7)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0])
def test_sigmoid_extremes_are_finite_to_the_second_order(gamma):
    ends = jnp.array([1e4, -1e4, jnp.inf, -jnp.inf, 100.0, -100.0])
    for label in (0.0, 0.5, 1.0):
        derivatives = sigmoid_with_slopes(ends, jnp.full(ends.shape, label), gamma)
        assert np.isfinite(derivatives).all()
        right = ends > 0 if label == 1 else ends < 0
        if label != 0.5:  # certain and right: the loss costs nothing and pulls nowhere
            assert not np.any(np.asarray(derivatives)[:, right & (jnp.abs(ends) > 200)])


def test_sigmoid_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="gamma must be non-negative"):
        sigmoid_focal_loss(SCORES, HARD, gamma=-1.0)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got 2.0"):
        sigmoid_focal_loss(SCORES, HARD, alpha=2.0)
    with pytest.raises(
        ValueError, match=r"labels must lie in \[0, 1\], got 2.0 at position \(0,\)"
    ):
        sigmoid_focal_loss(SCORES, HARD.at[0].set(2.0))
    with pytest.raises(ValueError, match="labels must have the shape of logits"):
        sigmoid_focal_loss(SCORES[:, None], HARD)
    value, slope, _ = sigmoid_with_slopes(SCORES, HARD.at[0].set(2.0), 2.0)
    assert np.isnan([value[0], slope[0]]).all()
    assert np.isfinite([value[1:], slope[1:]]).all()
    keep = jnp.arange(24) > 0
    masked = sigmoid_focal_loss(
        SCORES.at[0].set(jnp.nan), HARD.at[0].set(2.0), where=keep, reduction="mean"
    )
    alone = sigmoid_focal_loss(SCORES[1:], HARD[1:], reduction="mean")
    np.testing.assert_allclose(masked, alone, rtol=24**0.5 * 1.2e-7)
