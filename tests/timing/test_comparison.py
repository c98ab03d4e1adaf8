import inspect
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from xentjax.timing import Comparison, Floor, Interval, Plain, Spread, compare


def printed(renderable):
    console = Console(file=io.StringIO(), width=250)
    console.print(renderable)
    return console.file.getvalue()


def known(clock):
    """A jitted contestant of 2 s, a plain one of 3 s and a bare pass of 0.5 s."""
    fast = clock.staged(trace=1.0, lower=1.0, compile=1.0, run=2.0, memory=(5000, 0, 0))
    return {
        "ours": (fast, ()),
        "torch": (Plain(clock.worker(3.0)), ()),
        "bare pass": (Plain(clock.worker(0.5)), ()),
    }


def test_ratios_are_those_of_the_known_costs(clock):
    comparison = compare(known(clock), runs=4, floor="bare pass", clock=clock)
    assert comparison.names == ("ours", "torch", "bare pass")
    assert comparison.baseline == "ours"
    assert comparison.ratio("torch") == Spread(median=1.5, iqr=0.0, count=4)
    assert comparison.ratio("ours", to="bare pass").median == 4.0
    assert comparison["torch"].floor.ratio.median == 6.0
    assert comparison["bare pass"].floor.ratio.median == 1.0


def test_baseline_is_the_one_named(clock):
    comparison = compare(known(clock), runs=2, baseline="torch", clock=clock)
    assert comparison.ratio("torch").median == 1.0
    assert comparison.ratio("bare pass").median == 0.5 / 3.0


def test_ratio_survives_a_machine_whose_speed_changes_between_rounds(clock):
    slowdown = [1.0, 1.0, 16.0, 2.0, 4.0, 8.0, 64.0, 1.0]
    contestants = {
        "base": (Plain(clock.worker_of(slowdown)), ()),
        "twice": (Plain(clock.worker_of([2 * s for s in slowdown])), ()),
    }
    comparison = compare(contestants, runs=8, warmup=0, clock=clock)
    assert comparison.ratio("twice") == Spread(median=2.0, iqr=0.0, count=8)
    assert comparison["twice"].iqr_seconds > 0


def test_everything_is_compiled_before_the_first_run(clock):
    late = clock.staged(trace=1.0, lower=1.0, compile=1.0, run=0.0)
    early = Plain(lambda: clock.log.append(clock.now), wait=clock.worker(0.0))
    contestants = {"early": (early, ()), "late": (late, ())}
    compare(contestants, runs=1, warmup=0, clock=clock, floor=Floor(bytes=1, bytes_per_second=1))
    assert clock.log == [3.0]


def test_traceable_jitted_and_plain_contestants_meet_in_one_run():
    x = np.linspace(0.0, 1.0, 128, dtype=np.float32)
    contestants = {
        "traceable": (jnp.tanh, (jnp.asarray(x),)),
        "jitted": (jax.jit(jnp.tanh), (jnp.asarray(x),)),
        "numpy": (Plain(np.tanh), (x,)),
    }
    comparison = compare(contestants, runs=3)
    assert [measurement.runs for measurement in comparison.measurements] == [3, 3, 3]
    assert comparison["jitted"].memory.output_bytes == 512
    assert comparison["numpy"].memory is None


def test_json_round_trip(clock, tmp_path):
    comparison = compare(known(clock), runs=2, floor="bare pass", clock=clock)
    comparison.write_json(tmp_path / "deep" / "c.json")
    text = (tmp_path / "deep" / "c.json").read_text(encoding="utf-8")
    assert Comparison.from_json(text) == comparison
    fields = json.loads(text)
    assert [entry["ratio_median"] for entry in fields["measurements"]] == [1.0, 1.5, 0.25]
    assert fields["environment"]["versions"]["jax"] == jax.__version__


def test_table_shows_ratios_memory_build_and_dashes(clock):
    text = printed(compare(known(clock), runs=2, floor="bare pass", clock=clock))
    figures = ("× ours", "× bare pass", "1.50 ± 0.00", "6.00 ± 0.00", "5.00 kB", "3.00 s")
    assert [figure for figure in figures if figure not in text] == []
    assert text.count("–") == 2 * 3  # two plain contestants: temp, out, build


def test_table_leaves_out_what_no_contestant_has(clock):
    text = printed(compare({"only": (Plain(clock.worker(1.0)), ())}, runs=2, clock=clock))
    assert "–" not in text
    assert "build" not in text
    assert "× floor" not in text


def test_no_contestants_are_refused():
    with pytest.raises(ValueError, match="contestants is empty"):
        compare({})


def test_an_unknown_name_is_answered_with_the_nearest(clock):
    with pytest.raises(ValueError, match=r"baseline 'toch' .* did you mean 'torch'\?"):
        compare(known(clock), baseline="toch", clock=clock)
    with pytest.raises(ValueError, match=r"floor 'bare' .* did you mean 'bare pass'\?"):
        compare(known(clock), floor="bare", clock=clock)
    assert clock.now == 0.0
    comparison = compare(known(clock), runs=1, clock=clock)
    with pytest.raises(ValueError, match="the contestants are ours, torch, bare pass"):
        comparison.ratio("zzz")


@pytest.mark.parametrize("entry", [jnp.sin, (jnp.sin,), (jnp.sin, 3.0), [jnp.sin]])
def test_a_contestant_that_is_not_a_function_with_args_is_refused(entry):
    with pytest.raises(TypeError, match=r"contestant 'sin' must be \(fn, args\)"):
        compare({"sin": entry})


def test_runs_below_one_are_refused(clock):
    with pytest.raises(ValueError, match="runs must be at least 1, got 0"):
        compare(known(clock), runs=0, clock=clock)


@pytest.mark.parametrize("contestants", [[jnp.sin], jnp.sin, ("once", (jnp.sin, ())), []])
def test_contestants_without_names_are_refused_with_the_form_wanted(contestants):
    with pytest.raises(TypeError, match=r"must be \{name: \(fn, args\)\}, got"):
        # Unwrapped, for the type checker of these tests would refuse them first.
        inspect.unwrap(compare)(contestants)


def test_json_of_before_work_was_measured_is_read(clock):
    comparison = compare(known(clock), runs=2, floor="bare pass", clock=clock)
    fields = comparison.to_dict()
    for entry in fields["measurements"]:
        for name in ("work", "peak_bytes", "copies", "caveats"):
            del entry[name]
        for name in ("bound", "rates"):
            del entry["floor"][name]
    again = Comparison.from_dict(fields)
    assert again.ratio("torch") == comparison.ratio("torch")
    assert again["ours"].floor == comparison["ours"].floor
    assert again["ours"].work is None


def test_verdicts_follow_from_rounds_that_agree(clock):
    noisy = [0.8, 1.2] * 8
    contestants = {
        "base": (Plain(clock.worker(1.0)), ()),
        "slower": (Plain(clock.worker(1.5)), ()),
        "noisy": (Plain(clock.worker_of(noisy)), ()),
    }
    comparison = compare(contestants, runs=16, warmup=0, clock=clock)
    assert comparison.interval("slower") == Interval(1.5, 1.5)
    assert [comparison.verdict(name) for name in ("slower", "noisy")] == [
        "slower",
        "no difference shown",
    ]
    assert comparison.verdict("base", to="slower") == "faster"
    text = printed(comparison)
    assert "1.50 (1.50 … 1.50) slower" in text
    assert "no difference shown" in text
    assert json.loads(comparison.to_json())["measurements"][2]["verdict"] == "no difference shown"
