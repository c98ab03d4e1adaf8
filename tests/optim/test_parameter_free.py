"""Rules without a learning rate start where they should."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.optim import optimizer

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


def test_prodigy_waits_for_a_gradient():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    rule = optimizer("prodigy", initial=0.1)
    waited = trajectory(rule, grads=[zero, zero, *GRADS])
    chex.assert_trees_all_close(waited, trajectory(rule), **CLOSE)
    assert not np.allclose(waited["norm"]["scale"], PARAMS["norm"]["scale"], rtol=0.01)


@pytest.mark.parametrize("name", ["prodigy", "dog", "schedule_free"])
def test_the_state_holds_no_buffer_of_the_parameters(name):
    state = optimizer(name, 1.0).init(PARAMS)
    ours = {leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves(PARAMS)}
    assert not [leaf for leaf in jax.tree.leaves(state) if leaf.unsafe_buffer_pointer() in ours]
