"""Value and gradient against 50-digit arithmetic, over margins, offsets and numbers of classes."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import xentjax

MARGINS = (0.0, 1e-3, 0.1, 1.0, 5.0, 10.0, 15.0, 17.0, 20.0, 30.0, 50.0, 80.0, 87.0, 100.0)
OFFSETS = (0.0, 1.0, 1e3, 1e5, 1e7)
CLASSES = (1, 2, 3, 10, 1000, 32768, 131072)
# exp(x − m) below this (margins past 87) is not a normal float32 and is flushed to zero, so a sum
# over C classes may miss C times as much.
SMALLEST = float(np.finfo(np.float32).tiny)


def grid(classes):
    """Rows [R, C] in which the label (class 0) leads or trails the best other by each margin."""
    fill = np.linspace(-3, 0, 7, dtype=np.float32)  # few distinct values: exact sums stay cheap
    others = np.resize(fill[::-1], classes - 1)
    rows = [
        np.concatenate([[offset + sign * margin], offset + others])
        for margin in MARGINS
        for offset in OFFSETS
        for sign in (1, -1)
    ]
    return np.array(rows, np.float32)


def truth(row):
    """The loss, and the slope of each distinct logit beside the label, to 50 digits."""
    with mpmath.workdps(50):
        label = mpmath.mpf(float(row[0]))
        values, counts = np.unique(row[1:], return_counts=True)
        exps = {v: mpmath.exp(mpmath.mpf(float(v)) - label) for v in values.tolist()}
        rest = mpmath.fsum(exps[v] * int(n) for v, n in zip(values.tolist(), counts, strict=True))
        slopes = {v: e / (1 + rest) for v, e in exps.items()}
        return mpmath.log1p(rest), -rest / (1 + rest), slopes


def excess(got, wanted, margin, terms=1):
    """The error in units of what is allowed: 1e-6 + 6e-8 · margin, relative."""
    allowed = (mpmath.mpf("1e-6") + mpmath.mpf("6e-8") * margin) * abs(wanted) + terms * SMALLEST
    return float(abs(mpmath.mpf(float(got)) - wanted) / allowed)


def relative(got, wanted):
    """The plain relative error, where float32 can hold the truth and its terms."""
    if abs(wanted) < 1e-30:
        return 0.0
    return float(abs(mpmath.mpf(float(got)) - wanted) / abs(wanted))


def worst_relative(logits, values, slopes):
    """The worst relative error of values and label slopes."""
    worst = [0.0, 0.0]
    for row, value, slope in zip(logits, values, slopes, strict=True):
        loss, label_slope, _ = truth(row)
        worst = [
            max(worst[0], relative(value, loss)),
            max(worst[1], relative(slope[0], label_slope)),
        ]
    return worst


def worst_excess(logits, values, slopes):
    worst_value = worst_slope = 0.0
    for row, value, slope in zip(logits, values, slopes, strict=True):
        loss, label_slope, other_slopes = truth(row)
        top, spread, terms = float(row.max()), float(np.ptp(row)), len(row)
        worst_value = max(worst_value, excess(value, loss, spread, terms))
        worst_slope = max(worst_slope, excess(slope[0], label_slope, spread, terms))
        for v, wanted in other_slopes.items():
            place = 1 + int(np.argmax(row[1:] == np.float32(v)))
            worst_slope = max(worst_slope, excess(slope[place], wanted, top - v))
    return worst_value, worst_slope


def integer_labels(logits):
    return np.zeros(len(logits), np.int32)


def one_hot_labels(logits):
    return np.eye(1, logits.shape[1], dtype=np.float32).repeat(len(logits), 0)


@jax.jit
def value_and_slopes(logits, labels):
    def total(logits):
        losses = xentjax.softmax_cross_entropy(logits, labels)
        return jnp.sum(losses), losses

    (_, losses), slopes = jax.value_and_grad(total, has_aux=True)(logits)
    return losses, slopes


@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("labels", [integer_labels, one_hot_labels])
def test_value_and_gradient_are_exact_at_every_margin_and_offset(labels, classes, report_figure):
    logits = grid(classes)
    together, slopes = map(np.asarray, value_and_slopes(logits, labels(logits)))
    # Forward alone sums in another order.
    alone = np.asarray(jax.jit(xentjax.softmax_cross_entropy)(logits, labels(logits)))
    worst_value, worst_slope = worst_excess(logits, together, slopes)
    worst_alone, _ = worst_excess(logits, alone, slopes)
    plain_value, plain_slope = worst_relative(logits, together, slopes)
    report_figure(
        f"mpmath grid, {labels.__name__}, C={classes}, {len(logits)} rows: worst relative error "
        f"{plain_value:.1e} in the value, {plain_slope:.1e} in the gradient; of what is allowed "
        f"(1e-6 + 6e-8 x margin) {max(worst_value, worst_alone):.2f} and {worst_slope:.2f}"
    )
    assert max(worst_value, worst_alone) <= 1
    assert worst_slope <= 1


def test_gradient_rows_sum_to_zero(report_figure):
    logits = grid(1000)
    _, slopes = value_and_slopes(logits, integer_labels(logits))
    slopes = np.asarray(slopes, np.float64)
    worst = np.max(np.abs(slopes.sum(1)) / np.abs(slopes).sum(1).clip(SMALLEST))
    report_figure(f"gradient rows: worst |sum| / sum of sizes {worst:.1e}")
    assert worst <= 1e-6  # each slope is right to a few units in the last place of float32


def test_all_equal_logits_have_the_gradient_and_hessian_of_the_uniform_distribution():
    logits, labels, uniform = jnp.zeros(4), jnp.array(2), np.full(4, 0.25)

    def loss(x):
        return xentjax.softmax_cross_entropy(x, labels)

    np.testing.assert_allclose(jax.grad(loss)(logits), uniform - np.eye(4)[2], atol=1e-7)
    closed_form = np.diag(uniform) - np.outer(uniform, uniform)
    np.testing.assert_allclose(jax.hessian(loss)(logits), closed_form, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("margin", [0.0, 3.0, 12.0])
@pytest.mark.usefixtures("x64")
def test_derivatives_to_third_order_match_the_dense_definition(margin):
    logits = jnp.array([margin, 0.0, -1.0, 0.5])

    def ours(x):
        return xentjax.softmax_cross_entropy(x, jnp.array(0), z_loss=0.1, label_smoothing=0.2)

    def dense(x):
        log_p = x - jnp.log(jnp.sum(jnp.exp(x)))
        smooth = -(0.8 * log_p[0] + 0.2 * jnp.mean(log_p))
        return smooth + 0.1 * jnp.log(jnp.sum(jnp.exp(x))) ** 2

    for order in range(4):
        np.testing.assert_allclose(ours(logits), dense(logits), rtol=1e-13, atol=1e-14)
        ours, dense = jax.jacfwd(ours), (jax.jacrev if order % 2 else jax.jacfwd)(dense)


def test_temperature_is_the_same_eager_and_jitted_at_large_scale():
    logits = jnp.array([[3e7, 1e7, 2.9999998e7]])
    target = jnp.array([[1e7, 3e7, 3e7]])

    def loss(x, temperature):
        return xentjax.kl_divergence_with_logits(x, target, temperature=temperature)

    eager, jitted = loss(logits, 1e-3), jax.jit(loss, static_argnums=1)(logits, 1e-3)
    assert np.isfinite(eager).all()
    np.testing.assert_allclose(eager, jitted, rtol=1e-6)


def test_a_scaling_fused_into_the_loss_does_not_overflow():
    logits = jnp.array([[3e8, 1e8, 2e8], [3e8, 1e8, 3e8]])

    @jax.jit
    def loss(x):
        return xentjax.softmax_cross_entropy(x / 0.001, jnp.array([1, 0]))

    wanted = [2e11, np.log(2)]
    np.testing.assert_allclose(loss(logits), wanted, rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(loss(x))))(logits)
    np.testing.assert_allclose(gradient, [[1e3, -1e3, 0], [-500, 0, 500]], rtol=1e-5)
