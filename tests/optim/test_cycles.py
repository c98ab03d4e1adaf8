"""Cyclical schedules agree with optax's or with their formulas, and turn at the right steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.optim import one_cycle, sgdr, triangular

STEPS = jnp.arange(130)
# A few float32 roundings of values up to 3.
CLOSE = {"rtol": 0, "atol": 8 * 3 * np.finfo(np.float32).eps}


def values(schedule):
    return jax.jit(jax.vmap(schedule))(STEPS)


def test_one_cycle_is_that_of_optax():
    got = values(one_cycle(3.0, total_steps=100, start_divisor=10.0, end_divisor=50.0))
    want = values(optax.cosine_onecycle_schedule(100, 3.0, 0.3, 10.0, 50.0))
    np.testing.assert_allclose(got, want, **CLOSE)


def test_one_cycle_meets_its_three_corners_exactly():
    rate = one_cycle(0.3, total_steps=9, rise_steps=4)
    got = np.array([rate(step) for step in (0, 4, 9, 1000)])
    start = np.float32(0.3 / 25)
    np.testing.assert_array_equal(got, np.float32([start, 0.3, 0.3 / 25 / 1e4, 0.3 / 25 / 1e4]))


@pytest.mark.parametrize(("cycle", "decay"), [(10, 1.0), (7, 0.5), (2, 0.9)])
def test_triangular_is_its_formula(cycle, decay):
    done, place = np.divmod(np.arange(130), cycle)
    want = 0.2 + 2.8 * decay**done * (1 - np.abs(2 * place / cycle - 1))
    got = values(triangular(3.0, cycle_steps=cycle, base=0.2, decay=decay))
    np.testing.assert_allclose(got, want, **CLOSE)


@pytest.mark.parametrize(("cycle", "growth", "decay"), [(10, 1, 1.0), (10, 2, 0.5), (3, 3, 1.0)])
def test_sgdr_is_that_of_optax(cycle, growth, decay):
    cycles = 20 if growth == 1 else 5
    theirs = optax.sgdr_schedule(
        {
            "init_value": 0.0,
            "peak_value": 3.0 * decay**k,
            "warmup_steps": 0,
            "decay_steps": cycle * growth**k,
            "end_value": 0.01,
        }
        for k in range(cycles)
    )
    ours = sgdr(3.0, cycle_steps=cycle, growth=growth, end=0.01, decay=decay)
    got, want = jax.jit(lambda: (values(ours), values(theirs)))()
    np.testing.assert_allclose(got, want, **CLOSE)


def test_sgdr_restarts_at_exactly_its_peak_up_to_the_largest_step():
    rate = sgdr(0.3, cycle_steps=5, growth=2, end=0.01)
    starts = [5 * (2**k - 1) for k in range(29)]
    assert starts[-1] < 2**31 - 1
    several = jax.jit(jax.vmap(rate))
    np.testing.assert_array_equal(several(jnp.array(starts)), np.float32(0.3))
    before = several(jnp.array(starts) - 1)[1:]
    assert np.all(before < 0.3)
    assert 0.01 <= float(rate(2**31 - 1)) < 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: one_cycle(1.0, total_steps=1), "total_steps must be a whole number, 2 or more"),
        (lambda: one_cycle(1.0, total_steps=9, rise_steps=9), "below total_steps, got 9 of 9"),
        (lambda: one_cycle(1.0, total_steps=9, rise_steps=0), "rise_steps must be a whole"),
        (lambda: one_cycle(1.0, total_steps=9, end_divisor=0.0), "end_divisor must be a positive"),
        (lambda: triangular(1.0, cycle_steps=1), "cycle_steps must be a whole number, 2 or more"),
        (lambda: triangular(1.0, cycle_steps=4, decay=0.0), r"decay must be in \(0, 1\], got 0.0"),
        (lambda: triangular(1.0, cycle_steps=4, base=-1.0), "base must be finite"),
        (lambda: sgdr(1.0, cycle_steps=0), "cycle_steps must be a whole"),
        (lambda: sgdr(1.0, cycle_steps=4, growth=0), "growth must be a whole number, 1 or more"),
        (lambda: sgdr(1.0, cycle_steps=4, decay=1.1), r"decay must be in \(0, 1\]"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
