"""The update rule is what was named, made or handed over, with its learning rate."""

import jax.numpy as jnp
import optax
import pytest

from xentjax import optim
from xentjax.train.update_rule import resolve_rule

PARAMS = {"kernel": jnp.ones((2, 2))}


def first_move(rule):
    updates, _ = rule.optimizer.update(PARAMS, rule.optimizer.init(PARAMS), PARAMS)
    return float(updates["kernel"][0, 0])


def test_a_name_and_a_function_make_the_same_optimizer():
    named = resolve_rule("adam", 0.1, steps=10, b1=0.5)
    made = resolve_rule(lambda rate: optim.adam(rate, b1=0.5), 0.1, steps=10)
    assert first_move(named) == first_move(made) == pytest.approx(-0.1, rel=1e-5)
    assert named.learning_rate == made.learning_rate == 0.1


def test_without_a_schedule_the_rate_warms_up_to_a_thousandth_and_falls():
    rule = resolve_rule("sgd", None, steps=200)
    rates = [float(rule.learning_rate(step)) for step in range(201)]
    assert (rates[0], max(rates), rates[10]) == (0.0, pytest.approx(1e-3), max(rates))
    assert rates[200] == pytest.approx(0, abs=1e-9)


def test_a_transformation_is_taken_as_it_is_and_follows_no_schedule():
    rule = resolve_rule(optax.sgd(0.5), None, steps=10)
    assert (first_move(rule), rule.learning_rate) == (-0.5, None)
    with pytest.raises(ValueError, match="has its learning rate in it already"):
        resolve_rule(optax.sgd(0.5), 0.1, steps=10)
