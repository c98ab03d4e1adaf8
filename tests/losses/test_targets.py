"""Softened targets: what they sum to, where the pixels come from, and what the share says."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax import softmax_cross_entropy
from xentjax.losses.targets import cutmix, mixup, smooth_labels

RNG = np.random.default_rng(0)
SOFT = jnp.asarray(RNG.dirichlet(np.ones(4), 6), jnp.float32)
KEYS = jax.random.split(jax.random.key(0), 1024)
EPS = 1.2e-7


# --- smoothing --------------------------------------------------------------------------------


def test_smooth_labels_equals_optax_and_zero_changes_nothing():
    for alpha in (0.1, 1.0):
        wanted = optax.smooth_labels(SOFT, alpha)
        np.testing.assert_allclose(smooth_labels(SOFT, alpha), wanted, rtol=4 * EPS)
        np.testing.assert_allclose(jax.jit(smooth_labels)(SOFT, alpha), wanted, rtol=4 * EPS)
    np.testing.assert_array_equal(smooth_labels(SOFT, 0.0), SOFT)


def test_masked_classes_get_no_share_and_the_loss_is_that_of_label_smoothing():
    allowed = jnp.array([[True, True, False, True]] * 5 + [[False, False, True, False]])
    labels = jnp.array([0, 1, 3, 0, 1, 2])
    logits = jnp.asarray(RNG.normal(size=(6, 4)), jnp.float32)
    smoothed = smooth_labels(jax.nn.one_hot(labels, 4), 0.2, class_where=allowed)
    assert not np.any(np.asarray(smoothed)[~np.asarray(allowed)])
    np.testing.assert_allclose(smoothed.sum(1), 1, rtol=4 * EPS)
    got = softmax_cross_entropy(logits, smoothed, class_where=allowed)
    wanted = softmax_cross_entropy(logits, labels, class_where=allowed, label_smoothing=0.2)
    np.testing.assert_allclose(got, wanted, rtol=8 * EPS, atol=EPS)
    nothing = smooth_labels(SOFT, 0.2, class_where=jnp.array(False))
    np.testing.assert_allclose(nothing, 0.8 * SOFT, rtol=4 * EPS)


def test_smooth_labels_keeps_the_dtype_and_takes_any_axis():
    assert smooth_labels(SOFT.astype(jnp.bfloat16), 0.1).dtype == jnp.bfloat16
    np.testing.assert_allclose(smooth_labels(SOFT.T, 0.1, axis=0).T, smooth_labels(SOFT, 0.1))


def test_smooth_labels_refuses_bad_input():
    with pytest.raises(TypeError, match=r"got int32; write jax.nn.one_hot\(labels, classes\)"):
        smooth_labels(jnp.array([0, 1]), 0.1)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\], got 1.5"):
        smooth_labels(SOFT, 1.5)
    with pytest.raises(ValueError, match="labels must be finite and non-negative"):
        smooth_labels(-SOFT, 0.1)
    with pytest.raises(TypeError, match="class_where must be boolean"):
        smooth_labels(SOFT, 0.1, class_where=jnp.ones(4))


# --- mixing -----------------------------------------------------------------------------------

# Each input tells which example it is, so a mixture tells which two, and in what shares.
TARGETS = jax.nn.one_hot(jnp.arange(6) % 3, 3)
# Each pixel tells its image and its place: numbers below 2²⁴, exact in float32.
HEIGHT, WIDTH = 6, 9
IMAGES = jnp.arange(6.0 * HEIGHT * WIDTH).reshape(6, HEIGHT, WIDTH, 1)


@partial(jax.jit, static_argnames="per_example")
def mixups(alpha, *, per_example):
    """One mixture for each key; the beta distribution takes seconds to compile."""
    mix = partial(mixup, x=jnp.eye(6), targets=TARGETS, alpha=alpha, per_example=per_example)
    return jax.vmap(lambda key: mix(key))(KEYS)


@jax.jit
def cutmixes(alpha):
    return jax.vmap(lambda key: cutmix(key, IMAGES, TARGETS, alpha=alpha))(KEYS)


@pytest.mark.parametrize("per_example", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_mixup_mixes_inputs_and_targets_alike(per_example):
    mixed = mixups(1.0, per_example=per_example)
    np.testing.assert_allclose(mixed.targets, mixed.x @ TARGETS, atol=2 * EPS)
    np.testing.assert_allclose(mixed.targets.sum(-1), 1, rtol=4 * EPS)
    own, share = (np.asarray(z) for z in (jnp.diagonal(mixed.x, axis1=1, axis2=2), mixed.share))
    alone = np.isclose(own, 1)  # its own partner
    np.testing.assert_allclose(own[~alone], share[~alone], atol=2 * EPS)
    # Each example is one other's partner: columns sum to one in a batch of one share.
    if not per_example:
        np.testing.assert_allclose(mixed.x.sum(1), 1, rtol=8 * EPS)
    spread = np.ptp(share, axis=1)
    assert (spread > 0).all() if per_example else (spread == 0).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_follow_the_beta_distribution(alpha):
    shares = mixups(alpha, per_example=False).share[:, 0]
    # Mean ½ and variance 1 / (4 (2α + 1)); 1024 draws of deviation < ½ err by less than 0.016.
    assert abs(float(shares.mean()) - 0.5) < 4 * 0.016
    assert abs(float(shares.var()) - 1 / (4 * (2 * alpha + 1))) < 4 * 0.016


def test_cutmix_puts_one_box_of_the_partner_into_each_image():
    mixed = cutmixes(1.0)
    place, size = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH), HEIGHT * WIDTH
    areas = set()
    some = jax.tree.map(lambda z: np.asarray(z[:100]), mixed)
    for images, masses, shares in zip(*some, strict=True):
        pixels = images[..., 0].astype(int)
        assert (pixels % size == place).all()  # no pixel moves
        origin = pixels // size
        box = (origin != np.arange(6)[:, None, None]).any(0)
        areas.add(int(box.sum()))
        rows, columns = box.any(1), box.any(0)
        assert (box == rows[:, None] & columns).all()
        for side in (rows, columns):
            assert (np.diff(np.flatnonzero(side)) == 1).all()
        # The masses are the shares of pixels, image by image.
        counts = np.stack([np.bincount(o.ravel(), minlength=6) for o in origin])
        np.testing.assert_allclose(masses, counts / size @ np.asarray(TARGETS), atol=2 * EPS)
        if box.any():  # not where every image is its own partner
            np.testing.assert_allclose(shares, 1 - box.mean(), atol=2 * EPS)
    assert len(areas) > 10


@pytest.mark.slow
def test_the_same_key_gives_the_same_mixture_alone_and_among_many():
    many = mixups(1.0, per_example=False)
    one = mixup(KEYS[3], jnp.eye(6), TARGETS, alpha=1.0)
    # Alone the program is another one: the share may be rounded differently.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[3], b, atol=4 * EPS), many, one)
    again = mixup(KEYS[3], jnp.eye(6), TARGETS, alpha=1.0)
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert len(np.unique(many.share[:, 0])) > 1000


def test_mixing_keeps_shapes_and_dtypes():
    photos = jnp.zeros((6, 8, 8, 3), jnp.uint8)
    for mix, x in ((mixup, photos.astype(jnp.bfloat16)), (cutmix, photos)):
        mixed = jax.eval_shape(mix, KEYS[0], x, SOFT.astype(jnp.float16))
        assert (mixed.x.dtype, mixed.x.shape) == (x.dtype, x.shape)
        assert (mixed.targets.dtype, mixed.targets.shape) == (jnp.float16, SOFT.shape)
        assert (mixed.share.dtype, mixed.share.shape) == (jnp.float32, (6,))


def test_mixing_refuses_bad_input_or_shows_nan():
    for mix, x in ((mixup, SOFT), (cutmix, IMAGES)):
        with pytest.raises(TypeError, match=r"got int32; write jax.nn.one_hot\(targets, classes\)"):
            mix(KEYS[0], x, jnp.arange(6))
        with pytest.raises(ValueError, match=r"targets must have the shape \[B, C\]"):
            mix(KEYS[0], x, SOFT[:5])
        with pytest.raises(ValueError, match="alpha must be positive and finite, got 0"):
            mix(KEYS[0], x, SOFT, alpha=0.0)
    with pytest.raises(TypeError, match="x must be floating point, got uint8"):
        mixup(KEYS[0], jnp.zeros((6, 2), jnp.uint8), SOFT)
    with pytest.raises(ValueError, match=r"images must have the shape \[B, H, W, C\]"):
        cutmix(KEYS[0], IMAGES[0], SOFT)
    for mixed in (mixups(-1.0, per_example=False), cutmixes(-1.0)):
        assert np.isnan(mixed.share).all()
        assert np.isnan(mixed.targets).all()
