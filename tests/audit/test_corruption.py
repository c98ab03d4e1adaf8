"""Accuracy under noise is the normal distribution's, and flips are as many as were asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from flax import nnx

from xentjax.audit.corruption import flipped_labels, input_noise_curve, label_noise_curve

RNG = np.random.default_rng(0)
W = RNG.normal(size=(5, 2)).astype(np.float32)
X = RNG.normal(size=(300, 5)).astype(np.float32)
Y = (X @ W).argmax(axis=1)
KEY = jax.random.key(0)


def linear(x):
    return x @ W


def test_accuracy_of_a_linear_model_under_noise_is_the_normal_distributions():
    difference = (W[:, 0] - W[:, 1]).astype(np.float64)
    lead = np.abs(X @ difference)
    found = input_noise_curve(linear, X, Y, [0.0, 0.2, 1.0], key=KEY, draws=20)
    assert found.accuracy[0] == 1
    for size, accuracy in zip(found.sizes[1:], found.accuracy[1:], strict=True):
        p = scipy.stats.norm.cdf(lead / (size * np.linalg.norm(difference)))
        error = np.sqrt((p * (1 - p)).sum() / 20) / 300
        assert abs(accuracy - p.mean()) < 4 * error
    assert (found.low <= found.accuracy).all()
    assert (found.accuracy <= found.high + 1e-6).all()


def test_noise_is_scaled_by_feature_and_clipped_to_the_range():
    """Noise in a feature the model does not read, or clipped to nothing, does nothing."""
    w = np.array([[1.0, -1.0], [0.0, 0.0]], np.float32)
    x = RNG.normal(size=(100, 2)).astype(np.float32)
    y = (x @ w).argmax(axis=1)
    row = np.array([0.0, 1.0], np.float32)
    blind = input_noise_curve(lambda x: x @ w, x, y, [0.0, 5.0], key=KEY, scale=row)
    assert blind.accuracy.tolist() == [1, 1]
    assert blind.flipped(1)[0] == 0
    seen = input_noise_curve(lambda x: x @ w, x, y, [0.0, 5.0], key=KEY, scale=row[::-1].copy())
    assert seen.flipped(1)[1] > 0.2
    ones = np.ones((3, 2), np.float32)
    labels = np.zeros(3, np.int64)
    shut = input_noise_curve(lambda x: x @ w, ones, labels, [5.0], key=KEY, low=1.0, high=1.0)
    assert shut.accuracy.tolist() == [1]


def test_the_interval_is_wilsons_over_rows_however_many_draws():
    found = input_noise_curve(linear, X, Y, [0.5], key=KEY, draws=50)
    k, z2 = found.accuracy[0] * 300, 1.959964**2
    root = np.sqrt(z2 * (k * (300 - k) / 300 + z2 / 4))
    np.testing.assert_allclose(found.low[0], (k + z2 / 2 - root) / (300 + z2), rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 5])
def test_flips_are_exact_in_number_and_even_over_the_other_classes(classes):
    labels = RNG.integers(0, classes, 4000)
    found = flipped_labels(labels, 0.3, classes, np.random.default_rng(1))
    changed = found != labels
    assert changed.sum() == 1200
    shifts = np.bincount((found - labels)[changed] % classes, minlength=classes)[1:]
    # Binomial(1200, 1/(classes − 1)): within four standard deviations.
    p = 1 / (classes - 1)
    assert (np.abs(shifts - 1200 * p) <= 4 * np.sqrt(1200 * p * (1 - p))).all()


def test_models_trained_on_wrong_labels_are_wrong_and_the_null_is_right():
    found = label_noise_curve(
        lambda key: nnx.Linear(5, 2, rngs=nnx.Rngs(key)),
        X[:200], Y[:200], X[200:], Y[200:], [0.0, 0.2, 1.0],
        classes=2, trainings=2, steps=200, learning_rate=0.05,
    )  # fmt: skip
    assert found.repetitions.shape == (3, 2)
    assert found.low[0] > 0.9
    assert found.accuracy[1] > 0.8  # four of five labels outvote the fifth
    assert found.high[2] < 0.1  # all flipped: the opposite is learned


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: input_noise_curve(linear, X, Y, [0.2, 0.1], key=KEY), "sizes must rise"),
        (lambda: input_noise_curve(linear, X, Y, [0.1], key=KEY, draws=0), "draws must be"),
        (
            lambda: input_noise_curve(lambda x: jnp.log(x @ W), X, Y, [0.1], key=KEY),
            "logits under noise must be finite",
        ),
        (
            lambda: label_noise_curve(lambda key: key, X, Y, X, Y, [0.0, 1.5], classes=2),
            r"shares must lie in \[0, 1\]",
        ),
        (
            lambda: label_noise_curve(lambda key: key, X, Y + 1, X, Y, [0.0], classes=2),
            r"labels must lie in \[0, 2\)",
        ),
        (
            lambda: flipped_labels(Y, 1.9, 2, np.random.default_rng(0)),
            r"share must lie in \[0, 1\]",
        ),
        (lambda: flipped_labels(Y, 0.5, 1, np.random.default_rng(0)), "classes be at least 2"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
