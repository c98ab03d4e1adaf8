"""Learning curves draw fair parts of the rows, and a planted power law is found again."""

from functools import partial

import numpy as np
import pytest
from flax import nnx
from scipy import optimize, stats

from xentjax.audit.learning_curve import stratified_members, train_learning_curve
from xentjax.audit.power_law import fit_power_law

SIZES = np.array([40, 80, 160, 320, 640])


def planted(floor, scale, exponent, *, noise=0.03, repeats=3, seed=0):
    rng = np.random.default_rng(seed)
    mean = floor + scale * SIZES**-exponent
    return mean[:, None] * (1 + noise * rng.normal(size=(len(SIZES), repeats)))


def test_every_class_keeps_its_share_and_at_least_one_row():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 2, 5], [70, 25, 5]))
    for size in range(3, 101):
        drawn = labels[stratified_members(labels, size, seed=size)]
        assert len(drawn) == size
        counts = np.bincount(drawn, minlength=6)[[0, 2, 5]]
        # A whole number beside the exact share, and one more or less where a class was lifted to 1.
        assert np.all(np.abs(counts - size * np.array([0.7, 0.25, 0.05])) < 2)
        assert counts.min() >= 1


def test_every_row_is_drawn_as_often_as_any_other_of_its_class():
    labels = np.repeat([0, 1], 20)
    drawn = sum(stratified_members(labels, 10, seed=seed).astype(int) for seed in range(400))
    # Each count is binomial(400, 1/4): standard deviation 8.7, and 40 of them within 4 of it.
    assert np.all(np.abs(drawn - 100) < 4 * 8.7)


def test_one_seed_gives_nested_parts():
    labels = np.repeat([0, 1], 50)
    small, large = (stratified_members(labels, size, seed=3) for size in (10, 40))
    assert np.all(large[small])


def test_a_noiseless_law_is_found_exactly():
    for floor, scale, exponent in ((0.1, 3.0, 0.5), (0.0, 2.0, 1.0), (0.3, 0.0, 1.0)):
        law = fit_power_law(SIZES, planted(floor, scale, exponent, noise=0.0))
        wanted = floor + scale * 1280.0**-exponent
        assert law.forecast.value == pytest.approx(wanted, rel=1e-6)
        np.testing.assert_allclose(law(SIZES), floor + scale * SIZES**-exponent, rtol=1e-6)


def test_the_fit_is_as_good_as_scipys():
    losses = planted(0.1, 3.0, 0.6)
    weight = np.repeat(losses.mean(1), 3)

    def residuals(parameters):
        a, b, c = parameters
        return (np.repeat(a + b * SIZES**-c, 3) - losses.reshape(-1)) / weight

    wanted = optimize.least_squares(residuals, [0.1, 1.0, 0.5], bounds=([0, 0, 0.05], [9, 99, 4]))
    law = fit_power_law(SIZES, losses)
    ours = np.sum(residuals([law.floor, law.scale, law.exponent]) ** 2)
    # The exponents of the grid are 0.05 apart: half a step costs less than a hundredth.
    assert ours <= 2 * wanted.cost * 1.01


def test_forecasts_hold_the_truth_about_as_often_as_they_say():
    truth = 0.1 + 3.0 * 1280.0**-0.5
    held = sum(
        law.forecast.low <= truth <= law.forecast.high
        for law in (
            fit_power_law(SIZES, planted(0.1, 3.0, 0.5, seed=seed), resamples=200)
            for seed in range(100)
        )
    )
    # With a coverage of 0.9, fewer than 80 of 100 come with a probability of 0.002.
    assert stats.binom.cdf(79, 100, 0.9) < 0.003
    assert held >= 80


def test_a_steep_curve_falls_and_a_flat_one_does_not():
    assert fit_power_law(SIZES, planted(0.0, 3.0, 0.5)).falling
    for seed in range(10):
        assert not fit_power_law(SIZES, planted(0.3, 0.0, 1.0, seed=seed)).falling


def test_more_rows_help_a_model_that_can_use_them():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 20)).astype(np.float32)
    labels = (features[:, 0] + 0.5 * rng.normal(size=300) > 0).astype(np.int32)
    curve = train_learning_curve(
        lambda key: nnx.Linear(20, 2, rngs=nnx.Rngs(key)),
        features[:128],
        labels[:128],
        features[128:],
        labels[128:],
        steps=150,
        learning_rate=0.03,
    )
    assert curve.sizes.tolist() == [8, 16, 32, 64, 128]
    assert curve.loss[-1].high < curve.loss[0].low
    assert np.all(curve.train_losses[0] < curve.losses[0])
    assert curve.losses.shape == curve.accuracies.shape == (5, 3)
    for row, estimate in zip(curve.losses, curve.loss, strict=True):
        assert estimate.value == pytest.approx(row.mean())


def test_what_does_not_fit_is_refused():
    labels = np.array([0, 0, 1])
    with pytest.raises(ValueError, match=r"size must lie in \[2, 3\]"):
        stratified_members(labels, 1, seed=0)
    x = np.zeros((3, 1), np.float32)
    with pytest.raises(ValueError, match="repeats must be at least 2"):
        train_learning_curve(lambda key: key, x, labels, x, labels, steps=1, repeats=1)
    infinite = nnx.initializers.constant(np.inf)

    def no_number(key):
        return nnx.Linear(1, 2, kernel_init=infinite, rngs=nnx.Rngs(key))

    nan = partial(train_learning_curve, repeats=2, steps=1, sizes=[2])
    with pytest.raises(ValueError, match="logits of a trained model must be finite"):
        nan(no_number, x, labels, x, labels)
    with pytest.raises(ValueError, match="at least four different"):
        fit_power_law(SIZES[:3], np.ones((3, 2)))
    with pytest.raises(ValueError, match="losses must be finite"):
        fit_power_law(SIZES, np.full((5, 2), np.nan))
