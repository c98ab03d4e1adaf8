"""Schedules by name suit the run they are made for, and may be traced in step and peak."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.optim import (
    inverse_sqrt,
    one_cycle,
    schedule,
    schedules,
    sgdr,
    warmup_cosine,
    warmup_stable_decay,
)

STEPS = 140
# (the first value, the highest, the value at the end), for a peak of 0.3.
ENDS = {
    "constant": (0.3, 0.3, 0.3),
    "cosine": (0.3, 0.3, 0.0),
    "exponential": (0.3, 0.3, 0.003),
    "inverse_sqrt": (0.0, 0.3, 0.3 * (7 / 140) ** 0.5),
    "linear": (0.3, 0.3, 0.0),
    "one_cycle": (0.012, 0.3, 0.012e-4),
    "piecewise": (0.3, 0.3, 0.003),
    "polynomial": (0.3, 0.3, 0.0),
    "sgdr": (0.3, 0.3, 0.3),  # the next cycle would start
    "triangular": (0.0, 0.3, 0.0),
    "warmup_cosine": (0.0, 0.3, 0.0),
    "warmup_stable_decay": (0.0, 0.3, 0.0),
}


def test_every_schedule_is_tested():
    assert list(schedules._BY_NAME) == sorted(ENDS)


@pytest.mark.parametrize("name", ENDS)
def test_a_named_schedule_fits_its_run_with_the_step_and_the_peak_traced(name):
    steps = jnp.arange(STEPS + 1)
    traced = jax.jit(
        lambda peaks: jax.vmap(lambda p: jax.vmap(schedule(name, p, steps=STEPS))(steps))(peaks)
    )(jnp.array([0.3, 0.6]))
    assert traced.dtype == jnp.float32
    # A few float32 roundings, and those of a power.
    close = {"rtol": 2e-6, "atol": 1e-12}
    got = traced[0, 0], traced[0].max(), traced[0, -1]
    np.testing.assert_allclose(got, ENDS[name], **close)
    np.testing.assert_allclose(traced[1], 2 * traced[0], **close)
    untraced = schedule(name, 0.3, steps=STEPS)
    for step in (0, 3, STEPS // 2, STEPS):
        value = untraced(step)
        assert value.shape == ()
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, traced[0, step], **close)


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_shortest_runs_have_every_schedule(name, steps):
    rate = schedule(name, 0.3, steps=steps)
    values = np.array([rate(step) for step in range(steps + 1)])
    assert np.all((values >= 0) & (values <= np.float32(0.3)))


def test_steps_beyond_the_end_are_defined():
    for name in ENDS:
        value = float(schedule(name, 0.3, steps=STEPS)(2**31 - 1))
        assert 0 <= value <= np.float32(0.3), name


def test_the_defaults_are_those_documented_and_options_replace_them():
    step = 33
    for got, want in (
        (schedule("inverse_sqrt", 1.0, steps=100), inverse_sqrt(1.0, warmup_steps=5)),
        (schedule("one_cycle", 1.0, steps=100), one_cycle(1.0, total_steps=100, rise_steps=30)),
        (schedule("sgdr", 1.0, steps=100), sgdr(1.0, cycle_steps=15, growth=2)),
        (
            schedule("warmup_cosine", 1.0, steps=100, warmup_steps=20, end=0.5),
            warmup_cosine(1.0, warmup_steps=20, total_steps=100, end=0.5),
        ),
        (
            schedule("warmup_stable_decay", 1.0, steps=100, decay_steps=90),
            warmup_stable_decay(1.0, warmup_steps=5, total_steps=100, decay_steps=90),
        ),
    ):
        assert float(got(step)) == float(want(step))


def test_typos_are_met_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"got 'onecycle'; did you mean 'one_cycle'\?"):
        schedule("onecycle", 1.0, steps=10)
    with pytest.raises(TypeError, match=r"cosine takes total_steps, end, got 'ends'; did you mean"):
        schedule("cosine", 1.0, steps=10, ends=0.1)
    with pytest.raises(TypeError, match="constant takes no options, got 'end'"):
        schedule("constant", 1.0, steps=10, end=0.1)


def test_a_run_has_at_least_one_step():
    with pytest.raises(ValueError, match="steps must be a whole number, 1 or more, got 0"):
        schedule("cosine", 1.0, steps=0)
