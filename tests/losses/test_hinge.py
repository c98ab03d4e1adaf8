"""The multi-class hinge against scikit-learn, optax and torch, and at its kinks."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import hinge_loss

from xentjax.losses.hinge import multiclass_hinge_loss

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(40, 4)).astype(np.float32)
LABELS = RNG.integers(4, size=40)
EPS = float(np.finfo(np.float32).eps)


def test_losses_are_scikit_learns_and_optaxs():
    got = multiclass_hinge_loss(LOGITS, LABELS)
    np.testing.assert_allclose(np.mean(got), hinge_loss(LABELS, LOGITS), rtol=4 * EPS)
    wanted = optax.losses.multiclass_hinge_loss(jnp.asarray(LOGITS), jnp.asarray(LABELS))
    np.testing.assert_allclose(got, wanted, atol=8 * EPS)


def test_two_classes_are_twice_the_sum_of_weston_and_watkins():
    torch = pytest.importorskip("torch", reason='an oracle: pip install "xentjax[bench]"')
    wanted = torch.nn.functional.multi_margin_loss(
        torch.tensor(LOGITS[:, :2]), torch.tensor(LABELS % 2), margin=0.5, reduction="none"
    )
    got = multiclass_hinge_loss(LOGITS[:, :2], LABELS % 2, margin=0.5)
    np.testing.assert_allclose(got, 2 * wanted.numpy(), atol=4 * EPS)


def test_margin_zero_costs_nothing_where_the_label_leads():
    labels = np.argmax(LOGITS, 1)
    np.testing.assert_array_equal(multiclass_hinge_loss(LOGITS, labels, margin=0.0), 0)
    runner_up = np.sort(LOGITS, 1)[:, -2]
    np.testing.assert_allclose(
        multiclass_hinge_loss(LOGITS, labels, margin=10.0),
        10 - (np.max(LOGITS, 1) - runner_up),
        rtol=2 * EPS,
    )


def test_large_offsets_keep_the_margin():
    logits = jnp.array([[1e8, 1e8], [1e8 + 8, 1e8], [0.0, 0.0]])
    np.testing.assert_array_equal(multiclass_hinge_loss(logits, jnp.zeros(3, int)), [1, 0, 1])


def test_kinks_have_a_slope_of_their_own():
    logits = jnp.array(
        [
            [0.0, 0.0, 0.0],  # the others tie: each takes half
            [1.0, 0.0, -1.0],  # the margin is kept exactly
            [0.0, -jnp.inf, 0.5],  # a class that is not allowed
            [0.0, -jnp.inf, -jnp.inf],  # nor any other
            [3.0, 0.0, 0.0],
        ]
    )

    def both(logits):
        losses, vjp = jax.vjp(lambda x: multiclass_hinge_loss(x, jnp.zeros(5, int)), logits)
        return losses, vjp(jnp.ones(5))[0]

    wanted = [[-1, 0.5, 0.5], [0, 0, 0], [-1, 0, 1], [0, 0, 0], [0, 0, 0]]
    for run in (both, jax.jit(both)):  # XLA turns 0·x into a select, and so can hide a NaN
        losses, slope = run(logits)
        np.testing.assert_array_equal(losses, [1, 0, 1.5, 0, 0])
        np.testing.assert_array_equal(slope, wanted)


def test_a_masked_label_is_infinitely_wrong_and_one_class_never():
    assert multiclass_hinge_loss(jnp.array([-jnp.inf, 0.0]), jnp.array(0)) == jnp.inf
    value, slope = jax.value_and_grad(multiclass_hinge_loss)(jnp.array([-3.0]), jnp.array(0))
    assert value == 0
    assert slope == 0


def test_axis_ignore_index_and_sixteen_bits():
    logits = jnp.asarray(LOGITS, jnp.bfloat16)
    keep = LABELS != 3
    got = multiclass_hinge_loss(logits.T, LABELS, axis=0, ignore_index=3)
    assert got.dtype == jnp.float32
    wanted = multiclass_hinge_loss(np.float32(logits), LABELS, where=keep)
    np.testing.assert_array_equal(got, wanted)


def test_bad_input_is_refused_or_nan():
    with pytest.raises(ValueError, match="margin must be non-negative"):
        multiclass_hinge_loss(LOGITS, LABELS, margin=-1.0)
    with pytest.raises(ValueError, match=r"labels must lie in \[0, 4\), got -1"):
        multiclass_hinge_loss(LOGITS[:2], np.array([0, -1]))
    with pytest.raises(TypeError, match="labels must be integer class indices, got float32"):
        multiclass_hinge_loss(LOGITS, jax.nn.one_hot(LABELS, 4))

    def loss(logits, label):
        return multiclass_hinge_loss(logits, label, margin=0.0)

    value, slope = jax.jit(jax.vmap(jax.value_and_grad(loss)))(
        jnp.array([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]), jnp.array([0, -1, 2])
    )
    np.testing.assert_array_equal(np.isnan(value), [False, True, True])
    assert np.isfinite(slope[0]).all()
    assert np.isnan(slope[1:]).any(1).all()


def test_a_traced_margin_out_of_range_is_nan_in_value_and_slope():
    def loss(x, margin):
        return multiclass_hinge_loss(x, jnp.array(0), margin=margin)

    slopes = jax.value_and_grad(loss, argnums=(0, 1))  # which traces the margin, jit or not
    for run in (slopes, jax.jit(slopes)):
        for logits in ([9.0, 0.0], [0.0, 9.0]):
            value, (slope, _) = run(jnp.array(logits), -1.0)
            assert np.isnan([value, *slope]).all()


@pytest.mark.parametrize(
    "logits", [[np.inf, np.inf, 0], [-np.inf] * 3, [np.nan, 0, 0], [0, np.nan, 0]], ids=str
)
def test_a_row_without_a_value_has_no_slopes(logits):
    logits = jnp.array(logits, jnp.float32)
    value, slopes = jax.value_and_grad(multiclass_hinge_loss)(logits, jnp.array(0))
    assert jnp.isnan(value)
    assert jnp.isnan(slopes).all()
