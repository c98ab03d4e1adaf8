"""Bad input to linear_cross_entropy and linear_log_probs: named when known, NaN when traced."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.fused import linear_cross_entropy, linear_log_probs

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(6, 3)).astype(np.float32)
WEIGHT = RNG.normal(size=(3, 5)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 4, 2])
GOOD = {"hidden": HIDDEN, "weight": WEIGHT, "labels": LABELS}

OF_BOTH = [
    ({"hidden": HIDDEN[:, :2]}, ValueError, r"hidden and weight must share.*\(6, 2\).*\(3, 5\)"),
    ({"weight": WEIGHT.T}, ValueError, r"\(5, 3\).*stored the other way pass vocab_axis=0$"),
    ({"vocab_axis": 0}, ValueError, r"\[V, D\].*\(3, 5\).*pass vocab_axis=-1"),
    ({"vocab_axis": 2}, ValueError, "vocab_axis must be.*got 2"),
    ({"vocab_axis": "last"}, ValueError, "vocab_axis must be.*got 'last'"),
    ({"hidden": np.ones((6, 3), int)}, TypeError, "hidden.*floating point, got int"),
    ({"hidden": HIDDEN + 1j}, TypeError, "hidden must be real"),
    ({"weight": np.ones((3, 5), int)}, TypeError, "weight.*floating point, got int"),
    ({"weight": WEIGHT[None]}, ValueError, r"weight must be a matrix.*\(1, 3, 5\)"),
    ({"weight": WEIGHT[:, :0]}, ValueError, r"at least one class.*\(3, 0\)"),
    ({"labels": LABELS.astype(np.float32)}, TypeError, "labels must be integer.*got float32"),
    ({"labels": np.ones(6, bool)}, TypeError, "labels must be integer.*got bool"),
    ({"labels": LABELS[:5]}, ValueError, r"got shape \(5,\), wanted \(6,\)"),
    ({"labels": LABELS[:, None]}, ValueError, r"got shape \(6, 1\), wanted \(6,\)"),
    ({"labels": np.where(LABELS == 3, 5, LABELS)}, ValueError, r"\[0, 5\), got 5 at position \(3,"),
    ({"labels": np.where(LABELS == 1, -1, LABELS)}, ValueError, r"got -1 at position \(1,"),
    ({"labels": LABELS - 100 * (LABELS == 4)}, ValueError, r"got -96 at position \(4,"),
    ({"labels": LABELS + 2**32}, ValueError, r"got 4294967296 at position \(0,"),
    ({"bias": np.ones(3, np.float32)}, ValueError, r"bias.*got shape \(3,\), wanted \(5,\)"),
    ({"bias": np.ones((1, 5), np.float32)}, ValueError, r"bias.*\(1, 5\), wanted \(5,\)"),
    ({"where": np.ones(6)}, TypeError, "where must be boolean"),
    ({"where": np.ones(5, bool)}, ValueError, r"where.*\(5,\).*wanted \(6,\)"),
    ({"ignore_index": 1.5}, TypeError, "ignore_index must be an integer, got 1.5"),
    ({"soft_cap": 0.0}, ValueError, "soft_cap must be positive and finite, got 0"),
    ({"soft_cap": np.ones(2)}, ValueError, r"soft_cap must be one number, got shape \(2,\)"),
    ({"logit_scale": np.inf}, ValueError, "logit_scale must be finite, got inf"),
    ({"tile": 0}, ValueError, "tile must be at least 1 row, got 0"),
    ({"tile": -3}, ValueError, "tile must be at least 1 row, got -3"),
    ({"vocab_size": 4}, ValueError, "vocab_size=4 goes with vocab_axis_name"),
    ({"vocab_axis_name": "nowhere"}, ValueError, "'nowhere' is no mesh axis here"),
]
OF_LOSS = [
    ({"label_smoothing": -0.1}, ValueError, r"label_smoothing must lie in \[0, 1\], got -0.1"),
    ({"label_smoothing": 1.5}, ValueError, r"label_smoothing must lie in \[0, 1\], got 1.5"),
    ({"z_loss": -1.0}, ValueError, "z_loss must be non-negative and finite, got -1"),
    ({"reduction": "avg"}, ValueError, "reduction must be one of.*'avg'"),
    ({"reduction": "men"}, ValueError, "did you mean 'mean'"),
    ({"class_weights": np.ones(3)}, ValueError, r"class_weights.*\(3,\), wanted \(5,\)"),
    ({"class_weights": -np.ones(5)}, ValueError, "class_weights must be non-negative"),
    ({"weights": np.ones(5)}, ValueError, r"weights.*\(5,\).*wanted \(6,\)"),
    ({"weights": np.ones((6, 1))}, ValueError, r"weights.*\(6, 1\)"),
]


@pytest.mark.parametrize(
    ("function", "change", "error", "message"),
    [(linear_cross_entropy, *row) for row in OF_BOTH + OF_LOSS]
    + [(linear_log_probs, *row) for row in OF_BOTH],
)
def test_misuse_is_named_with_what_was_got_and_wanted(function, change, error, message):
    # Unwrapped from the run-time type checks of this test run, which a user does not have.
    with pytest.raises(error, match=message):
        inspect.unwrap(function)(**(GOOD | change))


@pytest.mark.parametrize("tile", ["all", 2.5])
def test_a_tile_is_a_number_of_rows_or_a_plan(tile):
    with pytest.raises(Exception, match="tile"):  # in tests the type checks may speak first
        inspect.unwrap(linear_cross_entropy)(**GOOD, tile=tile)


@pytest.mark.parametrize("bad", [-1, -100, 5, 10**6])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_bad_label_under_jit_is_nan_in_value_and_gradients(bad, reduction):
    labels = np.where(np.arange(6) == 3, bad, LABELS)

    @jax.jit
    def found(hidden, weight, labels):
        def total(hidden, weight):
            losses = linear_cross_entropy(hidden, weight, labels, reduction=reduction, tile=2)
            return jnp.sum(losses), losses

        return jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(hidden, weight)

    (_, losses), (dhidden, dweight) = found(HIDDEN, WEIGHT, labels)
    if reduction == "mean":
        assert np.isnan(losses)
    else:
        np.testing.assert_array_equal(np.isnan(losses), np.arange(6) == 3)
        np.testing.assert_array_equal(np.isnan(dhidden).any(axis=1), np.arange(6) == 3)
    assert np.isnan(dhidden[3]).all()
    assert np.isnan(dweight).all()


def test_a_bad_label_that_is_masked_harms_nobody():
    labels, where = np.where(np.arange(6) == 3, 99, LABELS), np.arange(6) != 3
    loss = lambda h, w: linear_cross_entropy(h, w, labels, where=where, tile=2)  # noqa: E731
    value, slopes = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(HIDDEN, WEIGHT)
    assert np.isfinite(value)
    assert all(np.isfinite(x).all() for x in slopes)


def test_a_bad_label_makes_its_log_probs_nan_under_jit():
    labels = np.where(np.arange(6) == 3, 99, LABELS)
    found = jax.jit(lambda labels: linear_log_probs(HIDDEN, WEIGHT, labels, tile=2))(labels)
    np.testing.assert_array_equal(np.isnan(found.log_prob), np.arange(6) == 3)
    assert not found.correct[3]


@pytest.mark.parametrize(
    ("name", "bad"),
    [("label_smoothing", 1.5), ("z_loss", -1.0), ("soft_cap", 0.0), ("logit_scale", np.inf)],
)
def test_a_traced_option_out_of_range_is_nan_in_value_and_gradient(name, bad):
    loss = lambda h, option: linear_cross_entropy(h, WEIGHT, LABELS, tile=2, **{name: option})  # noqa: E731
    value, slope = jax.jit(jax.value_and_grad(loss))(HIDDEN, bad)
    assert np.isnan(value)
    assert np.isnan(slope).all()
