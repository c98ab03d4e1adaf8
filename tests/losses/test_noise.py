"""Forward correction against the paper's sum in float64, its limit and its ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.noise import forward_corrected_cross_entropy

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(5, 4)), jnp.float32)
LABELS = jnp.array([0, 3, 1, 2, 2])
# Zeros, a class that is never seen as itself, and one that always is.
NOISE = np.array(
    [[0.7, 0.3, 0.0, 0.0], [0.5, 0.0, 0.25, 0.25], [0.0, 0.0, 1.0, 0.0], [0.1, 0.2, 0.3, 0.4]],
    np.float32,
)
EPS = 1.2e-7


def truth(logits, labels, noise):
    """−log (p T)_y and its gradient p − r, r the share of each class in (p T)_y; in float64."""
    x = np.asarray(logits, np.float64)
    p = np.exp(x - x.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    joint = p * np.asarray(noise, np.float64).T[np.asarray(labels)]
    total = joint.sum(-1, keepdims=True)
    return -np.log(total[..., 0]), p - joint / total


def losses_and_gradient(logits, labels, noise):
    def total(x):
        losses = forward_corrected_cross_entropy(x, labels, noise)
        return losses.sum(), losses

    gradient, losses = jax.jit(jax.grad(total, has_aux=True))(logits)
    return losses, gradient


def test_losses_and_gradients_are_those_of_the_paper():
    logits = jnp.concatenate([LOGITS, 10 * LOGITS, LOGITS + 8.0])
    labels = jnp.tile(LABELS, 3)
    losses, gradient = losses_and_gradient(logits, labels, NOISE)
    expected = truth(logits, labels, NOISE)
    np.testing.assert_allclose(losses, expected[0], rtol=8 * EPS, atol=8 * EPS)
    np.testing.assert_allclose(gradient, expected[1], rtol=0, atol=20 * EPS)  # logits up to 30


def test_torch_finds_the_same():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    x = torch.tensor(np.asarray(LOGITS, np.float64), requires_grad=True)
    log_seen = (torch.softmax(x, -1) @ torch.tensor(NOISE, dtype=torch.float64)).log()
    labels = torch.tensor(np.asarray(LABELS), dtype=torch.int64)
    expected = torch.nn.functional.nll_loss(log_seen, labels, reduction="sum")
    expected.backward()
    losses, gradient = losses_and_gradient(LOGITS, LABELS, NOISE)
    np.testing.assert_allclose(losses.sum(), expected.item(), rtol=8 * EPS)
    np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=0, atol=8 * EPS)


def test_no_noise_is_cross_entropy_to_the_last_digit():
    margins = np.array([-300.0, -30.0, -1.0, 0.0, 2.0, 15.0, 30.0, 80.0], np.float32)
    logits = jnp.pad(margins[:, None], ((0, 0), (0, 2)))
    labels = jnp.zeros(len(margins), jnp.int32)
    losses, gradient = losses_and_gradient(logits, labels, np.eye(3))
    expected = jax.jit(jax.vmap(jax.value_and_grad(softmax_cross_entropy)))(logits, labels)
    np.testing.assert_array_equal(losses, expected[0])
    # The same derivative, but multiplied by 1 and added to 0 in another order.
    np.testing.assert_allclose(gradient, expected[1], rtol=2 * EPS)


def test_a_large_offset_changes_nothing():
    # Whole numbers, so that the logits themselves survive the offset.
    logits = jnp.array([[3.0, 1.0, 0.0, 2.0]])
    plain = forward_corrected_cross_entropy(logits, jnp.array([1]), NOISE)
    for loss in (forward_corrected_cross_entropy, jax.jit(forward_corrected_cross_entropy)):
        moved = loss(logits + 1e7, jnp.array([1]), NOISE)
        np.testing.assert_allclose(moved, plain, rtol=2 * EPS)


def test_certain_predictions_cost_what_the_noise_makes_of_them():
    # The model is certain of class 0, 1, 2: −log T_cy, and the gradient fades out.
    logits = 1e4 * jnp.eye(4)[:3]
    losses, gradient = losses_and_gradient(logits, jnp.array([1, 3, 2]), NOISE)
    np.testing.assert_allclose(losses, -np.log([0.3, 0.25, 1.0]), rtol=4 * EPS)
    np.testing.assert_allclose(gradient, np.zeros((3, 4)), atol=0)


def test_what_cannot_be_seen_costs_infinity_with_a_finite_gradient():
    logits = jnp.array(
        [[0.0, 1.0, -jnp.inf, 2.0], [-jnp.inf, 0.0, 1.0, -jnp.inf], [-jnp.inf] * 3 + [0.0]]
    )
    # Label 2 by way of 1 and 3; label 1 by none of 1 and 2; label 0 by way of 3 alone.
    losses, gradient = losses_and_gradient(logits, jnp.array([2, 1, 0]), NOISE)
    p = np.exp([0.0, 1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum()
    expected = [-np.log(0.25 * p[1] + 0.3 * p[2]), np.inf, -np.log(0.1)]
    np.testing.assert_allclose(losses, expected, rtol=8 * EPS)
    assert np.isfinite(gradient).all()
    assert not np.any(np.asarray(gradient)[np.isneginf(logits)])


def test_the_noise_can_be_trained():
    def loss(noise):
        return forward_corrected_cross_entropy(LOGITS, LABELS, noise, reduction="sum")

    gradient = jax.jit(jax.grad(loss))(NOISE)
    p = np.asarray(jax.nn.softmax(LOGITS), np.float64)
    expected = np.zeros((4, 4))
    for row, label in zip(p, np.asarray(LABELS), strict=True):
        expected[:, label] -= row / (row @ NOISE[:, label])
    expected[NOISE == 0] = 0
    np.testing.assert_allclose(gradient, expected, rtol=20 * EPS, atol=20 * EPS)


def test_masked_and_ignored_rows_count_nothing():
    logits, labels = LOGITS.at[1].set(jnp.nan), LABELS.at[1].set(-100)
    keep = np.array([True, False, True, True, True])
    expected = np.mean(forward_corrected_cross_entropy(LOGITS, LABELS, NOISE)[keep])

    def loss(x):
        return forward_corrected_cross_entropy(
            x, labels, NOISE, ignore_index=-100, reduction="mean"
        )

    value, slope = jax.value_and_grad(loss)(logits)
    np.testing.assert_allclose(value, expected, rtol=2 * EPS)
    assert not np.any(slope[1])
    assert np.isfinite(slope).all()


def test_bad_input_is_refused_or_nan():
    cases = [
        (NOISE[:3], r"noise must hold P\(seen \| true\) .*got shape \(3, 4\), wanted \(4, 4\)"),
        (NOISE.T, r"the rows of noise must sum to 1, got 1.3 in row 0"),
        (
            NOISE - np.eye(4, k=1),
            r"noise must hold probabilities, got -0.69.* at position \(0, 1\)",
        ),
        (NOISE * np.nan, "noise must hold probabilities, got nan"),
    ]
    for noise, message in cases:
        with pytest.raises(ValueError, match=message):
            forward_corrected_cross_entropy(LOGITS, LABELS, noise)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got -1"):
        forward_corrected_cross_entropy(LOGITS, LABELS.at[1].set(-1), NOISE)

    @jax.jit
    def under_jit(x, y, noise):
        return jax.vmap(jax.value_and_grad(forward_corrected_cross_entropy), (0, 0, None))(
            x, y, noise
        )

    value, slope = under_jit(LOGITS, LABELS.at[1].set(4), NOISE)
    assert np.isnan(value[1])
    assert np.isnan(slope[1]).all()
    assert np.isfinite(np.delete(slope, 1, 0)).all()
    for bad in (NOISE.T, NOISE - np.eye(4, k=1, dtype=np.float32)):
        value, slope = under_jit(LOGITS, LABELS, bad)
        assert np.isnan(value).all()
        assert np.isnan(slope).all()
