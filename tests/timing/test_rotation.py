import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.timing import Plain, compare, measure
from xentjax.timing.rotation import (
    ASSUMED_CACHE_BYTES,
    cache_bytes,
    can_rotate,
    copies_needed,
    rotating,
)

KB = np.zeros(1000, np.int8)


@pytest.mark.parametrize(
    ("args", "cache", "rounds", "copies"),
    [
        ((KB,), 999, 30, 1),  # a run evicts its own inputs
        ((KB,), 1000, 30, 2),
        ((KB, {"more": KB}), 8000, 30, 5),  # between two uses of 2000 bytes lie the 8000 others
        ((KB,), 10**9, 30, 30),  # a copy for each run
        ((KB,), 0, 30, 1),
        ((3.0,), 10**9, 30, 1),
    ],
)
def test_as_many_copies_as_fill_the_cache(args, cache, rounds, copies):
    assert copies_needed(args, cache, rounds) == copies


def test_runs_take_equal_copies_in_turn():
    x = jnp.arange(4.0)
    run = rotating(lambda x, scale: (x, scale), (x, 2.0), copies=3)
    seen = [run() for _ in range(7)]
    assert [id(array) for array, _ in seen[:4]] == [id(array) for array, _ in seen[3:]]
    buffers = {array.unsafe_buffer_pointer() for array, _ in seen}
    assert len(buffers) == 3
    assert all(array.tolist() == [0.0, 1.0, 2.0, 3.0] and scale == 2.0 for array, scale in seen)


def test_copies_lie_where_the_original_lies():
    mesh = jax.make_mesh((4,), ("rows",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    run = rotating(lambda x: x, (jax.device_put(jnp.ones(8), rows),), copies=2)
    assert [run().sharding, run().sharding] == [rows, rows]


@pytest.mark.parametrize(
    ("entries", "can"),
    [
        ([(KB,), (jnp.ones(3), 2.0)], True),
        ([(KB,), ()], False),  # what it works on lies out of reach
        ([(KB,), (2.0,)], False),
        ([(KB,), (KB, object())], False),  # such as a tensor of another library
    ],
)
def test_inputs_of_all_contestants_rotate_or_of_none(entries, can):
    assert can_rotate(entries) is can


def addresses(log):
    return Plain(lambda x: log.append(x.ctypes.data) or 0.0)


def test_measure_rotates_what_fits_and_says_so(clock):
    log = []
    measurement = measure(addresses(log), KB, runs=4, warmup=1, clock=clock, cache_bytes=2500)
    assert measurement.copies == 4
    assert len(set(log)) == 4
    assert log[4] == log[0]


def test_inputs_stay_where_the_caller_wants_them_warm(clock):
    log = []
    assert measure(addresses(log), KB, runs=4, clock=clock, cache_bytes=0).copies == 1
    assert len(set(log)) == 1


def test_compare_rotates_none_where_one_cannot_be_copied(clock):
    contestants = {"numpy": (addresses([]), (KB,)), "other": (Plain(lambda _: 0.0), (object(),))}
    comparison = compare(contestants, runs=2, clock=clock, cache_bytes=10**6)
    assert [one.copies for one in comparison.measurements] == [1, 1]


def test_a_cache_of_negative_size_is_refused():
    with pytest.raises(ValueError, match="cache_bytes must be at least 0, got -1"):
        measure(Plain(lambda: 0.0), cache_bytes=-1)


def test_the_largest_cache_linux_lists_is_taken(tmp_path):
    for index, size in enumerate(("32K", "1024K", "32768K")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
    assert cache_bytes("cpu", tmp_path) == 32 * 2**20
    assert cache_bytes("cpu", tmp_path / "nowhere") == ASSUMED_CACHE_BYTES
    assert cache_bytes("gpu", tmp_path) == ASSUMED_CACHE_BYTES
