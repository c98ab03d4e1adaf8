"""The rules take the steps of their formulas, in float64."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.optim import adam, adamw, optimizer, sgd, warmup_cosine

PARAMS = {
    "layer": {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])},
    "norm": {"scale": jnp.array([1.0, 1.0])},
}
GRADS = [jax.tree.map(lambda p, i=i: jnp.cos(3 * p + i) * (i + 1), PARAMS) for i in range(4)]
# Four steps of a handful of float32 operations on numbers of order 1.
CLOSE = {"rtol": 2e-6, "atol": 2e-6}


def trajectory(rule, params=PARAMS, grads=GRADS):
    @jax.jit  # one program, for speed
    def run(params, grads):
        state = rule.init(params)
        for grad in grads:
            updates, state = rule.update(grad, state, params)
            params = optax.apply_updates(params, updates)
        return params

    return run(params, grads)


def numpy_trajectory(step):
    """Applies `step(t, θ, g, memory)` to each array by itself, in float64."""
    leaves, treedef = jax.tree.flatten(PARAMS)
    result = []
    for index, leaf in enumerate(leaves):
        theta, memory = np.asarray(leaf, np.float64), {}
        for t, grad in enumerate(GRADS, start=1):
            g = np.asarray(jax.tree.leaves(grad)[index], np.float64)
            theta = step(t, theta, g, memory)
        result.append(theta)
    return jax.tree.unflatten(treedef, result)


def adam_direction(t, g, memory, b1=0.9, b2=0.999, eps=1e-8):
    m = memory["m"] = b1 * memory.get("m", 0) + (1 - b1) * g
    v = memory["v"] = b2 * memory.get("v", 0) + (1 - b2) * g**2
    return m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd_takes_the_steps_of_its_formula(momentum, nesterov):
    def step(_, theta, g, memory):
        m = memory["m"] = momentum * memory.get("m", 0) + g
        return theta - 0.1 * (g + momentum * m if nesterov else m)

    got = trajectory(sgd(0.1, momentum=momentum, nesterov=nesterov))
    chex.assert_trees_all_close(got, numpy_trajectory(step), **CLOSE)


def test_adam_takes_the_steps_of_its_formula():
    got = trajectory(adam(0.1, b1=0.8, b2=0.95, eps=1e-3))
    want = numpy_trajectory(
        lambda t, theta, g, memory: theta - 0.1 * adam_direction(t, g, memory, 0.8, 0.95, 1e-3)
    )
    chex.assert_trees_all_close(got, want, **CLOSE)


def test_adamw_takes_the_steps_of_its_formula_and_decays_the_kernel_only():
    got = trajectory(adamw(0.1, weight_decay=0.3))

    def step(t, theta, g, memory):
        decay = 0.3 * theta if theta.ndim == 2 else 0
        return theta - 0.1 * (adam_direction(t, g, memory) + decay)

    chex.assert_trees_all_close(got, numpy_trajectory(step), **CLOSE)


def test_learning_rate_follows_its_schedule():
    rate = warmup_cosine(0.5, warmup_steps=2, total_steps=4)
    got = trajectory(sgd(rate))
    want = numpy_trajectory(lambda t, theta, g, _: theta - float(rate(t - 1)) * g)
    chex.assert_trees_all_close(got, want, **CLOSE)


def test_learning_rate_and_momentum_may_be_traced():
    def final(learning_rate, momentum):
        return trajectory(sgd(learning_rate, momentum=momentum))

    got = jax.vmap(final)(jnp.array([0.1, 0.2]), jnp.array([0.9, 0.0]))
    for index, want in enumerate((trajectory(sgd(0.1, momentum=0.9)), trajectory(sgd(0.2)))):
        chex.assert_trees_all_close(jax.tree.map(lambda x, i=index: x[i], got), want, **CLOSE)


def test_a_schedule_scales_adafactors_weight_decay_too():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    rule = optimizer("adafactor", lambda step: 0.1 / (1 + step), weight_decay=0.5)
    state, step = rule.init(PARAMS), jax.jit(rule.update)
    for rate in (0.1, 0.05):
        updates, state = step(zero, state, PARAMS)
        np.testing.assert_allclose(
            updates["layer"]["kernel"], -rate * 0.5 * PARAMS["layer"]["kernel"], rtol=1e-6
        )
        assert not np.any(updates["layer"]["bias"])
