"""reduce and total_and_weight: one meaning of mask, weight and mean for every loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xentjax
from xentjax import reduce, total_and_weight

LOSSES = jnp.array([1.0, 2.0, 6.0, 5.0])
KEEP = jnp.array([True, False, True, True])
WEIGHTS = jnp.array([1.0, 5.0, 2.0, 0.5])


def test_the_three_reductions_by_hand():
    np.testing.assert_array_equal(
        reduce(LOSSES, where=KEEP, weights=WEIGHTS, reduction="none"), [1, 0, 12, 2.5]
    )
    assert reduce(LOSSES, where=KEEP, weights=WEIGHTS, reduction="sum") == 15.5
    np.testing.assert_allclose(reduce(LOSSES, where=KEEP, weights=WEIGHTS), 15.5 / 3.5)


@settings(max_examples=50, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(-100, 100, width=32), st.floats(0.125, 8, width=32), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    cut=st.integers(0, 12),
)
def test_totals_of_uneven_parts_give_the_numpy_average_of_the_whole(rows, cut):
    losses, weights, keep = (np.array(column) for column in zip(*rows, strict=True))
    losses, weights = losses.astype(np.float32), weights.astype(np.float32)
    parts = [
        total_and_weight(losses[part], where=keep[part], weights=weights[part])
        for part in (slice(0, cut), slice(cut, None))
    ]
    total, weight = (sum(float(part[i]) for part in parts) for i in range(2))
    if not keep.any():
        assert (total, weight) == (0, 0)
        assert reduce(losses, where=keep, weights=weights) == 0
        return
    wanted = np.average(np.float64(losses[keep]), weights=np.float64(weights[keep]))
    np.testing.assert_allclose(total / weight, wanted, rtol=2e-6, atol=1e-4)
    got = reduce(losses, where=keep, weights=weights)
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-4)


@pytest.mark.parametrize("junk", [jnp.nan, jnp.inf])
def test_a_masked_fault_reaches_neither_value_nor_any_gradient(junk):
    losses, weights = LOSSES.at[1].set(junk), WEIGHTS.at[1].set(junk)
    value, slopes = jax.value_and_grad(
        lambda x, w: reduce(x, where=KEEP, weights=w), argnums=(0, 1)
    )(losses, weights)
    np.testing.assert_allclose(value, 15.5 / 3.5)
    for slope in slopes:
        assert np.isfinite(slope).all()
        assert slope[1] == 0


@pytest.mark.parametrize(
    "options", [{"where": jnp.zeros(4, bool)}, {"weights": jnp.zeros(4)}], ids=["mask", "weights"]
)
def test_the_mean_of_nothing_is_zero_with_zero_gradient(options):
    value, slope = jax.value_and_grad(lambda x: reduce(x, **options))(LOSSES)
    assert value == 0
    np.testing.assert_array_equal(slope, 0)


def test_an_empty_batch_has_mean_zero():
    assert reduce(jnp.zeros(0)) == 0
    assert total_and_weight(jnp.zeros((0, 3))) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((LOSSES,), {"where": jnp.ones(4)}, TypeError, "where must be boolean, got float32"),
        ((LOSSES,), {"where": jnp.ones((2, 4), bool)}, ValueError, r"got shape \(2, 4\)"),
        ((LOSSES,), {"weights": jnp.ones((4, 1))}, ValueError, r"wanted \(4,\)"),
        ((LOSSES,), {"weights": jnp.ones(4, complex)}, TypeError, "weights must be real"),
        ((LOSSES,), {"reduction": "average"}, ValueError, "reduction must be one of"),
        ((jnp.arange(4),), {}, TypeError, "losses must be floating point, got int32"),
    ],
)
def test_misuse_is_named(arguments, options, error, message):
    with pytest.raises(error, match=message):
        reduce(*arguments, **options)


def test_half_precision_losses_are_summed_in_float32():
    losses = jnp.full(70000, 1.0, jnp.float16)
    assert reduce(losses, reduction="sum") == 70000
    assert reduce(losses).dtype == jnp.float32


def test_units_convert():
    np.testing.assert_allclose(xentjax.bits(np.log(8.0)), 3, rtol=1e-6)
    np.testing.assert_allclose(xentjax.perplexity(np.log(50.0)), 50, rtol=1e-6)
    np.testing.assert_allclose(xentjax.bits_per_byte(np.log(16.0), 2), 2, rtol=1e-6)
    with pytest.raises(ValueError, match="n_bytes must be at least 1, got 0"):
        xentjax.bits_per_byte(1.0, 0)
