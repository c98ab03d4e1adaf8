"""Angular margins against the papers' formulas in float64, and where angles have no slope."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.losses.angular_margin import arcface_loss, cosface_loss
from xentjax.losses.softmax import softmax_cross_entropy

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 5)).astype(np.float32)
WEIGHT = RNG.normal(size=(5, 4)).astype(np.float32)
LABELS = np.array([0, 3, 1, 2, 2, 0])
EPS = float(np.finfo(np.float32).eps)
BOTH = pytest.mark.parametrize("loss", [cosface_loss, arcface_loss])


def truth(loss, rows, weight, labels, scale, margin):
    """The papers' formulas, angle by angle, in float64."""
    rows, weight = rows.astype(np.float64), weight.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    weight /= np.linalg.norm(weight, axis=0, keepdims=True)
    cosines = np.clip(rows @ weight, -1, 1)
    at = np.arange(len(labels)), labels
    angle = np.arccos(cosines[at])
    if loss is cosface_loss:
        own = np.cos(angle) - margin
    else:
        beyond = np.cos(angle) - margin * np.sin(margin)
        own = np.where(angle + margin <= np.pi, np.cos(angle + margin), beyond)
    cosines[at] = own
    logits = scale * cosines
    return np.logaddexp.reduce(logits, axis=1) - logits[at]


@BOTH
@pytest.mark.parametrize(("scale", "margin"), [(64.0, 0.5), (30.0, 0.1), (1.0, 1.3)])
def test_losses_are_those_of_the_paper(loss, scale, margin):
    opposite = -3 * WEIGHT[:, 1] + 0.2 * ROWS[0]  # beyond π − m
    rows = np.vstack([ROWS, opposite, 2 * WEIGHT[:, 2] + 0.1 * ROWS[1]])
    labels = np.append(LABELS, [1, 2])
    got = loss(rows, WEIGHT, labels, scale=scale, margin=margin)
    # A cosine of D terms is right to some √D·eps, and s multiplies it.
    np.testing.assert_allclose(
        got,
        truth(loss, rows, WEIGHT, labels, scale, margin),
        rtol=EPS,
        atol=4 * scale * 5**0.5 * EPS,
    )


def test_margin_zero_is_cross_entropy_of_scaled_cosines():
    cosines = (ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)) @ (
        WEIGHT / np.linalg.norm(WEIGHT, axis=0, keepdims=True)
    )
    wanted = softmax_cross_entropy(20 * cosines, LABELS)
    got = [f(ROWS, WEIGHT, LABELS, scale=20.0, margin=0.0) for f in (cosface_loss, arcface_loss)]
    np.testing.assert_array_equal(*got)
    np.testing.assert_allclose(got[0], wanted, atol=4 * 20 * 5**0.5 * EPS)


@BOTH
@pytest.mark.usefixtures("x64")
def test_gradients_are_those_of_the_paper_by_finite_differences(loss):
    rows, weight = ROWS.astype(np.float64), WEIGHT.astype(np.float64)
    args = {"scale": 8.0, "margin": 0.4}

    def total(rows, weight):
        return loss(rows, weight, LABELS, reduction="sum", **args)

    # Ready before the arrays are changed below: on CPU they may be read where they lie.
    slopes = jax.block_until_ready(jax.jit(jax.grad(total, argnums=(0, 1)))(rows, weight))
    step = 1e-5  # errs by some 1e-10 of the third derivative, and 1e-16 / 1e-5 by rounding
    for x, slope in zip((rows, weight), slopes, strict=True):
        for at in np.ndindex(x.shape):
            ends, middle = [], x[at]
            for x[at] in (middle + step, middle - step):
                ends.append(truth(loss, rows, weight, LABELS, **args).sum())
            x[at] = middle
            np.testing.assert_allclose(slope[at], (ends[0] - ends[1]) / (2 * step), atol=1e-7)


@BOTH
def test_many_classes(loss):
    weight = RNG.normal(size=(5, 600)).astype(np.float32)
    labels, cotangent = np.array([599, 0, 300, 7, 64, 64]), RNG.normal(size=6)

    def total(rows, weight):
        losses = loss(rows, weight, labels, scale=10.0)
        return jnp.sum(losses * cotangent), losses

    slopes, losses = jax.jit(jax.grad(total, argnums=(0, 1), has_aux=True))(ROWS, weight)
    args = (10.0, 0.35 if loss is cosface_loss else 0.5)
    wanted = truth(loss, ROWS, weight, labels, *args)
    np.testing.assert_allclose(losses, wanted, rtol=4 * EPS, atol=4 * 10 * 5**0.5 * EPS)
    # Lengths do not matter, so no slope points along its own vector.
    for x, slope, axis in zip((ROWS, weight), slopes, (1, 0), strict=True):
        np.testing.assert_allclose(np.sum(x * slope, axis), 0, atol=64 * 10 * EPS)


def test_arcface_falls_with_the_angle_everywhere():
    angle = jnp.linspace(0, np.pi, 721)
    # The other class is at a right angle throughout: the loss is softplus(−s · logit of the label).
    rows = jnp.stack([jnp.cos(angle), jnp.sin(angle), jnp.zeros_like(angle)], 1)
    weight, labels = jnp.eye(3)[:, ::2], jnp.zeros(721, int)
    margins = jnp.array([0.0, 0.5, 1.0, np.pi / 2])
    losses = jax.vmap(lambda m: arcface_loss(rows, weight, labels, scale=4.0, margin=m))(margins)
    # Steps near 0 and π are below rounding; with a margin nothing falls by more than that.
    assert np.diff(losses, axis=1).min() > -4 * EPS * 4
    assert np.diff(losses[:, 40:-40], axis=1).min() > 0


def test_the_tip_of_the_cone_has_a_finite_slope():
    factors = jnp.array([1.0, 3.0, -1.0, -0.7])  # cos θ of the label is ±1, or beyond by rounding

    def total(rows, weight):
        return jnp.sum(arcface_loss(rows, weight, jnp.arange(4)))

    @jax.jit
    @jax.vmap
    def derivatives(factor):
        at = factor * WEIGHT.T, WEIGHT
        slopes = jax.grad(total, argnums=(0, 1))(*at)
        return (
            slopes[0] * jnp.linalg.norm(at[0], axis=1)[:, None],
            slopes[1],
            jax.hessian(total)(*at),
        )

    by_rows, by_weight, bend = derivatives(factors)
    # Along a unit of arc no logit moves by more than s, so no loss by more than 2 s.
    assert np.abs(by_rows).max() < 2 * 64
    assert np.isfinite(by_weight).all()
    assert np.isfinite(bend).all()


@BOTH
def test_only_the_direction_of_an_embedding_counts_up_to_the_largest_number(loss):
    row = jnp.array([3.0, 1.0])
    wanted = loss(row, jnp.eye(2), jnp.array(0), scale=4.0)
    for length in (1e-30, 1e30, 1e38):
        got, slope = jax.value_and_grad(loss)(
            row * jnp.float32(length), jnp.eye(2), jnp.array(0), scale=4.0
        )
        np.testing.assert_allclose(got, wanted, rtol=8 * EPS)
        assert np.isfinite(slope).all()


@BOTH
def test_the_zero_vector_has_a_loss_and_a_slope(loss):
    rows = jnp.asarray(ROWS).at[0].set(0)
    weight = jnp.asarray(WEIGHT).at[:, 1].set(0)

    def total(rows, weight):
        return jnp.sum(loss(rows, weight, LABELS, scale=4.0))

    @jax.jit
    def derivatives(rows, weight):
        losses = loss(rows, weight, LABELS, scale=4.0)
        return (
            losses,
            jax.grad(total, argnums=(0, 1))(rows, weight),
            jax.hessian(total)(rows, weight),
        )

    losses, slopes, bend = derivatives(rows, weight)
    own = -4 * (0.35 if loss is cosface_loss else np.sin(0.5))  # cos(π/2 + m) = −sin m
    np.testing.assert_allclose(losses[0], np.log(np.exp(own) + 3) - own, rtol=4 * EPS)
    assert all(np.isfinite(x).all() for x in (*slopes, bend))
    assert np.any(slopes[0][0])
    assert np.any(slopes[1][:, 1])


@BOTH
def test_lengths_do_not_matter(loss):
    wanted = loss(ROWS, WEIGHT, LABELS)
    for factor in (2.0**-80, 2.0**80):  # the squares under- and overflow
        got = loss(ROWS * factor, WEIGHT / factor, LABELS)
        np.testing.assert_array_equal(got, wanted)


@BOTH
def test_sixteen_bits_are_computed_in_float32(loss):
    rows, weight = jnp.asarray(ROWS, jnp.bfloat16), jnp.asarray(WEIGHT, jnp.bfloat16)

    @jax.jit
    def both(rows, weight):
        def total(r, w):
            losses = loss(r, w, LABELS)
            return jnp.sum(losses), losses

        return jax.grad(total, argnums=(0, 1), has_aux=True)(rows, weight)

    slopes, got = both(rows, weight)
    assert got.dtype == jnp.float32
    assert [g.dtype for g in slopes] == [jnp.bfloat16] * 2
    wanted = loss(np.float32(rows), np.float32(weight), LABELS)
    np.testing.assert_allclose(got, wanted, rtol=4 * EPS, atol=64 * EPS)


@BOTH
def test_masked_and_ignored_rows_reach_nothing(loss):
    rows, labels = ROWS.copy(), LABELS.copy()
    rows[[1, 4]], labels[[1, 4]] = np.nan, -100
    keep = np.array([True, False, True, True, False, True])

    @jax.jit
    def means(rows, weight, labels):
        ignored = loss(rows, weight, labels, ignore_index=-100, reduction="mean")
        return ignored + loss(rows, weight, labels, where=keep, reduction="mean")

    got = jax.value_and_grad(means, argnums=(0, 1))(rows, WEIGHT, labels)
    wanted = jax.value_and_grad(means, argnums=(0, 1))(ROWS, WEIGHT, np.where(keep, LABELS, -100))
    jax.tree.map(np.testing.assert_array_equal, got, wanted)
    assert not np.any(got[1][0][~keep])


@BOTH
def test_bad_input_is_refused_or_nan(loss):
    with pytest.raises(ValueError, match=r"embeddings must be .* got shapes .*weight\.T"):
        loss(ROWS, WEIGHT.T, LABELS)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got 4 at position \(2,\)"):
        loss(ROWS, WEIGHT, np.array([0, 1, 4, 1, 1, 1]))
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        loss(ROWS, WEIGHT, np.eye(4, dtype=np.float32)[LABELS])
    with pytest.raises(TypeError, match="weight must be floating point, got int32"):
        loss(ROWS, np.ones((5, 4), np.int32), LABELS)
    with pytest.raises(ValueError, match="scale must be positive"):
        loss(ROWS, WEIGHT, LABELS, scale=0.0)
    with pytest.raises(ValueError, match="margin must"):
        loss(ROWS, WEIGHT, LABELS, margin=-0.1)
    value, slope = jax.jit(jax.value_and_grad(lambda x, y: jnp.sum(loss(x, WEIGHT, y))))(
        ROWS, jnp.array([0, -1, 1, 2, 2, 9])
    )
    assert np.isnan(value)
    assert np.isnan(slope[1::4]).all()
    assert np.isfinite(slope[2:5]).all()


def test_arcface_takes_no_degrees():
    with pytest.raises(ValueError, match=r"margin must lie in .* radians, got 28\.6"):
        arcface_loss(ROWS, WEIGHT, LABELS, margin=28.6)
