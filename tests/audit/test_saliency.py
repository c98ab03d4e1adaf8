"""Attributions of a linear model are its weights; of any model those of the paper's formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.audit.covering import occlusion, square_patches
from xentjax.audit.saliency import (
    gradient_saliency,
    gradient_times_input,
    integrated_gradients,
    smooth_grad,
)

RNG = np.random.default_rng(0)
W = RNG.normal(size=(6, 3)).astype(np.float32)
HIDDEN = RNG.normal(size=(6, 8)).astype(np.float32)
OUT = RNG.normal(size=(8, 3)).astype(np.float32)
X = RNG.normal(size=(5, 6)).astype(np.float32)
Y = np.array([0, 1, 2, 1, 0])
EPS = np.finfo(np.float32).eps


def linear(x):
    return x @ W


def tanh_net(x):
    return jnp.tanh(x @ HIDDEN) @ OUT


def tanh_slope(x, y):
    """By hand, in float64: Σ_h W_jh (1 − tanh²) V_hy."""
    h = np.tanh(x.astype(np.float64) @ HIDDEN)
    return ((1 - h**2) * OUT.T[y]) @ HIDDEN.T


def test_every_method_gives_a_linear_model_its_weights():
    w = W.T[Y]
    near = {"atol": 20 * EPS * np.abs(W).max() * np.abs(X).max()}
    np.testing.assert_allclose(gradient_saliency(linear, X, Y), np.abs(w), **near)
    np.testing.assert_allclose(gradient_times_input(linear, X, Y), w * X, **near)
    smooth = smooth_grad(linear, X, Y, key=jax.random.key(0), samples=3)
    np.testing.assert_allclose(smooth, w, **near)
    base = RNG.normal(size=6).astype(np.float32)
    found = integrated_gradients(linear, X, Y, baseline=base, nodes=1)
    np.testing.assert_allclose(found.attributions, w * (X - base), **near)
    np.testing.assert_allclose(found.gap, 0, atol=100 * EPS)
    np.testing.assert_allclose(occlusion(linear, X, Y, fill=base), w * (X - base), atol=50 * EPS)


def test_gradients_of_a_net_equal_those_by_hand():
    wanted = tanh_slope(X, Y)
    np.testing.assert_allclose(gradient_saliency(tanh_net, X, Y), np.abs(wanted), atol=1e-5)
    np.testing.assert_allclose(gradient_times_input(tanh_net, X, Y), X * wanted, atol=1e-5)


def test_a_log_probability_is_explained_against_the_other_classes():
    logits = X.astype(np.float64) @ W
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    wanted = (W.T[Y] - p @ W.T) * X
    found = gradient_times_input(linear, X, Y, of="log_probability")
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_integrated_gradients_equal_a_fine_midpoint_sum_and_are_complete():
    # The paper's Riemann sum with 20,000 midpoints, error about 1/20000².
    t = (np.arange(20_000) + 0.5) / 20_000
    for x, y, found in zip(X, Y, integrated_gradients(tanh_net, X, Y).attributions, strict=True):
        slopes = tanh_slope(t[:, None] * x[None], np.full(len(t), y))
        np.testing.assert_allclose(found, x * slopes.mean(0), atol=2e-5)
    # 32 Gauss-Legendre nodes on a smooth path: what is left is rounding, of scores of size ~10.
    assert np.abs(integrated_gradients(tanh_net, X, Y).gap).max() < 100 * EPS * 10


@pytest.mark.parametrize("degree", [2, 4, 6])
def test_nodes_are_exact_up_to_degree_twice_their_number(degree):
    def power(x):
        return jnp.stack([(x**degree).sum(axis=1), x[:, 0]], axis=1)

    x, y = np.array([[1.0, 0.5]], np.float32), np.array([0])
    few, enough = (
        float(np.abs(integrated_gradients(power, x, y, nodes=n).gap[0]))
        for n in (degree // 2 - 1 or 1, degree // 2)
    )
    assert enough < 20 * EPS
    # One node too few misses x^degree by the leading error of Gauss's rule, 1/400 at degree 6.
    assert degree == 2 or few > 1e-4


def test_a_relu_net_has_a_gap_that_is_reported_and_shrinks():
    def relu_net(x):
        return jax.nn.relu(x @ HIDDEN - 0.5) @ OUT

    gaps = [np.abs(integrated_gradients(relu_net, X, Y, nodes=n).gap).mean() for n in (2, 128)]
    assert gaps[0] > 0.02
    assert gaps[1] < gaps[0] / 10
    found = integrated_gradients(relu_net, X, Y, nodes=2)
    total = found.attributions.sum(1) - (found.scores - found.baseline_scores)
    np.testing.assert_allclose(found.gap, total, atol=100 * EPS)


def test_smoothgrad_is_the_slope_of_the_smoothed_score():
    # relu smoothed by noise of σ has the slope Φ(x/σ).
    def kink(x):
        return jnp.concatenate([jax.nn.relu(x), 0 * x], axis=1)

    x, y = np.array([[0.1], [-0.1]], np.float32), np.array([0, 0])
    found = smooth_grad(kink, x, y, key=jax.random.key(0), samples=4000, noise=0.5, spread=0.4)
    wanted = [0.691462, 0.308538]  # Φ(±0.1/0.2)
    # A mean of 4000 of 0 and 1: standard error 0.0073, four of them.
    np.testing.assert_allclose(found[:, 0], wanted, atol=0.03)


def test_patches_share_what_the_square_explains():
    images = RNG.normal(size=(2, 5, 4, 1)).astype(np.float32)
    weight = RNG.normal(size=(20, 2)).astype(np.float32)
    patches = square_patches((5, 4, 1), 2)
    assert patches.shape == (6, 5, 4, 1)
    np.testing.assert_array_equal(patches.sum(axis=0), 1)  # they tile
    found = occlusion(
        lambda x: x.reshape(len(x), 20) @ weight, images, np.array([0, 1]), patches=patches
    )
    for image, label, got in zip(images, (0, 1), found, strict=True):
        parts = image.ravel() * weight[:, label]
        for patch in patches:
            wanted = parts[patch.ravel()].sum()
            np.testing.assert_allclose(got[patch], wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": np.array([0, 1, 2, 3, 0])}, ValueError, r"\[0, 3\), got 3 at position 3"),
        ({"labels": np.array([0, 1])}, ValueError, r"labels must be \[N\] of shape \(5,\)"),
        ({"features": X.astype(int)}, TypeError, "floating point"),
        ({"features": X * np.nan}, ValueError, "features must be finite"),
        ({"of": "probability"}, ValueError, "'log_probability', got 'probability'"),
        ({"predict": lambda x: x @ W * jnp.nan}, ValueError, "gradients must be finite"),
        ({"predict": lambda x: x[0]}, ValueError, r"predict must return \[5, classes\]"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    given = {"predict": linear, "features": X, "labels": Y} | change
    predict, features, labels = (given.pop(name) for name in ("predict", "features", "labels"))
    with pytest.raises(error, match=message):
        gradient_saliency(predict, features, labels, **given)


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="nodes must be at least 1"):
        integrated_gradients(linear, X, Y, nodes=0)
    with pytest.raises(ValueError, match="baseline must be a number, one row"):
        integrated_gradients(linear, X, Y, baseline=np.zeros(5))
    with pytest.raises(ValueError, match="samples must be at least 1"):
        smooth_grad(linear, X, Y, key=jax.random.key(0), samples=0)
    with pytest.raises(ValueError, match="patches must be masks"):
        occlusion(linear, X, Y, patches=np.ones((2, 5), bool))
