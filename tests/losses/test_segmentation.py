"""Dice and Tversky losses against float64 and optax, their masks, empty regions and ends."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.special import expit, softmax

from xentjax.losses.segmentation import dice_loss, tversky_loss

RNG = np.random.default_rng(0)
LOGITS = jnp.asarray(RNG.normal(size=(4, 3, 5, 3)), jnp.float32)
LABELS = jnp.asarray(RNG.integers(0, 3, (4, 3, 5)), jnp.int32)
SOFT = jnp.asarray(RNG.dirichlet(np.ones(3), (4, 3, 5)), jnp.float32)
ONE_HOT = jax.nn.one_hot(LABELS, 3)
PIXELS = jnp.asarray(RNG.random((4, 3, 5)) < 0.7)
EPS = 1.2e-7
# Sums of 15 pixels, three times, and a quotient.
ROUNDING = 4 * 15**0.5 * EPS


def formula(p, t, alpha, beta, smooth, counted=None):
    """One minus the index, as papers write it, in float64: [batch]."""
    p, t = np.asarray(p, np.float64), np.asarray(t, np.float64)
    kept = np.ones((*p.shape[:-1], 1)) if counted is None else np.asarray(counted)[..., None]
    total = lambda x: (x * kept).sum((1, 2))  # noqa: E731
    hits, alarms, misses = total(p * t), total(p * (1 - t)), total((1 - p) * t)
    index = (hits + smooth) / (hits + alpha * alarms + beta * misses + smooth)
    return (1 - index).mean(-1)


@jax.jit
def with_slope(logits, labels, pixel_where=None, **options):
    """Losses of the images and the gradient of their sum."""
    loss = partial(tversky_loss, labels=labels, pixel_where=pixel_where, **options)
    return loss(logits), jax.grad(lambda x: jnp.sum(loss(x)))(logits)


@jax.jit
def optax_with_slope(logits, masses, **options):
    loss = lambda x: optax.losses.dice_loss(x, masses, **options)  # noqa: E731
    return loss(logits), jax.grad(lambda x: jnp.sum(loss(x)))(logits)


def test_equals_the_formula_and_optax_for_indices_and_masses():
    p = softmax(np.float64(LOGITS), -1)
    for alpha, beta, smooth in ((0.5, 0.5, 1.0), (0.3, 0.7, 1.0), (1.0, 1.0, 0.01)):
        options = {"alpha": alpha, "beta": beta, "smooth": smooth}
        for labels, masses in ((LABELS, ONE_HOT), (SOFT, SOFT)):
            got, slope = with_slope(LOGITS, labels, **options)
            np.testing.assert_allclose(got, formula(p, masses, **options), rtol=ROUNDING)

            theirs, slope_wanted = optax_with_slope(LOGITS, masses, **options)
            np.testing.assert_allclose(got, theirs, atol=ROUNDING)
            np.testing.assert_allclose(slope, slope_wanted, atol=ROUNDING)


def test_dice_is_tversky_of_two_halves():
    halves = partial(tversky_loss, alpha=0.5, beta=0.5)
    np.testing.assert_array_equal(dice_loss(LOGITS, LABELS), halves(LOGITS, LABELS))
    # 1 − 2 Σ p t / (Σ p + Σ t)
    p, t = softmax(np.float64(LOGITS), -1), np.float64(ONE_HOT)
    wanted = 1 - 2 * (p * t).sum((1, 2)) / (p + t).sum((1, 2))
    np.testing.assert_allclose(
        dice_loss(LOGITS, LABELS, smooth=0.0), wanted.mean(-1), rtol=ROUNDING
    )


def test_one_channel_is_a_sigmoid_against_the_rest():
    region, logits = LABELS % 2, LOGITS[..., :1]
    p, t = expit(np.float64(logits)), np.asarray(region, np.float64)[..., None]
    got = dice_loss(logits, region)
    np.testing.assert_allclose(got, formula(p, t, 0.5, 0.5, 1.0), rtol=ROUNDING)
    for masses in (region[..., None].astype(jnp.float32), region[..., None].astype(bool)):
        np.testing.assert_array_equal(dice_loss(logits, masses), got)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 2\), got 2"):
        dice_loss(logits, jnp.full_like(region, 2))


def test_masked_pixels_are_not_there_whatever_they_hold():
    wanted = formula(softmax(np.float64(LOGITS), -1), ONE_HOT, 0.3, 0.7, 1.0, PIXELS)
    _, plain = with_slope(LOGITS, LABELS, PIXELS)
    bad = jnp.where(PIXELS[..., None], LOGITS, jnp.nan)
    for labels in (jnp.where(PIXELS, LABELS, 99), jnp.where(PIXELS[..., None], ONE_HOT, jnp.nan)):
        got, slope = with_slope(bad, labels, PIXELS)
        np.testing.assert_allclose(got, wanted, rtol=ROUNDING)
        np.testing.assert_allclose(slope, plain, atol=EPS)
        assert not np.any(slope[~PIXELS])
    ignored = tversky_loss(
        LOGITS, jnp.where(PIXELS, LABELS, 255).astype(jnp.uint8), ignore_index=255
    )
    np.testing.assert_allclose(ignored, wanted, rtol=ROUNDING)


def test_a_masked_image_is_out_of_the_mean_and_may_hold_anything():
    keep = jnp.array([True, False, True, False])
    bad = jnp.where(keep[:, None, None, None], LOGITS, jnp.nan)
    labels = jnp.where(keep[:, None, None], LABELS, -7)
    mean = lambda x: tversky_loss(x, labels, where=keep, reduction="mean")  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(mean))(bad)
    alone, _ = with_slope(LOGITS, LABELS)
    np.testing.assert_allclose(value, alone[keep].mean(), rtol=ROUNDING)
    assert np.isfinite(slope).all()
    assert not np.any(slope[~keep])


def test_empty_images_and_absent_classes_give_no_nan():
    nothing = jnp.zeros_like(PIXELS)
    for smooth in (0.0, 1.0):
        value, slope = with_slope(LOGITS, LABELS, nothing, smooth=smooth)
        assert not np.any(value)
        assert not np.any(slope)
    # Class 2 is masked and nowhere: nothing wrong with it; with the others alone it is the same.
    absent, labels = LOGITS.at[..., 2].set(-jnp.inf), LABELS % 2
    value, slope = with_slope(absent, labels, smooth=0.0)
    others, others_slope = with_slope(LOGITS[..., :2], labels, smooth=0.0)
    np.testing.assert_allclose(value, others * 2 / 3, rtol=ROUNDING)
    np.testing.assert_allclose(slope[..., :2], others_slope * 2 / 3, atol=EPS)
    assert not np.any(slope[..., 2])


def test_nearly_perfect_masks_keep_their_digits():
    # Every pixel is right by a margin m, its miss e = 1 / (1 + eᵐ). A class with n of 15 pixels
    # has 7.5 e / (n (1 − e) + 7.5 e), whose slope by e is 7.5 n / (n + (7.5 − n) e)².
    labels = LABELS % 2
    n = np.float64(jax.nn.one_hot(labels, 2).sum((1, 2)))
    for margin in (15.0, 20.0, 30.0):
        miss = 1 / (1 + np.exp(margin))
        logits = margin * jax.nn.one_hot(labels, 2)
        value, slope = with_slope(logits, labels, alpha=0.5, beta=0.5, smooth=0.0)
        union = n + (7.5 - n) * miss
        rtol = 1e-6 + 6e-8 * margin
        np.testing.assert_allclose(value, (7.5 * miss / union).mean(1), rtol=rtol)
        by_margin = jnp.sum(slope * jax.nn.one_hot(labels, 2), (1, 2, 3))
        wanted = -miss * (1 - miss) * (7.5 * n / union**2).mean(1)
        np.testing.assert_allclose(by_margin, wanted, rtol=rtol)


def test_class_weights_leave_the_background_out():
    # optax leaves class 0 out by a flag.
    got = dice_loss(LOGITS, LABELS, class_weights=jnp.array([0.0, 2.0, 2.0]))
    wanted = optax.losses.dice_loss(LOGITS, ONE_HOT, ignore_background=True)
    np.testing.assert_allclose(got, wanted, atol=ROUNDING)
    assert not np.any(dice_loss(LOGITS, LABELS, class_weights=jnp.zeros(3)))


def test_volumes_single_images_and_any_class_axis():
    whole = dice_loss(LOGITS, LABELS, spatial_dims=3)
    assert whole.shape == ()
    np.testing.assert_allclose(
        whole, dice_loss(LOGITS.reshape(60, 3), LABELS.reshape(60), spatial_dims=1), rtol=ROUNDING
    )
    first = dice_loss(jnp.moveaxis(LOGITS, -1, 1), LABELS, axis=1)
    np.testing.assert_allclose(first, dice_loss(LOGITS, LABELS), rtol=ROUNDING)


def test_extremes_are_finite():
    signs = jnp.asarray(RNG.choice([-1e4, 1e4], LOGITS.shape), jnp.float32)
    for logits in (signs, signs[..., :1] * jnp.inf):
        value, slope = with_slope(logits, LABELS % 2, smooth=0.0)
        assert np.isfinite(value).all()
        assert np.isfinite(slope).all()


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 3\), got 3 at position \(0, 1,"):
        dice_loss(LOGITS, LABELS.at[0, 1, 2].set(3))
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 1\], got 2.0"):
        dice_loss(LOGITS, 2 * ONE_HOT)
    with pytest.raises(ValueError, match="one per example: got shape"):
        dice_loss(LOGITS, LABELS[0])
    with pytest.raises(ValueError, match="labels must have the shape of logits"):
        dice_loss(LOGITS, SOFT[..., 0])
    with pytest.raises(ValueError, match=r"spatial_dims must lie in \[1, 3\]"):
        dice_loss(LOGITS, LABELS, spatial_dims=4)
    with pytest.raises(ValueError, match="alpha must be non-negative"):
        tversky_loss(LOGITS, LABELS, alpha=-0.1)
    with pytest.raises(ValueError, match="class_weights must hold one weight per class"):
        dice_loss(LOGITS, LABELS, class_weights=jnp.ones(2))
    with pytest.raises(ValueError, match="pixel_where must be broadcastable to"):
        dice_loss(LOGITS, LABELS, pixel_where=PIXELS[:, :2])
    with pytest.raises(TypeError, match="pixel_where must be boolean"):
        dice_loss(LOGITS, LABELS, pixel_where=PIXELS.astype(jnp.int32))
    with pytest.raises(ValueError, match="ignore_index=255 goes with integer labels"):
        dice_loss(LOGITS, SOFT, ignore_index=255)
    for labels in (LABELS.at[1, 0, 0].set(-1), ONE_HOT.at[1, 0, 0, 0].set(2.0)):
        value, slope = with_slope(LOGITS, labels)
        assert np.isnan(value[1])
        assert np.isnan(slope[1]).any()
        assert np.isfinite(np.delete(slope, 1, axis=0)).all()
