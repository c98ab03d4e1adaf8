"""Schedules with a warm-up agree with optax's and with their formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.optim import inverse_sqrt, warmup_cosine, warmup_stable_decay

STEPS = jnp.arange(130)
# A few float32 roundings of values up to 3.
CLOSE = {"rtol": 0, "atol": 8 * 3 * np.finfo(np.float32).eps}


@pytest.mark.parametrize(("warmup", "end"), [(0, 0.0), (1, 0.0), (20, 0.3), (99, 0.0)])
def test_warmup_cosine_agrees_with_optax(warmup, end):
    ours = warmup_cosine(3.0, warmup_steps=warmup, total_steps=100, end=end)
    theirs = optax.warmup_cosine_decay_schedule(0.0, 3.0, warmup, 100, end)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(ours))(STEPS), jax.jit(jax.vmap(theirs))(STEPS), **CLOSE
    )


@pytest.mark.parametrize(("warmup", "decay", "end"), [(0, 100, 0.0), (20, 80, 0.3), (10, 30, 1.0)])
def test_warmup_stable_decay_agrees_with_three_joined_lines_of_optax(warmup, decay, end):
    ours = warmup_stable_decay(
        3.0, warmup_steps=warmup, total_steps=100, decay_steps=decay, end=end
    )
    theirs = optax.join_schedules(
        [
            optax.linear_schedule(0.0, 3.0, max(warmup, 1)),
            optax.constant_schedule(3.0),
            optax.linear_schedule(3.0, end, decay),
        ],
        [warmup, 100 - decay],
    )
    np.testing.assert_allclose(
        jax.jit(jax.vmap(ours))(STEPS), jax.jit(jax.vmap(theirs))(STEPS), **CLOSE
    )


def test_decay_takes_a_fifth_of_the_steps_by_default():
    rate = warmup_stable_decay(1.0, warmup_steps=0, total_steps=50)
    assert [float(rate(step)) for step in (40, 45, 50)] == [1.0, 0.5, 0.0]


def test_a_longer_run_shares_the_level_part():
    short, long = (
        warmup_stable_decay(1.0, warmup_steps=5, total_steps=n, decay_steps=10) for n in (50, 90)
    )
    np.testing.assert_array_equal(
        jax.jit(jax.vmap(short))(STEPS[:41]), jax.jit(jax.vmap(long))(STEPS[:41])
    )


def test_long_runs_keep_their_last_steps_apart():
    # Above 2^24 a float32 no longer counts by ones.
    n = 2**26
    rate = warmup_stable_decay(1.0, warmup_steps=0, total_steps=n, decay_steps=100)
    assert float(rate(n - 1)) == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize("warmup", [1, 7])
def test_inverse_sqrt_is_its_formula(warmup):
    t = np.arange(130.0)
    want = 3.0 * np.where(t < warmup, t / warmup, np.sqrt(warmup / np.maximum(t, 1)))
    got = jax.jit(jax.vmap(inverse_sqrt(3.0, warmup_steps=warmup)))(STEPS)
    np.testing.assert_allclose(got, want, **CLOSE)


def test_the_last_steps_of_a_cosine_keep_their_digits():
    n = 2**26
    got = float(warmup_cosine(1.0, warmup_steps=0, total_steps=n)(n - 3))
    assert got == pytest.approx(np.sin(np.pi / 2 * 3 / n) ** 2, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: warmup_cosine(1.0, warmup_steps=9, total_steps=9),
            "below total_steps, got 9 of 9",
        ),
        (
            lambda: warmup_cosine(1.0, warmup_steps=-1, total_steps=9),
            "warmup_steps must be a whole",
        ),
        (lambda: warmup_cosine(1.0, warmup_steps=0, total_steps=9, end=-0.1), "end must be"),
        (
            lambda: warmup_stable_decay(1.0, warmup_steps=5, total_steps=9, decay_steps=5),
            "warmup_steps=5, decay_steps=5, total_steps=9",
        ),
        (
            lambda: warmup_stable_decay(1.0, warmup_steps=5, total_steps=9, decay_steps=0),
            "decay_steps must be at least 1",
        ),
        (lambda: inverse_sqrt(-1.0, warmup_steps=3), "peak must be finite"),
        (lambda: inverse_sqrt(1.0, warmup_steps=0), "warmup_steps must be a whole number, 1 or"),
    ],
)
def test_impossible_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
