import itertools

import jax
import jax.numpy as jnp
import pytest

from xentjax.timing import Comparison, DeviceRates, Plain, Roofline, Spread, Work, compare, measure
from xentjax.timing.contestant import Contestant
from xentjax.timing.roofline import Probes, narrowest_dtype

# 100 numbers of 4 bytes, read and written: 800 bytes. 2·8³ = 1024 FLOPs.
SMALL = {"copy_bytes": 400, "matrix_size": 8}
PROBES = Probes(
    Contestant("copy", lambda: 0.0), Contestant("product", lambda: 0.0), 800, 1024, "float32"
)


def ticking():
    """A clock that is asked at the start and at the end of a run: each takes a second."""
    return itertools.count(0.0).__next__


def test_floor_is_the_longer_of_moving_and_computing_at_the_rates_of_the_round():
    # 1600 bytes take two copies, 512 FLOPs half a product.
    work = Work(flops=512, least_bytes=1600)
    found = PROBES.floor_ratio([8.0, 8.0, 8.0], work, [1.0, 2.0, 1.0], [1.0, 1.0, 9.0])
    # Floors 2, 4 and 4.5 s.
    assert found.ratio == Spread.of([8 / 2, 8 / 4, 8 / 4.5])
    assert (found.seconds, found.bound) == (4.0, "memory")
    assert found.rates == DeviceRates(800.0, 1024.0, "float32")


def test_work_that_computes_longer_is_bound_by_arithmetic():
    found = PROBES.floor_ratio([8.0], Work(flops=4096, least_bytes=800), [1.0], [1.0])
    assert (found.seconds, found.ratio.median, found.bound) == (4.0, 2.0, "arithmetic")


def test_the_ratio_stays_when_the_machine_slows_down_for_all():
    slow = [1.0, 8.0, 2.0, 32.0]
    work = Work(flops=4096, least_bytes=800)
    found = PROBES.floor_ratio([6.0 * s for s in slow], work, slow, slow)
    assert found.ratio == Spread(median=1.5, iqr=0.0, count=4)


@pytest.mark.parametrize(
    "work", [Work(), Work(flops=8), Work(least_bytes=8), Work(flops=0, least_bytes=0)]
)
def test_work_that_is_unknown_or_none_has_no_floor(work):
    assert PROBES.floor_ratio([1.0], work, [1.0], [1.0]) is None


def test_a_kernel_of_known_work_is_held_against_measured_rates():
    x = jnp.ones((16, 16))
    found = measure(
        lambda x: jax.lax.fori_loop(0, 3, lambda _, x: jnp.sin(x @ x), x),
        x,
        floor=Roofline(**SMALL),
        runs=3,
        clock=ticking(),
    )
    # Every run takes 1 s, so do the probes: three products of 2·16³ are 24 of 2·8³.
    assert found.floor.seconds == 24.0
    assert found.floor.bound == "arithmetic"
    assert found.floor.ratio.median == 1 / 24
    assert found.flops_per_second == 3 * 2 * 16**3
    assert found.floor.rates == DeviceRates(800.0, 1024.0, "float32")


def test_work_the_caller_names_holds_for_all_contestants_plain_ones_too():
    entries = {"jax": (jnp.sin, (jnp.ones(4),)), "plain": (Plain(lambda: 0.0), ())}
    floor = Roofline(bytes=1600, flops=0, **SMALL)
    comparison = compare(entries, floor=floor, runs=2, clock=ticking())
    assert [one.floor.seconds for one in comparison.measurements] == [2.0, 2.0]
    assert comparison["plain"].work == Work(flops=0, least_bytes=1600)
    assert Comparison.from_json(comparison.to_json()) == comparison


def test_a_contestant_of_unknown_work_has_no_floor_and_says_why():
    entries = {"plain": (Plain(lambda: 0.0), ())}
    comparison = compare(entries, floor=Roofline(**SMALL), runs=2, clock=ticking())
    assert comparison["plain"].floor is None
    assert "! 'plain': JAX does not compile it" in str(comparison)


def test_a_floor_that_is_beaten_is_doubted():
    entries = {"fast": (Plain(lambda: 0.0), ())}
    floor = Roofline(bytes=8000, flops=0, **SMALL)
    assert "'fast' runs below its floor" in str(
        compare(entries, floor=floor, runs=8, clock=ticking())
    )


def test_probes_run_on_every_device_that_holds_arguments():
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    probes = Roofline(**SMALL).probes((), list(mesh.devices.flat))
    copied, product = probes.copy.run(), probes.product.run()
    assert copied.shape == (4, 100)
    assert product.shape == (4, 8, 8)
    assert set(map(len, (copied.devices(), product.devices()))) == {4}
    assert float(product[3, 0, 0]) == 8.0
    # In place: every second run returns the numbers of the first.
    assert probes.copy.run()[0, 0] == 1.0
    assert probes.copy.run()[0, 0] == -1.0


@pytest.mark.parametrize(
    ("dtypes", "narrowest"),
    [(["float32", "bfloat16"], "bfloat16"), (["int8"], "float32"), ([], "float32")],
)
def test_products_are_probed_in_the_narrowest_dtype_of_the_arguments(dtypes, narrowest):
    assert narrowest_dtype([jnp.ones(2, dtype) for dtype in dtypes]) == narrowest


@pytest.mark.parametrize("figure", [{"bytes": -1}, {"matrix_size": 0}, {"copy_bytes": 3}])
def test_a_roofline_of_impossible_figures_is_refused(figure):
    (name,) = figure
    with pytest.raises(ValueError, match=f"Roofline: {name} must be at least"):
        Roofline(**figure)
