import io
import warnings
from concurrent.futures import Future
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from xentjax.timing import Comparison, Plain, TimingWarning, compare, measure
from xentjax.timing.guards import CompileEvents, unwaited


def on_device(kind):
    """An array of another library that says where it lies, 1 for the CPU and 2 for CUDA."""
    return SimpleNamespace(__dlpack_device__=lambda: (kind, 0))


@pytest.mark.parametrize(
    ("result", "leaf"),
    [
        (jnp.ones(2), None),
        ({"loss": np.float32(1.0), "gradient": [np.ones(2)]}, None),
        ("text", None),
        (on_device(1), None),
        (on_device(2), "SimpleNamespace"),
        ((jnp.ones(2), Future()), "Future"),
        (None, "nothing"),
        ((), "nothing"),
    ],
)
def test_what_nobody_waits_for_is_named(result, leaf):
    assert unwaited(result) == leaf


@pytest.mark.parametrize(
    ("fn", "message"),
    [
        (Plain(Future), "'Future' returns Future, which nobody waits for"),
        (Plain(lambda: None), "'<lambda>' returns nothing, which nobody waits for"),
        (lambda: (), "'<lambda>' returns nothing, so XLA drops its work"),
    ],
    ids=["a handle", "nothing", "a program without results"],
)
def test_a_time_that_waits_for_nothing_is_warned_about_and_keeps_its_caveat(fn, message):
    with pytest.warns(TimingWarning, match=message):
        measurement = measure(fn, runs=2)
    assert len(measurement.caveats) == 1
    assert message in measurement.caveats[0]


def test_a_wait_of_the_callers_own_is_enough(clock):
    waited = Plain(Future, wait=clock.worker(1.0))
    assert measure(waited, runs=2, clock=clock).caveats == ()


def jits_anew(x):
    # The lambda is another function at each call: JAX compiles it again.
    return jax.jit(lambda x: x + 1)(x)


def test_compilation_within_timed_runs_is_counted_and_warned_about():
    x = jnp.ones(3)
    contestants = {"anew": (Plain(jits_anew), (x,)), "once": (Plain(jax.jit(jnp.sin)), (x,))}
    message = r"'anew' was traced or compiled in 3 of its 3 timed runs"
    with pytest.warns(TimingWarning, match=message) as caught:
        comparison = compare(contestants, runs=3, warmup=1)
    assert len(caught) == 1
    assert comparison["once"].caveats == ()


def test_without_warm_up_the_first_run_is_told_to_hold_compilation():
    fresh = jax.jit(lambda x: x * 3)
    with pytest.warns(TimingWarning, match="in 1 of its 2 timed runs.*raise warmup"):
        measure(Plain(fresh), jnp.ones(3), runs=2, warmup=0)


def test_compilation_elsewhere_is_not_counted_once_the_rounds_are_over():
    with CompileEvents.counting() as events:
        pass
    jits_anew(jnp.ones(3))
    assert events.count == 0


def test_good_contestants_are_not_warned_about():
    x = jnp.ones(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measurement = measure(jnp.sin, x, runs=2)
    assert measurement.caveats == ()


def test_caveats_travel_into_json_and_onto_the_screen(clock):
    contestants = {"good": (Plain(clock.worker(1.0)), ()), "bad": (Plain(Future), ())}
    with pytest.warns(TimingWarning):
        comparison = compare(contestants, runs=2, clock=clock, baseline="good")
    again = Comparison.from_json(comparison.to_json())
    assert again == comparison
    console = Console(file=io.StringIO(), width=250)
    console.print(again)
    assert "! 'bad' returns Future" in console.file.getvalue()
    assert "! 'bad' returns Future" in str(again)
