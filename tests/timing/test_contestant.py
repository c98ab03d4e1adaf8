import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.timing.contestant import Compilation, Memory, Plain, callable_name, enlist


def test_trace_lower_and_compile_are_timed_apart(clock):
    fn = clock.staged(trace=1.0, lower=2.0, compile=4.0, run=8.0, memory=(16, 32, 64))
    contestant = enlist("staged", fn, (), clock)
    assert contestant.compilation == Compilation(1.0, 2.0, 4.0)
    assert contestant.compilation.seconds == 7.0
    assert contestant.memory == Memory(temp_bytes=16, argument_bytes=32, output_bytes=64)
    assert contestant.blocked_run(clock)[0] == 8.0


def test_a_run_lasts_until_its_result_is_there(clock):
    contestant = enlist("asynchronous", Plain(clock.pending(4.0)), (), clock)
    assert contestant.blocked_run(clock)[0] == 4.0


def test_wait_of_a_plain_callable_is_part_of_the_run(clock):
    plain = Plain(clock.worker(1.0), wait=clock.worker(2.0))
    assert enlist("torch", plain, (), clock).blocked_run(clock)[0] == 3.0


def test_a_plain_callable_is_never_traced_and_gets_its_args(clock):
    seen = []
    contestant = enlist("plain", Plain(lambda *args: seen.append(args)), ("text", 3), clock)
    contestant.run()
    assert seen == [("text", 3)]
    assert contestant.compilation is None
    assert contestant.memory is None


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["traceable", "already jitted"])
def test_a_jax_function_is_traced_once_for_all_its_runs(wrap):
    traces = []

    def double(x):
        traces.append(1)
        return 2 * x

    contestant = enlist("double", wrap(double), (jnp.arange(4.0),), time.perf_counter)
    for _ in range(3):
        assert contestant.run().tolist() == [0.0, 2.0, 4.0, 6.0]
    assert len(traces) == 1


def test_a_second_measurement_of_the_same_function_traces_again():
    traces = []

    def double(x):
        traces.append(1)
        return 2 * x

    for _ in range(2):
        enlist("double", double, (jnp.ones(3),), time.perf_counter)
    assert len(traces) == 2


def test_bytes_of_a_program_match_its_arrays():
    def chain(x, y):
        # The inner product, 64 × 64 float32, can live nowhere but in temporary memory.
        return jnp.tanh(x @ y) @ y

    x = jnp.ones((64, 64))
    memory = enlist("chain", chain, (x, x + 1), time.perf_counter).memory
    assert memory.argument_bytes == 2 * 64 * 64 * 4
    assert memory.output_bytes == 64 * 64 * 4
    assert 64 * 64 * 4 <= memory.temp_bytes < 2 * 64 * 64 * 4


def test_static_arguments_are_refused_with_the_way_out():
    scale = jax.jit(lambda x, n: n * x, static_argnums=1)
    with pytest.raises(
        ValueError, match=r"'scale' takes 2 arguments.*1 arrays.*functools\.partial"
    ):
        enlist("scale", scale, (jnp.ones(3), 2), time.perf_counter)


def test_what_cannot_be_called_is_refused(clock):
    with pytest.raises(TypeError, match="contestant 'three': got int, wanted a function"):
        enlist("three", 3, (), clock)


def _branches_on_a_value(x):
    return x if x[0] > 0 else -x


@pytest.mark.parametrize("fn", [np.asarray, lambda x: float(x[0]), _branches_on_a_value])
def test_a_function_jax_cannot_trace_is_sent_to_plain(fn):
    with pytest.raises(TypeError, match=r"contestant 'host'.*wrap it in Plain\(fn\)") as caught:
        enlist("host", fn, (jnp.ones(3),), time.perf_counter)
    assert isinstance(caught.value.__cause__, jax.errors.JAXTypeError)
    assert enlist("host", Plain(fn), (jnp.ones(3),), time.perf_counter).run() is not None


def test_names_are_seen_through_wrappers():
    assert callable_name(Plain(functools.partial(test_names_are_seen_through_wrappers))) == (
        "test_names_are_seen_through_wrappers"
    )
