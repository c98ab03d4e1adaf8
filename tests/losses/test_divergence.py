"""Entropy and divergences against 50-digit arithmetic, scipy, torch and their own identities."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats

import xentjax

EPS = float(np.finfo(np.float32).eps)
RNG = np.random.default_rng(0)
P = jnp.asarray(RNG.normal(size=(6, 5)) * 2, jnp.float32)
Q = jnp.asarray(RNG.normal(size=(6, 5)) * 2, jnp.float32)


def softmax64(x):
    return scipy.special.softmax(np.asarray(x, np.float64), axis=-1)


def kl50(q_logits, p_logits):
    """KL(softmax(q) ‖ softmax(p)) of one row to 50 digits."""
    with mpmath.workdps(50):

        def log_softmax(x):
            x = [mpmath.mpf(float(v)) for v in x]
            lse = mpmath.log(mpmath.fsum(mpmath.exp(v) for v in x))
            return [v - lse for v in x]

        log_q, log_p = log_softmax(q_logits), log_softmax(p_logits)
        pairs = zip(log_q, log_p, strict=True)
        return float(mpmath.fsum(mpmath.exp(a) * (a - b) for a, b in pairs))


def test_entropy_equals_scipy():
    wanted = scipy.stats.entropy(softmax64(P), axis=-1)
    np.testing.assert_allclose(xentjax.entropy(P), wanted, rtol=1e-6)


def test_kl_with_logits_equals_50_digit_arithmetic():
    wanted = [kl50(q, p) for q, p in zip(Q, P, strict=True)]
    np.testing.assert_allclose(xentjax.kl_divergence_with_logits(P, Q), wanted, rtol=2e-6)
    got = xentjax.kl_divergence(P, jnp.asarray(softmax64(Q), jnp.float32))
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=2e-7)  # targets rounded to float32


@pytest.mark.parametrize("scale", [1, 10, 30])
@pytest.mark.parametrize("distance", [1e-5, 1e-3, 0.1, 0.3])
def test_divergences_keep_their_digits_when_both_sides_nearly_agree(scale, distance):
    """KL ≈ d²/2: a difference of two entropies would be lost in their rounding below 3e-4."""
    rng = np.random.default_rng(0)
    p = (scale * rng.normal(size=(20, 10))).astype(np.float32)
    near = (p + distance * rng.normal(size=p.shape)).astype(np.float32)
    got = xentjax.kl_divergence_with_logits(p, near)
    wanted = [kl50(q, p) for q, p in zip(near, p, strict=True)]
    # d is right to eps of its own size, and KL is quadratic in it; a few rounded sums on top.
    np.testing.assert_allclose(got, wanted, rtol=32 * EPS)
    assert (np.asarray(got) >= 0).all()
    mean = jnp.logaddexp(jax.nn.log_softmax(p), jax.nn.log_softmax(near)) - np.log(2)
    assert (np.asarray(xentjax.js_divergence(p, near)) >= 0).all()
    if distance >= 0.1 and scale == 1:  # the mean itself is rounded to float32 here
        halves = [kl50(a, m) + kl50(b, m) for a, b, m in zip(p, near, mean, strict=True)]
        np.testing.assert_allclose(xentjax.js_divergence(p, near), np.divide(halves, 2), rtol=1e-4)


@pytest.mark.parametrize("margin", [0.0, 1.0, 15.0, 20.0, 30.0, 60.0])
def test_entropy_slopes_are_exact_at_every_margin(margin):
    logits = jnp.array([margin, 0.0, -1.0])
    with mpmath.workdps(50):
        exps = [mpmath.exp(mpmath.mpf(float(x) - margin)) for x in logits]
        shares = [e / mpmath.fsum(exps) for e in exps]
        total = -mpmath.fsum(p * mpmath.log(p) for p in shares)
        wanted = [float(-p * (mpmath.log(p) + total)) for p in shares]
    slope = jax.grad(xentjax.entropy)(logits)
    np.testing.assert_allclose(slope, wanted, rtol=1e-6 + 6e-8 * (margin + 1))


def test_a_tuple_of_axes_is_one_flattened_class_axis():
    p = jnp.asarray(RNG.normal(size=(2, 3, 4)), jnp.float32)
    q, flat = p[::-1], (2, 12)
    targets = jax.nn.softmax(q, axis=(1, 2))
    for loss, arguments in (
        (xentjax.entropy, (p,)),
        (xentjax.kl_divergence, (p, targets)),
        (xentjax.kl_divergence_with_logits, (p, q)),
        (xentjax.js_divergence, (p, q)),
    ):
        wanted = loss(*(x.reshape(flat) for x in arguments))
        np.testing.assert_allclose(loss(*arguments, axis=(1, 2)), wanted, rtol=8 * EPS)


def test_temperature_is_exact_at_an_offset():
    """At 1e7 the float32 spacing is 1: dividing first would round the gaps away."""
    p, q = jnp.array([[0.0, 1.0, 3.0]]) + 1e7, jnp.array([[2.0, 0.0, 1.0]]) + 1e7
    wanted = xentjax.kl_divergence_with_logits(p - 1e7, q - 1e7, temperature=3.0)
    got = jax.jit(xentjax.kl_divergence_with_logits)(p, q, temperature=3.0)
    np.testing.assert_allclose(got, wanted, rtol=1e-6)


def test_a_divergence_of_equals_is_zero_with_zero_gradient():
    for loss in (xentjax.kl_divergence_with_logits, xentjax.js_divergence):
        value, slopes = jax.value_and_grad(
            lambda p, q, loss=loss: jnp.sum(loss(p, q)), argnums=(0, 1)
        )(P, P)
        assert value == 0
        for slope in slopes:
            np.testing.assert_allclose(slope, 0, atol=2 * EPS)


def test_kl_gradients_have_their_closed_forms():
    slope_p, slope_q = jax.grad(
        lambda p, q: jnp.sum(xentjax.kl_divergence_with_logits(p, q)), argnums=(0, 1)
    )(P, Q)
    p, q = softmax64(P), softmax64(Q)
    gap = np.log(q) - np.log(p)
    np.testing.assert_allclose(slope_p, p - q, rtol=1e-5, atol=4 * EPS)
    wanted = q * (gap - (q * gap).sum(-1, keepdims=True))
    np.testing.assert_allclose(slope_q, wanted, rtol=1e-5, atol=8 * EPS)


def test_cross_entropy_is_entropy_plus_divergence():
    targets = jax.nn.softmax(Q)
    parts = xentjax.entropy(Q) + xentjax.kl_divergence(P, targets)
    np.testing.assert_allclose(parts, xentjax.softmax_cross_entropy(P, targets), rtol=4e-6)


def test_kl_equals_torch_batchmean():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    targets = np.asarray(jax.nn.softmax(Q))
    wanted = torch.nn.functional.kl_div(
        torch.log_softmax(torch.tensor(np.asarray(P)), -1),
        torch.tensor(targets),
        reduction="batchmean",
    )
    got = xentjax.kl_divergence(P, targets, reduction="mean")
    np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-5)


def test_zero_targets_and_masked_classes_give_no_nan():
    targets = jnp.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    logits = jnp.array([[0.0, 1.0, -jnp.inf], [0.0, 0.0, -jnp.inf]])
    wanted = [np.log(1 + np.e), 0.0]
    np.testing.assert_allclose(xentjax.kl_divergence(logits, targets), wanted, atol=2 * EPS)
    slopes = jax.grad(lambda x, t: jnp.sum(xentjax.kl_divergence(x, t)), argnums=(0, 1))(
        logits, targets
    )
    for slope in slopes:
        assert np.isfinite(slope).all()
        np.testing.assert_array_equal(slope[:, 2], 0)
    hessian = jax.hessian(lambda x: jnp.sum(xentjax.kl_divergence(x, targets)))(logits)
    assert np.isfinite(hessian).all()
    assert xentjax.kl_divergence(logits[0], jnp.array([0.0, 0.0, 1.0])) == np.inf


def test_masked_classes_on_both_sides_count_nothing():
    p, q = P.at[:, 4].set(-jnp.inf), Q.at[:, 4].set(-jnp.inf)
    for loss in (xentjax.kl_divergence_with_logits, xentjax.js_divergence):
        np.testing.assert_allclose(loss(p, q), loss(P[:, :4], Q[:, :4]), rtol=8 * EPS)
        slopes = jax.grad(lambda a, b, f=loss: jnp.sum(f(a, b)), argnums=(0, 1))(p, q)
        for slope in slopes:
            assert np.isfinite(slope).all()
            np.testing.assert_array_equal(slope[:, 4], 0)
    np.testing.assert_allclose(xentjax.entropy(p), xentjax.entropy(P[:, :4]), rtol=8 * EPS)


@pytest.mark.parametrize("shared", [True, False])
def test_js_is_symmetric_bounded_and_finite_where_kl_is_not(shared):
    p = P if shared else P.at[:, :2].set(-jnp.inf)
    q = Q if shared else Q.at[:, 2:].set(-jnp.inf)
    js = xentjax.js_divergence(p, q)
    np.testing.assert_allclose(js, xentjax.js_divergence(q, p), rtol=8 * EPS)
    assert (np.asarray(js) <= np.log(2) * (1 + 2 * EPS)).all()
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (softmax64(p) + softmax64(q)) / 2
        wanted = [
            0.5 * scipy.stats.entropy(a, m) + 0.5 * scipy.stats.entropy(b, m)
            for a, b, m in zip(softmax64(p), softmax64(q), mean, strict=True)
        ]
    np.testing.assert_allclose(js, wanted, rtol=2e-6)
    slope = jax.grad(lambda x: jnp.sum(xentjax.js_divergence(x, q)))(p)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_temperature_divides_both_sides_and_may_be_traced(temperature):
    wanted = [kl50(q / temperature, p / temperature) for q, p in zip(Q, P, strict=True)]
    got = jax.jit(lambda t: xentjax.kl_divergence_with_logits(P, Q, temperature=t))(temperature)
    np.testing.assert_allclose(got, wanted, rtol=4e-6)
    slope = jax.grad(lambda t: jnp.sum(xentjax.kl_divergence_with_logits(P, Q, temperature=t)))(
        temperature
    )
    step = 1e-4
    ends = [
        sum(kl50(q / t, p / t) for q, p in zip(np.float64(Q), np.float64(P), strict=True))
        for t in (temperature - step, temperature + step)
    ]
    np.testing.assert_allclose(slope, (ends[1] - ends[0]) / (2 * step), rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: xentjax.kl_divergence(P, jnp.ones((6, 5))), ValueError, "must sum to 1"),
        (lambda: xentjax.kl_divergence(P, -jnp.ones((6, 5))), ValueError, "non-negative"),
        (lambda: xentjax.kl_divergence(P, jnp.ones(5)), ValueError, r"got \(5,\), wanted \(6, 5\)"),
        (lambda: xentjax.js_divergence(P, Q[:, :4]), ValueError, "other_logits must have"),
        (lambda: xentjax.entropy(jnp.ones((2, 3), int)), TypeError, "logits must be floating"),
        (
            lambda: xentjax.kl_divergence_with_logits(P, Q, temperature=0.0),
            ValueError,
            "temperature must be positive",
        ),
        (lambda: xentjax.entropy(P, reduction="all"), ValueError, "reduction must be one of"),
        (lambda: xentjax.entropy(P, axis=3), ValueError, "axis 3 is out of range"),
    ],
)
def test_misuse_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_targets_under_a_mask_may_be_anything():
    targets = jax.nn.softmax(Q).at[2].set(jnp.nan)
    where = jnp.arange(6) != 2
    got, slope = jax.value_and_grad(
        lambda t: xentjax.kl_divergence(P, t, where=where, reduction="mean")
    )(targets)
    wanted = xentjax.kl_divergence(P[where], targets[where], reduction="mean")
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS)
    np.testing.assert_array_equal(slope[2], 0)
