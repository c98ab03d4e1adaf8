"""Tallies against Python's exact integers and fractions."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from xentjax.metrics import Mean, merge, merge_devices, tally


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
    @jax.shard_map(mesh=mesh, in_specs=P("data"), out_specs=P(), check_vma=False)
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
