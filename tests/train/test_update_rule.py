"""The update rule is the optimizer and schedule named, at any number of steps."""

import jax.numpy as jnp
import pytest

from xentjax.train.update_rule import make_update_rule


@pytest.mark.parametrize("steps", [1, 3, 200])
@pytest.mark.parametrize("schedule", ["constant", "warmup_cosine", "warmup_stable_decay"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_combination_steps_downhill(optimizer, schedule, steps):
    rule = make_update_rule(optimizer, schedule, peak=0.1, steps=steps, weight_decay=0.0)
    params = {"kernel": jnp.ones((2, 2))}
    opt_state, moved = rule.optimizer.init(params), 0.0
    for _ in range(min(steps, 3)):
        updates, opt_state = rule.optimizer.update(params, opt_state, params)
        moved += float(updates["kernel"][0, 0])
    assert moved < 0
    rates = [float(rule.learning_rate(step)) for step in range(steps)]
    assert max(rates) == pytest.approx(0.1)


def test_only_adamw_decays_weights():
    params, zero = {"kernel": jnp.ones((2, 2))}, {"kernel": jnp.zeros((2, 2))}
    moved = {}
    for optimizer in ("sgd", "adam", "adamw"):
        rule = make_update_rule(optimizer, "constant", peak=0.1, steps=1, weight_decay=0.5)
        updates, _ = rule.optimizer.update(zero, rule.optimizer.init(params), params)
        moved[optimizer] = float(updates["kernel"][0, 0])
    assert moved == {"sgd": 0.0, "adam": 0.0, "adamw": pytest.approx(-0.05)}
