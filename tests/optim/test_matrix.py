"""Muon moves matrices as matrices, and leaves the rest to AdamW."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from xentjax.optim import adamw, muon, optimizer


def test_muon_orthogonalizes_matrices_and_leaves_the_rest_to_adamw():
    params = {"kernel": jnp.eye(4, 6), "head": jnp.ones((4, 6)), "embedding": jnp.ones((4, 6))}
    grads = jax.tree.map(lambda p: jax.random.normal(jax.random.key(0), p.shape), params)
    options = {"weight_decay": 0.0, "root_mean_square": None, "newton_steps": 10}
    rule = optimizer("muon", 0.5, **options)
    got, _ = jax.jit(rule.update)(grads, rule.init(params), params)
    sizes = np.linalg.svd(np.asarray(got["kernel"], np.float64), compute_uv=False)
    # Newton-Schulz with these coefficients ends between 0.7 and 1.2, times √(6/4) here.
    assert np.all((sizes > 0.5 * 0.65 * 1.5**0.5) & (sizes < 0.5 * 1.25 * 1.5**0.5))
    by_adamw = optax.adamw(0.5, b2=0.95, weight_decay=0.0)
    want, _ = by_adamw.update(grads, by_adamw.init(params), params)
    for name in ("head", "embedding"):
        np.testing.assert_allclose(got[name], want[name], rtol=1e-6)


def test_muon_gives_the_rest_a_rate_of_its_own_and_takes_a_rule():
    rule = muon(0.1, rest_learning_rate=0.01, matrices=lambda p: jax.tree.map(lambda _: False, p))
    by_adamw = adamw(0.01, b2=0.95)
    params = {"kernel": jnp.eye(3, 2), "bias": jnp.ones(2)}

    @jax.jit
    def steps(grads):
        return [r.update(grads, r.init(params), params)[0] for r in (rule, by_adamw)]

    chex.assert_trees_all_close(*steps(jax.tree.map(jnp.cos, params)), rtol=1e-6)
