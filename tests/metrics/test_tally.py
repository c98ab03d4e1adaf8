"""Tallies against Python's exact integers and fractions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from xentjax.metrics import ConfusionMatrix, Mean, merge, merge_devices, tally


def test_counting_goes_on_past_what_float32_and_int32_can_hold():
    step = 2**31 - 1
    amounts = jnp.full((4096,), step, jnp.int32)
    counted, _ = jax.jit(
        lambda xs: jax.lax.scan(lambda t, x: (tally.add(t, x), None), tally.zeros(), xs)
    )(amounts)
    assert tally.exact(counted) == 4096 * step  # almost 2⁴³
    assert tally.exact(tally.add(counted, jnp.asarray(1))) == 4096 * step + 1


def test_a_long_sum_of_floats_is_rounded_once():
    numbers = np.random.default_rng(0).lognormal(sigma=4, size=5000).astype(np.float32)
    truth = float(sum(Fraction(float(x)) for x in numbers))

    def step(total, x):
        return tally.add(total, x), None

    found, _ = jax.jit(lambda xs: jax.lax.scan(step, tally.zeros(), xs))(jnp.asarray(numbers))
    # 5000 additions of 48 bits lose at most 5000·2⁻⁴⁸ = 1.8e-11 of the total.
    assert abs(tally.exact(found) - truth) <= 2e-11 * truth
    assert tally.value(found) == np.float32(truth)


@pytest.mark.parametrize("scale", [1.0, 1e30, 1e-30])
def test_sums_by_cell_and_running_sums_are_exact(scale):
    rng, cells = np.random.default_rng(1), 5
    amounts = (scale * rng.lognormal(sigma=3, size=5000)).astype(np.float32)
    amounts[::2] *= -1
    index = rng.integers(0, cells, amounts.size)
    exact = [Fraction(float(x)) for x in amounts]
    total = float(sum(abs(x) for x in exact))
    by_cell = tally.total_at(jnp.asarray(amounts), jnp.asarray(index), cells)
    running = tally.exact(tally.running(jnp.asarray(amounts)))
    # Each of 5000 amounts may lose what is below 2⁻⁴⁹ of the largest.
    bound = 5000 * 2.0**-49 * float(np.abs(amounts).max()) + 2.0**-48 * total
    for cell in range(cells):
        truth = float(sum(x for x, i in zip(exact, index, strict=True) if i == cell))
        assert abs(tally.exact(by_cell)[cell] - truth) <= bound
    for last in (0, 1, 2499, 4999):
        assert abs(running[last] - float(sum(exact[: last + 1]))) <= bound


@pytest.mark.usefixtures("x64")
def test_sums_by_cell_in_double():
    amounts, index = np.random.default_rng(2).lognormal(sigma=4, size=1000), np.arange(1000) % 3
    found = tally.total_at(jnp.asarray(amounts), jnp.asarray(index), 3)
    for cell in range(3):
        truth = sum(Fraction(float(x)) for x in amounts[index == cell])
        assert tally.exact(found)[cell] == float(truth)


def test_amounts_that_are_not_finite_make_sums_by_cell_nan():
    for wrong in (np.inf, np.nan):
        amounts = jnp.array([1.0, wrong])
        assert np.isnan(tally.value(tally.total_at(amounts, jnp.array([0, 1]), 3))).all()


def test_booleans_are_hits():
    mean = Mean()
    state = mean.update(mean.init(), jnp.array([True, False, True, True]))
    assert mean.compute(state) == 0.75


@pytest.mark.parametrize("splits", [(3, 1), (1, 2, 1), (4,)])
def test_uneven_parts_merge_to_the_mean_of_the_whole(splits):
    values = jnp.array([1.0, 2.0, 6.0, np.nan])
    where = jnp.array([True, True, True, False])
    weights = jnp.array([1.0, 0.5, 2.0, np.nan])
    mean, whole = Mean(), None
    for part in np.split(np.arange(4), np.cumsum(splits)[:-1]):
        state = mean.update(mean.init(), values[part], where=where[part], weights=weights[part])
        whole = state if whole is None else merge(whole, state)
    assert mean.compute(whole) == 4.0  # (1 + 1 + 12) / 3.5


def test_devices_merge_to_the_state_of_one():
    mean, values = Mean(), jnp.arange(16.0) ** 3
    mesh = Mesh(np.array(jax.devices()), ("data",))

    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=P("data"), out_specs=P())
    def sharded(values):
        return merge_devices(mean.update(mean.init(), values), "data")

    got, wanted = sharded(values), mean.update(mean.init(), values)
    assert mean.compute(got) == mean.compute(wanted) == np.float32(np.mean(np.arange(16.0) ** 3))
    assert tally.exact(got.weight) == 16


def test_nothing_counted_is_nan_and_infinity_stays_infinite():
    mean = Mean()
    assert np.isnan(mean.compute(mean.init()))
    state = mean.update(mean.init(), jnp.array([np.inf, 1.0]))
    assert mean.compute(mean.update(state, jnp.array([2.0]))) == np.inf


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_values_of_16_bits_are_summed_in_more(dtype):
    mean = Mean()
    assert mean.compute(mean.update(mean.init(), jnp.full(4, 60000, dtype))) == dtype(60000)
    values = jnp.linspace(2, 4, 1001, dtype=dtype)
    found = mean.compute(mean.update(mean.init(), values))
    # 1001 additions in pairs round some ten times.
    np.testing.assert_allclose(found, np.mean(np.asarray(values, np.float64)), rtol=10 * 6e-8)


@pytest.mark.parametrize(
    "values",
    [
        np.full(4, 2**30, np.int32),
        np.full(4, -(2**31), np.int32),
        np.full(3000, 2**31 - 1, np.int32),
        np.array([2**31 + 2**30, 2**32 - 1], np.uint32),
        np.full(70000, 40000, np.uint16),
        np.array([-128, 127, -128], np.int8),
        np.full(4, 2**40),
        np.int64(2**40),
        np.arange(2**31, 2**31 + 2**10, dtype=np.uint64),
    ],
    ids=str,
)
def test_integers_never_wrap(values):
    mean, exact = Mean(), np.asarray(values, np.float64)
    state = mean.update(mean.init(), values)
    if np.abs(exact).max() < 2**31 or np.asarray(values).dtype == np.uint32:
        assert tally.exact(state.total) == exact.sum()
    np.testing.assert_allclose(mean.compute(state), exact.mean(), rtol=2e-7)


def test_integers_sum_exactly_by_cell_and_along_the_way():
    amounts = np.random.default_rng(3).integers(-(2**31), 2**31, 1000, np.int32)
    cells = np.arange(1000) % 3
    by_cell = tally.exact(tally.total_at(jnp.asarray(amounts), jnp.asarray(cells), 3))
    whole = amounts.astype(np.int64)
    assert by_cell.tolist() == [whole[cells == cell].sum() for cell in range(3)]
    running = tally.exact(tally.running(jnp.asarray(amounts)))
    np.testing.assert_array_equal(running, np.cumsum(whole))
    columns = tally.exact(tally.total(jnp.asarray(amounts).reshape(500, 2), axis=0))
    np.testing.assert_array_equal(columns, whole.reshape(500, 2).sum(0))


@pytest.mark.usefixtures("x64")
def test_integers_of_64_bits_sum_exactly():
    amounts = np.array([2**40, 2**40 + 1, -3, 2**50])
    assert tally.exact(tally.total(jnp.asarray(amounts))) == amounts.sum()
    state = Mean().update(Mean().init(), np.full(4, 2**62))  # the sum is 2⁶⁴
    assert Mean().compute(state) == 2.0**62


def test_weights_are_non_negative_and_0_leaves_an_infinite_loss_out():
    mean = Mean()
    with pytest.raises(ValueError, match="weights must be non-negative and finite, got -1"):
        mean.update(mean.init(), jnp.ones(2), weights=jnp.array([-1.0, 2.0]))
    update = jax.jit(lambda x, w: mean.update(mean.init(), x, weights=w))
    assert np.isnan(mean.compute(update(jnp.ones(2), jnp.array([-1.0, 2.0]))))
    assert mean.compute(update(jnp.array([np.inf, 3.0]), jnp.array([0.0, 2.0]))) == 3


def test_states_of_different_shape_or_kind_are_not_merged():
    two, five = (ConfusionMatrix(n) for n in (1, 5))
    with pytest.raises(ValueError, match="same options"):
        merge(two.init(), five.init())
    with pytest.raises(ValueError, match="MeanState"):
        merge(two.init(), Mean().init())
