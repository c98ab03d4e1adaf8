"""The confidence penalty against float64, torch, its limit and its ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax

from xentjax import softmax_cross_entropy
from xentjax.losses.confidence import confidence_penalty

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(5, 4)) * 3, jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
SOFT = jnp.asarray(RNG.dirichlet(np.ones(4), 5), jnp.float32)
EPS = 1.2e-7


@jax.jit
def with_slopes(logits, labels, beta):
    def total(x):
        return jnp.sum(confidence_penalty(x, labels, beta=beta))

    return confidence_penalty(logits, labels, beta=beta), jax.grad(total)(logits)


def test_beta_zero_is_cross_entropy():
    for labels in (LABELS, SOFT):
        for beta in (0, jnp.asarray(0.0)):
            np.testing.assert_allclose(
                confidence_penalty(LOGITS, labels, beta=beta),
                softmax_cross_entropy(LOGITS, labels),
                rtol=2 * EPS,
            )


@pytest.mark.parametrize("beta", [0.1, 2.0])
def test_equals_the_formula_in_float64(beta):
    log_p = log_softmax(np.asarray(LOGITS, np.float64), axis=1)
    p = np.exp(log_p)
    surprise = (p * log_p).sum(1, keepdims=True)  # −H
    for labels, t in ((LABELS, np.eye(4)[np.asarray(LABELS)]), (SOFT, np.float64(SOFT))):
        value, slope = with_slopes(LOGITS, labels, beta)
        wanted = -(t * log_p).sum(1) + beta * surprise[:, 0]
        slope_wanted = t.sum(1, keepdims=True) * p - t + beta * p * (log_p - surprise)
        # Two terms of size up to 10 (1 + β) are subtracted.
        np.testing.assert_allclose(value, wanted, atol=10 * (1 + beta) * EPS)
        np.testing.assert_allclose(slope, slope_wanted, atol=4 * (1 + beta) * EPS)


def test_equals_torch():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    x = torch.tensor(np.asarray(LOGITS, np.float64), requires_grad=True)
    loss = torch.nn.functional.cross_entropy(
        x, torch.tensor(np.array(LABELS, np.int64)), reduction="none"
    )
    loss = loss - 0.5 * torch.distributions.Categorical(logits=x).entropy()
    loss.sum().backward()
    value, slope = with_slopes(LOGITS, LABELS, 0.5)
    np.testing.assert_allclose(value, loss.detach().numpy(), atol=20 * EPS)
    np.testing.assert_allclose(slope, x.grad.numpy(), atol=8 * EPS)


def test_it_is_negative_down_to_beta_log_classes_and_no_further():
    beta, even = 3.0, jnp.zeros((1, 4))
    # All even: (1 − β) log C; with targets that agree, (1 − β) H is the least a loss can be.
    value = confidence_penalty(even, jnp.full((1, 4), 0.25), beta=beta)
    np.testing.assert_allclose(value, (1 - beta) * np.log(4), rtol=4 * EPS)
    assert (confidence_penalty(LOGITS, LABELS, beta=beta) >= -beta * np.log(4)).all()


def test_sure_predictions_keep_their_digits():
    # Margin m: l = log1p(e⁻ᵐ) − β H with H = log1p(e⁻ᵐ) + m e⁻ᵐ / (1 + e⁻ᵐ).
    margins = np.array([15.0, 20.0, 30.0])
    logits = jnp.stack([jnp.asarray(margins, jnp.float32), jnp.zeros(3)], 1)
    rest = np.exp(-margins)
    wanted = np.log1p(rest) - 0.01 * (np.log1p(rest) + margins * rest / (1 + rest))
    for labels in (jnp.zeros(3, jnp.int32), jnp.tile(jnp.array([1.0, 0.0]), (3, 1))):
        value, slope = with_slopes(logits, labels, 0.01)
        np.testing.assert_allclose(value, wanted, rtol=1e-6 + 6e-8 * 30)
        np.testing.assert_array_less(np.abs(slope.sum(1)), 1e-6 * np.abs(slope).max(1))


def test_masked_classes_offsets_and_ends():
    masked = LOGITS.at[:, 3].set(-jnp.inf)
    value, slope = with_slopes(masked, LABELS % 3, 0.5)
    wanted, slope_wanted = with_slopes(LOGITS[:, :3], LABELS % 3, 0.5)
    np.testing.assert_allclose(value, wanted, atol=16 * EPS)
    np.testing.assert_allclose(slope[:, :3], slope_wanted, atol=8 * EPS)
    assert not np.any(slope[:, 3])
    whole = jnp.array([[3.0, 1.0, 2.0, 0.0]] * 5)  # integers: 1e7 more is exact
    np.testing.assert_allclose(
        with_slopes(whole + 1e7, LABELS, 0.5)[0], with_slopes(whole, LABELS, 0.5)[0], rtol=4 * EPS
    )
    ends = jnp.array([[1e4, -1e4, 0.0, 1e4], [-1e4, 1e4, 1e4, 0.0]])
    assert np.isfinite(
        np.concatenate([x.ravel() for x in with_slopes(ends, LABELS[:2], 0.5)])
    ).all()
    certain = jnp.array([[jnp.inf, 0.0, 1.0, -jnp.inf]])
    for labels in (jnp.array([0]), jnp.array([[1.0, 0.0, 0.0, 0.0]])):
        assert confidence_penalty(certain, labels) == 0


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="beta must be non-negative"):
        confidence_penalty(LOGITS, LABELS, beta=-0.1)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got -1 at position \(1,\)"):
        confidence_penalty(LOGITS, LABELS.at[1].set(-1))
    value, slope = with_slopes(LOGITS, LABELS.at[1].set(-1), 0.5)
    assert np.isnan(value[1])
    assert np.isnan(slope[1]).all()
    assert np.isfinite(np.delete(slope, 1, axis=0)).all()
    keep = jnp.array([True, False, True, True, True])
    hidden = LOGITS.at[1].set(jnp.nan)
    masked = confidence_penalty(hidden, LABELS, where=keep, reduction="sum")
    alone = confidence_penalty(LOGITS[keep], LABELS[keep], reduction="sum")
    np.testing.assert_allclose(masked, alone, rtol=8 * EPS)
