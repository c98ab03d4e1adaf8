"""Averages of the weights are the means they say, and are found wherever they are kept."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax import contrib

from xentjax.optim import AveragedState, ema, evaluation_params, extra_arguments, sam, swa

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])}
STEPS = 6
GRADS = jax.tree.map(lambda p: jnp.stack([jnp.cos(3 * p + i) for i in range(STEPS)]), PARAMS)
# Six steps of a few float32 operations on numbers of order 1.
CLOSE = {"rtol": 2e-6, "atol": 2e-6}


def run(rule, params=PARAMS, grads=GRADS):
    """The trained parameters and those to evaluate with, after each step."""

    def step(carry, grad):
        params, state = carry
        updates, state = rule.update(grad, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), (params, evaluation_params(state, params))

    return jax.lax.scan(step, (params, rule.init(params)), grads)[1]


def weighted(trained, weights):
    """In float64, for each t: Σ wₛ·θₛ / Σ wₛ."""
    weights = np.asarray(weights, np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    return jax.tree.map(
        lambda leaf: np.einsum("ts,s...->t...", weights, np.asarray(leaf, np.float64)), trained
    )


def test_ema_is_the_weighted_mean_of_the_trained_weights_for_each_traced_decay():
    decays = jnp.array([0.0, 0.5, 0.9, 0.9999])
    trained, averaged = jax.jit(jax.vmap(lambda d: run(ema(optax.sgd(0.3), decay=d))))(decays)
    for index, decay in enumerate(np.asarray(decays, np.float64)):
        age = np.arange(STEPS)[:, None] - np.arange(STEPS)
        weights = np.where(age >= 0, decay ** np.maximum(age, 0), 0.0)
        ours, theta = (jax.tree.map(lambda x, i=index: x[i], t) for t in (averaged, trained))
        chex.assert_trees_all_close(ours, weighted(theta, weights), **CLOSE)


@pytest.mark.parametrize(("start", "every"), [(1, 1), (2, 1), (2, 3), (9, 2)])
def test_swa_is_the_mean_of_the_weights_taken(start, every):
    trained, averaged = run(swa(optax.sgd(0.3), start=start, every=every))
    weights = np.zeros((STEPS, STEPS))
    for t in range(1, STEPS + 1):
        taken = [s for s in range(1, t + 1) if s >= start and (s - start) % every == 0] or [t]
        weights[t - 1, np.array(taken) - 1] = 1.0
    chex.assert_trees_all_close(averaged, weighted(trained, weights), **CLOSE)


def test_averaging_leaves_the_steps_of_the_rule_alone():
    want, itself = run(optax.adam(0.1))
    for wrapped in (ema(optax.adam(0.1)), swa(optax.adam(0.1), start=2)):
        got, averaged = run(wrapped)
        chex.assert_trees_all_equal(got, want)
        assert not np.array_equal(averaged["bias"], got["bias"])
    chex.assert_trees_all_equal(itself, want)


def test_before_the_first_step_one_evaluates_with_the_parameters():
    for rule in (ema(optax.sgd(0.1)), swa(optax.sgd(0.1), start=3), contrib.schedule_free_sgd()):
        got = evaluation_params(rule.init(PARAMS), PARAMS)
        chex.assert_trees_all_close(got, PARAMS, rtol=2e-7)


def test_bfloat16_weights_are_averaged_in_float32_and_evaluated_in_bfloat16():
    params, one = jnp.bfloat16(1.0), jnp.bfloat16(-1.0)
    rule = ema(optax.sgd(1.0), decay=0.999)
    state = rule.init(params)
    for _ in range(2):
        updates, state = rule.update(one, state, params)
        params = optax.apply_updates(params, updates)
    assert state.average.dtype == jnp.float32
    # (0.999·2 + 3)/1.999, of which a bfloat16 would keep 2.5.
    assert float(state.average) == pytest.approx(4.998 / 1.999, rel=1e-6)
    assert evaluation_params(state, params).dtype == jnp.bfloat16


def test_schedule_free_parameters_are_those_of_optax():
    rule = contrib.schedule_free_adamw(0.1)
    state = rule.init(PARAMS)
    params = PARAMS
    for index in range(3):
        grad = jax.tree.map(lambda g, i=index: g[i], GRADS)
        updates, state = rule.update(grad, state, params)
        params = optax.apply_updates(params, updates)
    want = contrib.schedule_free_eval_params(state, params)
    chex.assert_trees_all_equal(evaluation_params(state, params), want)
    assert not np.allclose(want["bias"], params["bias"], rtol=1e-3)


def with_average(value):
    """A state whose average is the value everywhere."""
    state = ema(optax.sgd(0.1)).init(PARAMS)
    return state._replace(average=jax.tree.map(lambda p: jnp.full_like(p, value), PARAMS))


def test_an_average_is_found_anywhere_and_the_outermost_counts():
    sevens = with_average(7.0).average
    inside_sam = sam(ema(optax.sgd(0.1))).init(PARAMS)._replace(opt_state=with_average(7.0))
    nested = with_average(7.0)._replace(inner=with_average(8.0))
    for state in (
        (optax.EmptyState(), with_average(7.0)),
        {"a": [with_average(7.0)]},
        inside_sam,
        nested,
    ):
        chex.assert_trees_all_equal(evaluation_params(state, PARAMS), sevens)


def test_each_part_of_a_partition_has_its_own_average():
    rule = optax.partition(
        {"averaged": ema(optax.sgd(0.3), decay=0.5), "plain": optax.sgd(0.3)},
        {"kernel": "averaged", "bias": "plain"},
    )
    trained, got = run(rule)
    _, whole = run(ema(optax.sgd(0.3), decay=0.5))
    chex.assert_trees_all_close(got, {"kernel": whole["kernel"], "bias": trained["bias"]}, **CLOSE)


def test_the_average_is_a_copy_so_that_both_may_be_donated():
    rule = ema(optax.sgd(0.1))
    params = jax.tree.map(jnp.copy, PARAMS)
    state = rule.init(params)
    jax.jit(lambda p, s: rule.update(p, s, p), donate_argnums=(0, 1))(params, state)


def test_the_extra_arguments_of_the_rule_pass_through():
    rule = ema(optax.polyak_sgd())
    assert extra_arguments(rule, PARAMS) == {"value"}
    updates, state = rule.update(PARAMS, rule.init(PARAMS), PARAMS, value=jnp.float32(2.0))
    want, _ = optax.polyak_sgd().update(
        PARAMS, optax.polyak_sgd().init(PARAMS), PARAMS, value=jnp.float32(2.0)
    )
    chex.assert_trees_all_equal(updates, want)
    assert isinstance(state, AveragedState)
    assert int(state.steps) == 1


def test_an_update_without_parameters_is_refused():
    rule = ema(optax.sgd(0.1))
    with pytest.raises(ValueError, match="params must be given"):
        rule.update(PARAMS, rule.init(PARAMS))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ema(optax.sgd(0.1), decay=1.0), r"decay must be in \[0, 1\), got 1.0"),
        (lambda: swa(optax.sgd(0.1), start=0), "start must be a whole number, 1 or more, got 0"),
        (lambda: swa(optax.sgd(0.1), start=1, every=0), "every must be a whole number"),
    ],
)
def test_numbers_outside_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
