import io
import json

import jax.numpy as jnp
import pytest
from rich.console import Console

from xentjax.timing import (
    Compilation,
    Floor,
    FloorRatio,
    Measurement,
    Memory,
    Plain,
    Spread,
    measure,
)


def printed(renderable):
    console = Console(file=io.StringIO(), width=200)
    console.print(renderable)
    return console.file.getvalue()


def staged(clock):
    return clock.staged(trace=0.5, lower=0.25, compile=4.0, run=2.0, memory=(3000, 1000, 4))


def test_measure_reports_stages_runs_and_memory_of_known_cost(clock):
    measurement = measure(staged(clock), runs=5, name="known", clock=clock)
    assert measurement.name == "known"
    assert measurement.run_seconds == (2.0,) * 5
    assert measurement.compilation == Compilation(0.5, 0.25, 4.0)
    assert measurement.memory == Memory(temp_bytes=3000, argument_bytes=1000, output_bytes=4)
    assert measurement.floor is None


def test_median_and_iqr_are_those_of_the_blocked_runs(clock):
    noisy = Plain(clock.worker_of([1.0, 2.0, 3.0, 4.0, 1000.0]))
    measurement = measure(noisy, runs=5, warmup=0, clock=clock)
    assert (measurement.median_seconds, measurement.iqr_seconds, measurement.runs) == (3.0, 2.0, 5)


def test_a_computed_floor_divides_every_run(clock):
    floor = Floor(bytes=1e9, bytes_per_second=2e9)
    measurement = measure(Plain(clock.worker(2.0)), floor=floor, runs=3, clock=clock)
    ratio = Spread(median=4.0, iqr=0.0, count=3)
    assert measurement.floor == FloorRatio("floor", 0.5, ratio, bound="memory")


def test_a_bare_operation_alternates_with_the_function(clock):
    def copy(which):
        clock.spend(0.5, which)
        return "done"

    fn = Plain(clock.worker(2.0, "fn"))
    floor = (Plain(copy), ("bare",))
    measurement = measure(fn, floor=floor, runs=4, warmup=0, clock=clock)
    rounds = [sorted(clock.log[start : start + 2]) for start in range(0, 8, 2)]
    assert rounds == [["bare", "fn"]] * 4
    assert measurement.floor == FloorRatio("copy", 0.5, Spread(median=4.0, iqr=0.0, count=4))


def test_real_arrays_have_known_bytes_and_a_traceable_floor():
    x = jnp.ones((32, 8))
    measurement = measure(lambda x: x + 1, x, floor=(jnp.sin, (x,)), runs=2)
    assert measurement.memory == Memory(temp_bytes=0, argument_bytes=1024, output_bytes=1024)
    assert measurement.name == "<lambda>"
    assert measurement.floor.name == "sin"
    assert all(seconds > 0 for seconds in measurement.run_seconds)


@pytest.mark.parametrize("plain", [False, True])
def test_json_round_trip(clock, tmp_path, plain):
    fn = Plain(clock.worker(2.0)) if plain else staged(clock)
    floor = (Plain(clock.worker(0.5)), ())
    measurement = measure(fn, runs=3, floor=floor, name="known", clock=clock)
    path = tmp_path / "deep" / "er" / "known.json"
    measurement.write_json(path)
    assert Measurement.from_json(path.read_text(encoding="utf-8")) == measurement
    fields = json.loads(measurement.to_json())
    assert (fields["median_seconds"], fields["iqr_seconds"], fields["runs"]) == (2.0, 0.0, 3)


def test_table_shows_every_figure_with_its_unit(clock):
    floor = Floor(flops=1, flops_per_second=1)
    text = printed(measure(staged(clock), runs=3, floor=floor, name="known", clock=clock))
    for figure in ("known", "2.00 s", "500 ms", "250 ms", "4.00 s", "3.00 kB", "1.00 kB", "4 B"):
        assert figure in text
    assert "2.00 ± 0.00" in text


def test_table_shows_a_dash_for_what_a_plain_callable_does_not_have(clock):
    text = printed(measure(Plain(clock.worker(2.0)), runs=3, clock=clock))
    assert text.count("–") == 3 + 3 + 2  # stages, kinds of bytes, rates


def test_runs_are_checked_before_anything_is_compiled(clock):
    with pytest.raises(ValueError, match="runs must be at least 1, got 0"):
        measure(staged(clock), runs=0, clock=clock)
    assert clock.now == 0.0


@pytest.mark.parametrize("floor", [(jnp.sin,), (jnp.sin, "x"), (3, ())])
def test_a_floor_of_another_kind_is_refused(clock, floor):
    with pytest.raises(TypeError, match="floor must be Floor"):
        measure(staged(clock), floor=floor, clock=clock)
