"""Long-tail losses against the papers' formulas in float64, their limits and their ends."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from xentjax import linear_cross_entropy, softmax_cross_entropy
from xentjax.losses.longtail import ldam_loss, logit_adjusted_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
COUNTS = np.array([1000, 200, 30, 4])
EPS = 1.2e-7


def cross_entropy(logits, labels):
    """−log softmax(x)_y in float64."""
    x = np.asarray(logits, np.float64)
    x = x - x.max(-1, keepdims=True)
    nll = np.log(np.exp(x).sum(-1, keepdims=True)) - x
    return np.take_along_axis(nll, np.asarray(labels)[:, None], -1)[:, 0]


def pair_truth(margins):
    """Losses and slopes by the margin of two classes, label 0, in 50 digits."""
    with mpmath.workdps(50):
        exps = [mpmath.exp(-m) for m in margins]
        return [float(mpmath.log1p(e)) for e in exps], [float(-e / (1 + e)) for e in exps]


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_logit_adjusted_is_the_formula_of_the_paper(tau):
    prior = COUNTS / COUNTS.sum()
    expected = cross_entropy(np.asarray(LOGITS, np.float64) + tau * np.log(prior), LABELS)
    for counts in (COUNTS, jnp.asarray(prior, jnp.float32)):
        got = logit_adjusted_cross_entropy(LOGITS, LABELS, counts, tau=tau)
        # The prior itself is rounded, and its logarithm has size τ · 6.
        np.testing.assert_allclose(got, expected, rtol=8 * EPS, atol=tau * 6 * EPS)


def test_balanced_softmax_is_tau_one():
    x = np.asarray(LOGITS, np.float64)
    weighed = COUNTS * np.exp(x)
    picked = weighed[np.arange(5), np.asarray(LABELS)]
    got = logit_adjusted_cross_entropy(LOGITS, LABELS, COUNTS)
    np.testing.assert_allclose(got, -np.log(picked / weighed.sum(-1)), rtol=8 * EPS)


def test_tau_zero_and_margin_zero_are_cross_entropy():
    expected = softmax_cross_entropy(LOGITS, LABELS)
    for tau in (0, 0.0):
        got = logit_adjusted_cross_entropy(LOGITS, LABELS, COUNTS, tau=tau)
        np.testing.assert_array_equal(got, expected)
    got = ldam_loss(LOGITS, LABELS, COUNTS, max_margin=0, scale=1.0)
    np.testing.assert_array_equal(got, expected)
    # Traced, the logits are rounded once more, below the largest of them.
    got = logit_adjusted_cross_entropy(LOGITS, LABELS, COUNTS, tau=jnp.asarray(0.0))
    np.testing.assert_allclose(got, expected, rtol=6 * EPS)


def test_the_fused_loss_takes_the_same_bias():
    hidden = jnp.asarray(RNG.normal(size=(6, 3)), jnp.float32)
    weight = jnp.asarray(RNG.normal(size=(3, 4)), jnp.float32)
    labels = jnp.array([0, 1, 2, 3, 0, 1])

    def fused(h, w):
        bias = 0.7 * jnp.log(COUNTS / COUNTS.sum()).astype(jnp.float32)
        return linear_cross_entropy(h, w, labels, bias=bias)

    def dense(h, w):
        return logit_adjusted_cross_entropy(h @ w, labels, COUNTS, tau=0.7, reduction="mean")

    got, expected = (jax.jit(jax.value_and_grad(f, (0, 1)))(hidden, weight) for f in (fused, dense))
    # Products of three terms of size 1, summed in another order.
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=10 * EPS), got, expected
    )


@pytest.mark.parametrize("compiled", [True, False], ids=["jit", "eager"])
def test_adjusted_margins_are_exact_at_large_offsets(compiled):
    # τ log(1 / 1000) is known to float32's rounding only, so it is a part of the truth.
    margins = np.array([-30.0, 0.0, 15.0, 21.0, 37.0])
    logits = np.pad(margins[:, None], ((0, 0), (0, 1))).astype(np.float32)

    def loss(m):
        moved = jnp.stack([m, jnp.zeros_like(m)], -1) + 2.0**23  # where 1 is the spacing
        labels = jnp.zeros(len(margins), jnp.int32)
        return logit_adjusted_cross_entropy(moved, labels, np.array([1, 1000]), tau=0.7)

    loss = jax.jit(loss) if compiled else loss
    values, slopes = jax.jvp(loss, (logits[:, 0],), (np.ones(5, np.float32),))
    shift = np.float64(np.float32(0.7) * np.float32(np.log(np.float32(1e-3))))
    expected = pair_truth([mpmath.mpf(m + shift) for m in margins])
    # shift is rounded to 5 · 6e-8, and m + shift to half an ulp of 37.
    np.testing.assert_allclose(values, expected[0], rtol=40 * EPS)
    np.testing.assert_allclose(slopes, expected[1], rtol=40 * EPS)


def test_ldam_is_the_formula_of_the_paper():
    for margin, scale in ((0.5, 30.0), (0.2, 3.0)):
        margins = (1 / COUNTS**0.25) * (margin / (1 / COUNTS**0.25).max())
        shifted = np.asarray(LOGITS, np.float64) - margins * np.eye(4)[np.asarray(LABELS)]
        got = ldam_loss(LOGITS, LABELS, COUNTS, max_margin=margin, scale=scale)
        # Logits of size 2, rounded and then scaled.
        expected = cross_entropy(scale * shifted, LABELS)
        np.testing.assert_allclose(got, expected, rtol=8 * EPS, atol=4 * scale * EPS)


def test_ldam_keeps_its_digits_where_the_label_wins():
    logits = jnp.array([[1.5, 0.0], [0.0, 1.0]])  # 30 · (1.5 − 0.5) and 30 · (1 − 0.25): 30, 22.5
    values, slopes = jax.vmap(jax.value_and_grad(ldam_loss), (0, 0, None))(
        logits, jnp.array([0, 1]), np.array([1, 16])
    )
    expected = pair_truth([mpmath.mpf(30), mpmath.mpf(22.5)])
    np.testing.assert_allclose(values, expected[0], rtol=4 * EPS)
    np.testing.assert_allclose(
        [slopes[0, 0], slopes[1, 1]], 30 * np.array(expected[1]), rtol=4 * EPS
    )


def test_sixteen_bits_masked_classes_and_extremes():
    rows = [[1e4, -1e4, 0.0, 1.0], [-1e4, 1e4, 0.0, 1.0], [0.0, 1.0, -jnp.inf, 2.0]]
    logits = jnp.array(rows, jnp.bfloat16)
    for loss in (logit_adjusted_cross_entropy, ldam_loss):
        values, slopes = jax.jit(jax.vmap(jax.value_and_grad(loss), (0, 0, None)))(
            logits, jnp.array([0, 0, 1]), COUNTS
        )
        assert values.dtype == jnp.float32
        assert slopes.dtype == jnp.bfloat16
        assert np.isfinite(values).all()
        assert np.isfinite(slopes.astype(jnp.float32)).all()
        assert slopes[2, 2] == 0


@pytest.mark.parametrize("loss", [logit_adjusted_cross_entropy, ldam_loss])
def test_masked_and_ignored_rows_count_nothing(loss):
    logits, labels = LOGITS.at[1].set(jnp.nan), LABELS.at[1].set(-100)
    keep = np.array([True, False, True, True, True])
    expected = np.mean(loss(LOGITS, LABELS, COUNTS)[keep])
    value, slope = jax.value_and_grad(loss)(
        logits, labels, COUNTS, ignore_index=-100, reduction="mean"
    )
    np.testing.assert_allclose(value, expected, rtol=2 * EPS)
    assert not np.any(slope[1])


@pytest.mark.parametrize("loss", [logit_adjusted_cross_entropy, ldam_loss])
def test_bad_input_is_refused_or_nan(loss):
    cases = [
        ({"class_counts": COUNTS[:3]}, r"one count per class: got shape \(3,\), wanted \(4,\)"),
        ({"class_counts": COUNTS * [1, 1, 0, 1]}, "must be positive and finite, got 0 for class 2"),
        ({"labels": LABELS.at[1].set(4)}, r"labels must lie in \[0, 4\), got 4"),
    ]
    for changed, message in cases:
        with pytest.raises(ValueError, match=message):
            loss(LOGITS, **({"labels": LABELS, "class_counts": COUNTS} | changed))
    option = "tau" if loss is logit_adjusted_cross_entropy else "max_margin"
    with pytest.raises(ValueError, match=f"{option} must be non-negative and finite, got -1.0"):
        loss(LOGITS, LABELS, COUNTS, **{option: -1.0})
    under_jit = jax.jit(jax.vmap(jax.value_and_grad(loss), (0, 0, None)))
    value, slope = under_jit(LOGITS, LABELS.at[1].set(-1), COUNTS)
    assert np.isnan(value[1])
    assert np.isnan(slope[1]).all()
    assert np.isfinite(np.delete(slope, 1, 0)).all()
    value, slope = under_jit(LOGITS, LABELS, COUNTS * [1, 1, 0, 1])
    assert np.isnan(value).all()
    assert np.isnan(slope).all()
