"""DPO in its kinds and KTO against TRL's formulas, 50-digit slopes, their limits and ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax import linear_log_probs
from xentjax.losses.preference import dpo_loss, kto_loss

RNG = np.random.default_rng(0)
# Sums over some hundred tokens, as they come.
CHOSEN, REJECTED, OF_CHOSEN, OF_REJECTED = (
    (-80 + 20 * RNG.normal(size=(4, 6))).astype(np.float32) for _ in range(4)
)
PAIRS = tuple(map(jnp.asarray, (CHOSEN, REJECTED, OF_CHOSEN, OF_REJECTED)))
TINY = float(np.finfo(np.float32).tiny)  # what is below it is flushed to 0


def log_sigmoid(x):
    return -np.logaddexp(0, -x)


def trl(kind, beta, eps):
    """The loss as TRL's DPOTrainer writes it, in float64."""
    chosen, rejected, of_chosen, of_rejected = (np.asarray(x, np.float64) for x in PAIRS)
    delta = (chosen - of_chosen) - (rejected - of_rejected)
    return {
        "sigmoid": -log_sigmoid(beta * delta),
        "hinge": np.maximum(1 - beta * delta, 0),
        "ipo": (delta - 1 / (2 * beta)) ** 2,
        "conservative": -log_sigmoid(beta * delta) * (1 - eps) - log_sigmoid(-beta * delta) * eps,
        "robust": (-(1 - eps) * log_sigmoid(beta * delta) + eps * log_sigmoid(-beta * delta))
        / (1 - 2 * eps),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "eps"),
    [("sigmoid", 0.0), ("hinge", 0.0), ("ipo", 0.0), ("conservative", 0.2), ("robust", 0.2)],
)
def test_every_kind_is_what_trl_states(kind, eps):
    got = dpo_loss(*PAIRS, beta=0.3, kind=kind, label_smoothing=eps)
    wanted = trl(kind, 0.3, eps)
    # |h| up to 120 is known to 120 eps; the square doubles that.
    np.testing.assert_allclose(got, wanted, rtol=4e-6, atol=0.3 * 120 * 1.2e-7)


def test_limits():
    plain = dpo_loss(*PAIRS)
    for kind in ("robust", "conservative"):
        for none in (0.0, jnp.asarray(0.0)):
            got = dpo_loss(*PAIRS, kind=kind, label_smoothing=none)
            np.testing.assert_allclose(got, plain, rtol=2e-7)
    # β → 0, or nothing gained on either side, is a coin's log 2.
    np.testing.assert_allclose(dpo_loss(*PAIRS, beta=1e-9), np.log(2), rtol=2e-7)
    same = dpo_loss(*PAIRS[:2], *PAIRS[:2])
    np.testing.assert_allclose(same, np.log(2), rtol=2e-7)
    # IPO is least where the gain is 1/(2β).
    met = dpo_loss(jnp.array(5.0), jnp.array(0.0), jnp.zeros(()), jnp.zeros(()), kind="ipo")
    assert met == 0


def margins(kind, eps):
    def loss(h):
        z = mpmath.mpf("0.5") * h
        good, bad = mpmath.log1p(mpmath.exp(-z)), mpmath.log1p(mpmath.exp(z))
        if kind == "robust":
            return ((1 - eps) * good - eps * bad) / (1 - 2 * eps)
        return (1 - eps) * good + eps * bad

    return loss


@pytest.mark.parametrize(
    ("kind", "eps"), [("sigmoid", 0), ("conservative", 0.25), ("robust", 0.25)]
)
def test_value_and_slope_are_exact_at_every_margin(kind, eps):
    h = np.array([-2e4, -170.0, -30.0, -2.0, 0.0, 1.0, 34.0, 150.0, 2e4], np.float32)
    zero = jnp.zeros_like(h)

    def loss(chosen):
        return dpo_loss(chosen, zero, zero, zero, beta=0.5, kind=kind, label_smoothing=eps)

    got = jax.jit(lambda x: (loss(x), jax.grad(lambda y: jnp.sum(loss(y)))(x)))(jnp.asarray(h))
    with mpmath.workdps(50):
        f = margins(kind, mpmath.mpf(eps))
        wanted = [float(f(mpmath.mpf(float(x)))) for x in h]
        slopes = [float(mpmath.diff(f, mpmath.mpf(float(x)))) for x in h]
    # e⁻ᶻ repeats the rounding of z, at most 87 before it underflows; subtraction is absolute.
    rounding = 1.2e-7 * (2 + np.minimum(np.abs(h) / 2, 87))
    for found, truth in zip(got, (wanted, slopes), strict=True):
        error = np.abs(np.asarray(found) - truth)
        assert np.all(error <= rounding * np.abs(truth) + TINY + (kind == "robust") * 3e-7), error


def test_reference_is_constant_and_masked_pairs_do_not_exist():
    keep = np.arange(6) % 2 == 0
    spoilt = [x.at[:, 1::2].set(np.nan) for x in PAIRS]

    def mean(*pairs):
        return dpo_loss(*pairs, where=keep, weights=1 + jnp.arange(6.0), reduction="mean")

    value, slopes = jax.value_and_grad(mean, argnums=(0, 1, 2, 3))(*spoilt)
    weights = np.broadcast_to([1.0, 3.0, 5.0], (4, 3))
    wanted = np.average(trl("sigmoid", 0.1, 0)[:, keep], weights=weights)
    np.testing.assert_allclose(value, wanted, rtol=4e-6)
    assert np.all(np.isfinite(slopes[0]))
    assert not np.any(slopes[0][:, 1::2])
    np.testing.assert_array_equal(slopes[0], -slopes[1])
    assert not np.any(slopes[2])
    assert not np.any(slopes[3])


def test_an_impossible_chosen_answer_costs_infinitely_and_pulls_finitely():
    zero = jnp.zeros(())
    value, slope = jax.value_and_grad(dpo_loss)(jnp.asarray(-jnp.inf), zero, zero, zero, beta=0.5)
    assert value == np.inf
    assert slope == -0.5


def test_from_hidden_states_to_the_loss_equals_the_dense_computation():
    n, t, d, v = 3, 5, 4, 11
    rng = np.random.default_rng(1)
    hidden = jnp.asarray(rng.normal(size=(2, n, t, d)), jnp.float32)
    head = jnp.asarray(rng.normal(size=(d, v)), jnp.float32)
    labels = jnp.asarray(rng.integers(v, size=(2, n, t)))
    mask = jnp.asarray(np.arange(t) < np.array([[5, 2, 3], [1, 4, 5]])[..., None])
    of_chosen, of_rejected = jnp.asarray(-10 + rng.normal(size=(2, n)), jnp.float32)

    def from_sums(sums):
        return dpo_loss(sums[0], sums[1], of_chosen, of_rejected, beta=0.5, reduction="mean")

    def fused(hidden, head):
        return from_sums(jnp.sum(linear_log_probs(hidden, head, labels, where=mask).log_prob, -1))

    def dense(hidden, head):
        log_p = jax.nn.log_softmax(hidden @ head)
        picked = jnp.take_along_axis(log_p, labels[..., None], -1)[..., 0]
        return from_sums(jnp.sum(jnp.where(mask, picked, 0), -1))

    got, slopes = jax.jit(jax.value_and_grad(fused, argnums=(0, 1)))(hidden, head)
    wanted, truth = jax.jit(jax.value_and_grad(dense, argnums=(0, 1)))(hidden, head)
    # √(T·V) ≈ 7 roundings in each sum.
    np.testing.assert_allclose(got, wanted, rtol=1e-6)
    for ours, theirs in zip(slopes, truth, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=2e-6)


def test_bad_input_is_refused():
    with pytest.raises(
        ValueError, match=r"kind must be one of .*, got 'sigmod'; did you mean 'sig"
    ):
        dpo_loss(*PAIRS, kind="sigmod")
    for smoothing in (0.1, jnp.asarray(0.0)):
        with pytest.raises(ValueError, match="label_smoothing is an option of kind 'robust'"):
            dpo_loss(*PAIRS, label_smoothing=smoothing)
    with pytest.raises(ValueError, match=r"label_smoothing must lie in \[0, 0.5\), got 0.5"):
        dpo_loss(*PAIRS, kind="robust", label_smoothing=0.5)
    with pytest.raises(ValueError, match="beta must be positive and finite, got 0"):
        dpo_loss(*PAIRS, beta=0)
    with pytest.raises(ValueError, match=r"reference_rejected must have the shape of chosen: got"):
        dpo_loss(*PAIRS[:3], PAIRS[3][:, :1])
    with pytest.raises(TypeError, match="rejected must be floating point, got int32"):
        dpo_loss(CHOSEN, jnp.zeros((4, 6), jnp.int32), OF_CHOSEN, OF_REJECTED)
    value, slope = jax.jit(
        jax.value_and_grad(lambda x, b: dpo_loss(x, *PAIRS[1:], beta=b, reduction="mean"))
    )(PAIRS[0], -1.0)
    assert np.isnan(value)
    assert np.isnan(slope).all()


def answers():
    desirable = np.arange(24).reshape(4, 6) % 3 > 0
    return jnp.asarray(CHOSEN), jnp.asarray(OF_CHOSEN), jnp.asarray(desirable)


@pytest.mark.parametrize("kl", [0.0, 3.5, -2.0])
def test_kto_is_what_trl_states(kl):
    log_probs, reference, desirable = answers()
    got = kto_loss(log_probs, reference, desirable, kl, beta=0.2, undesirable_weight=1.5)
    ratio = CHOSEN.astype(np.float64) - OF_CHOSEN
    point = np.maximum(kl, 0)
    good = 1 - 1 / (1 + np.exp(-0.2 * (ratio - point)))
    bad = 1.5 * (1 - 1 / (1 + np.exp(-0.2 * (point - ratio))))
    # β (r − z) up to 14 carries 14 roundings into the exponential; 1 − σ is float64's.
    np.testing.assert_allclose(got, np.where(desirable, good, bad), rtol=2e-6, atol=1e-15)


def test_kto_without_gain_is_half_its_weight():
    log_probs, _, desirable = answers()
    got = kto_loss(
        log_probs, log_probs, desirable, 0.0, desirable_weight=3.0, undesirable_weight=2.0
    )
    np.testing.assert_allclose(got, np.where(desirable, 1.5, 1.0), rtol=2e-7)


def test_kto_slope_keeps_its_digits_where_the_sigmoid_has_rounded_to_one():
    x = np.array([-60.0, -25.0, -17.0, 0.0, 17.0, 60.0], np.float32)

    def loss(log_probs):
        zero = jnp.zeros_like(log_probs)
        return jnp.sum(kto_loss(log_probs, zero, jnp.ones(6, bool), 0.0, beta=1.0))

    e = np.exp(-np.abs(x.astype(np.float64)))
    np.testing.assert_allclose(jax.grad(loss)(x), -e / (1 + e) ** 2, rtol=60 * 1.2e-7 + 4e-7)


@pytest.mark.parametrize("name", ["beta", "desirable_weight", "undesirable_weight"])
def test_a_traced_kto_option_out_of_range_is_nan_for_every_answer(name):
    log_probs, reference, desirable = answers()

    def loss(x, option):
        return kto_loss(x, reference, desirable, 0.0, **{name: option})

    value, vjp = jax.vjp(jax.jit(loss), log_probs, -1.0)
    assert np.isnan(value).all()
    assert np.isnan(vjp(value)[0]).all()


def test_kto_reference_point_is_constant_and_bad_input_is_refused():
    log_probs, reference, desirable = answers()
    slopes = jax.grad(lambda r, kl: jnp.sum(kto_loss(log_probs, r, desirable, kl)), (0, 1))(
        reference, jnp.asarray(2.0)
    )
    assert not np.any(slopes[0])
    assert slopes[1] == 0
    keep = np.arange(24).reshape(4, 6) > 3
    spoilt = jnp.where(keep, log_probs, jnp.nan)
    value, slope = jax.value_and_grad(
        lambda x: kto_loss(x, reference, desirable, spoilt - x + 1, where=keep, reduction="sum")
    )(spoilt)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
    with pytest.raises(TypeError, match="desirable must be boolean, got int32"):
        kto_loss(log_probs, reference, desirable.astype(jnp.int32), 0.0)
    with pytest.raises(ValueError, match="desirable must have the shape of log_probs"):
        kto_loss(log_probs, reference, desirable[0], 0.0)
    with pytest.raises(ValueError, match="kl must be broadcastable to"):
        kto_loss(log_probs, reference, desirable, jnp.zeros(5))
    with pytest.raises(ValueError, match="undesirable_weight must be non-negative"):
        kto_loss(log_probs, reference, desirable, 0.0, undesirable_weight=-1.0)
