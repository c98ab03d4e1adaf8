"""Falling schedules agree with optax's and are exact at their ends."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.optim import constant, cosine, exponential, linear, piecewise, polynomial

STEPS = jnp.arange(130)
# A few float32 roundings of values up to 3; a power of p = t/d, up to 13, multiplies that of p.
CLOSE = {"rtol": 0, "atol": 8 * 3 * np.finfo(np.float32).eps}
PAIRS = {
    "linear": (linear(3.0, total_steps=100, end=0.3), optax.linear_schedule(3.0, 0.3, 100)),
    "cosine": (
        cosine(3.0, total_steps=100, end=0.3),
        optax.cosine_decay_schedule(3.0, 100, alpha=0.1),
    ),
    "polynomial": (
        polynomial(3.0, total_steps=100, power=1.5, end=0.3),
        optax.polynomial_schedule(3.0, 0.3, 1.5, 100),
    ),
    "exponential": (
        exponential(3.0, decay_rate=0.5, decay_steps=30, end=0.3),
        optax.exponential_decay(3.0, 30, 0.5, end_value=0.3),
    ),
    "staircase": (
        exponential(3.0, decay_rate=0.5, decay_steps=30, staircase=True),
        optax.exponential_decay(3.0, 30, 0.5, staircase=True),
    ),
    "piecewise": (
        piecewise(3.0, scales={75: 0.5, 50: 0.1}),
        optax.piecewise_constant_schedule(3.0, {50: 0.1, 75: 0.5}),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_values_are_those_of_optax(name):
    ours, theirs = PAIRS[name]
    got, want = jax.jit(lambda: (jax.vmap(ours)(STEPS), jax.vmap(theirs)(STEPS)))()
    np.testing.assert_allclose(got, want, **CLOSE)


@pytest.mark.parametrize("name", ["linear", "cosine", "polynomial"])
def test_both_ends_are_exact_and_the_last_value_stays(name):
    # Numbers that (end − peak) + peak would not give back.
    make = {"linear": linear, "cosine": cosine, "polynomial": polynomial}[name]
    rate = make(0.1, total_steps=7, end=1e-5)
    got = np.array([rate(step) for step in (0, 7, 8, 2**31 - 1)])
    np.testing.assert_array_equal(got, np.float32([0.1, 1e-5, 1e-5, 1e-5]))


def test_a_staircase_jumps_at_its_steps_however_late():
    rate = exponential(1.0, decay_rate=0.5, decay_steps=2**25, staircase=True)
    assert [float(rate(2**25 + d)) for d in (-1, 0)] == [1.0, 0.5]


def test_without_boundaries_the_value_is_constant():
    assert float(piecewise(3.0, scales={})(1000)) == 3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: constant(-1.0), "value must be finite and not negative, got -1.0"),
        (lambda: constant(float("nan")), "got nan"),
        (lambda: linear(1.0, total_steps=0), "total_steps must be a whole number, 1 or more"),
        (lambda: linear(1.0, total_steps=5, end=-1.0), "end must be finite"),
        (lambda: cosine(float("inf"), total_steps=5), "peak must be finite"),
        (lambda: polynomial(1.0, total_steps=5, power=0.0), "power must be a positive"),
        (lambda: exponential(1.0, decay_rate=1.5, decay_steps=5), r"decay_rate must be in \(0, 1"),
        (lambda: exponential(1.0, decay_rate=0.5, decay_steps=0), "decay_steps must be a whole"),
        (lambda: piecewise(1.0, scales={0: 0.5}), "a boundary in scales must be a whole number, 1"),
        (lambda: piecewise(1.0, scales={5: -0.5}), r"scales\[5\] must be finite and not negative"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
