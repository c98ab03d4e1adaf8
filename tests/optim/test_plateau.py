"""The steps shrink when the loss stays where it is, and not before."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from xentjax.optim import plateau


def scales(rule, losses):
    def step(state, loss):
        updates, state = rule.update(jnp.float32(1.0), state, jnp.float32(0.0), value=loss)
        return state, -updates

    return jax.lax.scan(step, rule.init(jnp.float32(0.0)), jnp.asarray(losses, jnp.float32))[1]


def test_a_falling_loss_keeps_the_steps_and_a_level_one_halves_them():
    falling = [4.0, 3.0, 2.0, 1.0]
    np.testing.assert_array_equal(
        scales(plateau(optax.sgd(1.0), patience=2), falling + [1.0] * 4),
        [1, 1, 1, 1, 1, 0.5, 0.5, 0.25],
    )


def test_readings_are_means_over_steps_and_the_scale_has_a_floor():
    noisy = [3.0, 1.0, 1.0, 3.0, 2.0, 2.0, 4.0, 0.0]
    rule = plateau(optax.sgd(1.0), patience=1, average_over=2, min_scale=0.3)
    np.testing.assert_allclose(scales(rule, noisy), [1, 1, 1, 0.5, 0.5, 0.3, 0.3, 0.3], rtol=1e-6)


def test_it_is_optax_chained_after_the_rule():
    losses = np.cos(np.arange(30.0)) + 2
    ours = plateau(
        optax.adam(0.1), factor=0.3, patience=2, average_over=2, min_improvement=0.01, cooldown=1
    )
    theirs = optax.chain(
        optax.adam(0.1),
        contrib.reduce_on_plateau(
            factor=0.3, patience=2, rtol=0.01, cooldown=1, accumulation_size=2
        ),
    )
    got = scales(ours, losses)
    np.testing.assert_array_equal(got, scales(theirs, losses))
    assert got[-1] < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1.0}, r"factor must be in \[0, 1\), got 1.0"),
        ({"factor": 0.0}, "must be above 0"),
        ({"min_improvement": 0.0}, "must be above 0"),
        ({"patience": 0}, "patience must be a whole number, 1 or more, got 0"),
        ({"average_over": 0}, "average_over must be a whole"),
        ({"cooldown": -1}, "cooldown must be a whole"),
        ({"min_scale": 1.0}, "min_scale"),
    ],
)
def test_numbers_outside_their_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        plateau(optax.sgd(1.0), **options)
