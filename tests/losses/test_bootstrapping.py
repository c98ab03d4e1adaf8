"""Bootstrapping against the paper's sums in float64, its limit and its ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax import entropy, softmax_cross_entropy
from xentjax.losses.bootstrapping import bootstrapped_cross_entropy

LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
EPS = 1.2e-7


def paper(logits, labels, beta, kind):
    """−Σ [β t + (1 − β) z] log p in float64, z the prediction or its one-hot."""
    log_p = np.asarray(logits, np.float64)
    log_p = log_p - np.log(np.exp(log_p).sum(-1, keepdims=True))
    eye, p = np.eye(log_p.shape[-1]), np.exp(log_p)
    guess = p if kind == "soft" else eye[p.argmax(-1)]
    return -((beta * eye[np.asarray(labels)] + (1 - beta) * guess) * log_p).sum(-1)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_losses_are_those_of_the_paper(kind):
    for beta in (0.0, 0.3, 0.8):
        got = bootstrapped_cross_entropy(LOGITS, LABELS, beta=jnp.float32(beta), kind=kind)
        np.testing.assert_allclose(got, paper(LOGITS, LABELS, beta, kind), rtol=8 * EPS)
    usual = {"soft": 0.95, "hard": 0.8}[kind]
    got = bootstrapped_cross_entropy(LOGITS, LABELS, kind=kind)
    np.testing.assert_allclose(got, paper(LOGITS, LABELS, usual, kind), rtol=8 * EPS)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_the_gradient_flows_through_the_soft_target_only(kind):
    def ours(x):
        return bootstrapped_cross_entropy(x, LABELS, beta=0.4, kind=kind).sum()

    def theirs(x):
        p = jax.nn.softmax(x)
        guess = p if kind == "soft" else jax.nn.one_hot(jnp.argmax(p, -1), 4)
        target = 0.4 * jax.nn.one_hot(LABELS, 4) + 0.6 * guess
        return -jnp.sum(target * jax.nn.log_softmax(x))

    @partial(jax.jit, static_argnums=0)
    def slopes_and_curvatures(loss, x):
        return jax.grad(loss)(x), jax.hessian(loss)(x)

    # All are sums of terms of size 1, each rounded a few times.
    got, expected = (slopes_and_curvatures(loss, LOGITS) for loss in (ours, theirs))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=10 * EPS), got, expected
    )


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_beta_one_is_cross_entropy_and_beta_zero_the_prediction_alone(kind):
    expected = softmax_cross_entropy(LOGITS, LABELS)
    for beta in (1, jnp.asarray(1.0)):
        got = bootstrapped_cross_entropy(LOGITS, LABELS, beta=beta, kind=kind)
        np.testing.assert_array_equal(got, expected)
    alone = bootstrapped_cross_entropy(LOGITS, LABELS, beta=0.0, kind=kind)
    best = jnp.argmax(LOGITS, -1)
    wanted = entropy(LOGITS) if kind == "soft" else softmax_cross_entropy(LOGITS, best)
    np.testing.assert_array_equal(alone, wanted)


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_nothing_is_lost_at_large_margins_and_offsets(kind):
    def both(m):
        logits = jnp.stack([m, jnp.zeros_like(m)], -1) + 1e7
        return bootstrapped_cross_entropy(logits, jnp.array([0, 0]), beta=0.5, kind=kind)

    margins = jnp.array([30.0, -30.0])
    values, slopes = jax.jvp(both, (margins,), (jnp.ones(2),))
    p = float(np.exp(np.float64(-30)))  # of the class that loses; p² is below every rounding here
    depth = {"soft": p * 31, "hard": p}[kind]
    pull = {"soft": -p * 30, "hard": -p}[kind]
    np.testing.assert_allclose(values, [(p + depth) / 2, (30 + depth) / 2], rtol=8 * EPS)
    np.testing.assert_allclose(slopes, [(-p + pull) / 2, (-1 - pull) / 2], rtol=8 * EPS)


def test_a_masked_class_and_an_impossible_label():
    logits = jnp.array([-jnp.inf, 1.0, 0.0])
    for kind in ("soft", "hard"):
        value, slope = jax.value_and_grad(bootstrapped_cross_entropy)(
            logits, jnp.array(1), kind=kind
        )
        assert np.isfinite(value)
        assert np.isfinite(slope).all()
        assert slope[0] == 0
        value, slope = jax.value_and_grad(bootstrapped_cross_entropy)(
            logits, jnp.array(0), kind=kind
        )
        assert value == np.inf
        assert np.isfinite(slope).all()


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"kind must be one of .*got 'sofr'; did you mean 'soft'?"):
        bootstrapped_cross_entropy(LOGITS, LABELS, kind="sofr")
    with pytest.raises(ValueError, match=r"beta must lie in \[0, 1\], got 2.0"):
        bootstrapped_cross_entropy(LOGITS, LABELS, beta=2.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got -1"):
        bootstrapped_cross_entropy(LOGITS, LABELS.at[1].set(-1))
    for kind in ("soft", "hard"):

        def loss(x, y, kind=kind):
            return bootstrapped_cross_entropy(x, y, kind=kind)

        value, slope = jax.jit(jax.vmap(jax.value_and_grad(loss)))(LOGITS, LABELS.at[1].set(4))
        assert np.isnan(value[1])
        assert np.isnan(slope[1]).all()
        assert np.isfinite(np.delete(slope, 1, 0)).all()
