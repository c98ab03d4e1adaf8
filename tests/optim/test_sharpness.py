"""SAM takes the gradient uphill, and nowhere from a gradient of 0."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest

from xentjax.optim import sam

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])}


def test_sam_leaves_a_gradient_of_zero_alone():
    zero = jax.tree.map(jnp.zeros_like, PARAMS)
    rule = sam(optax.sgd(0.1))
    updates, _ = rule.update(zero, rule.init(PARAMS), PARAMS, grad_fn=lambda *_: zero)
    chex.assert_trees_all_equal(updates, zero)


def test_sam_ascends_as_often_as_told():
    rule, w = sam(optax.sgd(1.0), radius=0.5, ascents=2), jnp.float32(1.0)
    updates, _ = rule.update(2 * w, rule.init(w), w, grad_fn=lambda w, _: 2 * w)
    assert float(updates) == pytest.approx(-4.0)  # the gradient of w² at 1 + 2·0.5
