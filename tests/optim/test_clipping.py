"""Clipping bounds what a rule sees, over all parameters or unit by unit."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from xentjax.optim import clipped, optimizer, sam, sgd

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])}
GRADS = {"kernel": jnp.array([[-2.0, 1.0], [0.4, 3.0]]), "bias": jnp.array([1.5, -0.01])}


def step(rule):
    return rule.update(GRADS, rule.init(PARAMS), PARAMS)[0]


def test_the_norm_over_all_parameters_is_bounded_and_the_direction_kept():
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(GRADS)))
    assert norm > 0.25
    want = jax.tree.map(lambda g: -0.25 / norm * g, GRADS)
    for rule in (sgd(1.0, clip_norm=0.25), clipped(optax.sgd(1.0), norm=0.25)):
        chex.assert_trees_all_close(step(rule), want, rtol=1e-6)
    loose = clipped(optax.sgd(1.0), norm=2 * float(norm))
    chex.assert_trees_all_equal(step(loose), jax.tree.map(jnp.negative, GRADS))


def test_adaptive_clipping_bounds_each_column_by_its_own_weights():
    got = step(clipped(optax.sgd(1.0), adaptive=0.5))
    weights, grads = (np.asarray(tree["kernel"], np.float64) for tree in (PARAMS, GRADS))
    ratio = 0.5 * np.linalg.norm(weights, axis=0) / np.linalg.norm(grads, axis=0)
    assert ratio.min() < 1
    np.testing.assert_allclose(got["kernel"], -grads * np.minimum(1, ratio), rtol=1e-6)
    weights, grads = (np.asarray(tree["bias"], np.float64) for tree in (PARAMS, GRADS))
    ratio = 0.5 * np.linalg.norm(weights) / np.linalg.norm(grads)
    assert ratio < 1  # a vector is one unit
    np.testing.assert_allclose(got["bias"], -grads * ratio, rtol=1e-6)


def test_of_both_the_global_bound_holds_in_the_end():
    got = step(clipped(optax.sgd(1.0), norm=0.25, adaptive=0.5))
    assert float(optax.tree.norm(got)) == pytest.approx(0.25, rel=1e-6)


def test_every_optimizer_is_clipped_by_name():
    for options in ({"clip_norm": 0.2}, {"adaptive_clip": 0.1}):
        got = step(optimizer("lion", 0.1, **options))
        norm, adaptive = options.get("clip_norm"), options.get("adaptive_clip")
        chex.assert_trees_all_equal(
            got, step(clipped(optimizer("lion", 0.1), norm=norm, adaptive=adaptive))
        )
    both = step(optimizer("sgd", 1.0, clip_norm=0.25, adaptive_clip=0.5))
    chex.assert_trees_all_close(both, step(clipped(sgd(1.0), norm=0.25, adaptive=0.5)), rtol=1e-6)


def test_sam_by_name_is_clipped_inside_where_the_gradient_uphill_arrives():
    def grad_fn(_, ascent):
        return jax.tree.map(lambda g: (100 + ascent) * g, GRADS)

    def update(rule):
        return rule.update(GRADS, rule.init(PARAMS), PARAMS, grad_fn=grad_fn)[0]

    got = update(optimizer("sam", 1.0, around="sgd", clip_norm=0.25))
    assert float(optax.tree.norm(got)) == pytest.approx(0.25, rel=1e-6)
    chex.assert_trees_all_equal(got, update(sam(clipped(sgd(1.0), norm=0.25))))


def test_without_a_bound_the_rule_is_itself():
    rule = optax.sgd(1.0)
    assert clipped(rule) is rule


def test_bounds_may_be_traced():
    norms = jax.vmap(lambda c: optax.tree.norm(step(clipped(optax.sgd(1.0), norm=c))))(
        jnp.array([0.5, 1.0])
    )
    np.testing.assert_allclose(norms, [0.5, 1.0], rtol=1e-6)


@pytest.mark.parametrize("bound", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_bounds_are_refused(bound):
    with pytest.raises(ValueError, match="clip_norm must be a positive finite number"):
        clipped(optax.sgd(1.0), norm=bound)
    with pytest.raises(ValueError, match="adaptive_clip must be a positive finite number"):
        clipped(optax.sgd(1.0), adaptive=bound)
