"""The recipes take the steps their formulas say, and decay matrices only."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.models import GPT, MLP, GPTConfig, MLPConfig
from xentjax.optim import adam, adamw, decay_mask, optimizer, sgd, warmup_cosine

PARAMS = {
    "layer": {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])},
    "norm": {"scale": jnp.array([1.0, 1.0])},
}
GRADS = [jax.tree.map(lambda p, i=i: jnp.cos(3 * p + i) * (i + 1), PARAMS) for i in range(4)]
# Four steps of a handful of float32 operations on numbers of order 1.
CLOSE = {"rtol": 2e-6, "atol": 2e-6}


def trajectory(rule, params=PARAMS, grads=GRADS):
    state = rule.init(params)
    for grad in grads:
        updates, state = rule.update(grad, state, params)
        params = optax.apply_updates(params, updates)
    return params


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


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sgd(0.1, momentum=0.9), optax.sgd(0.1, momentum=0.9)),
        (adam(0.1), optax.adam(0.1)),
        (adamw(0.1, weight_decay=0.2, mask=None), optax.adamw(0.1, weight_decay=0.2)),
        (
            adamw(0.1, clip_norm=0.5),
            optax.chain(
                optax.clip_by_global_norm(0.5),
                optax.adamw(0.1, weight_decay=0.01, mask=decay_mask),
            ),
        ),
    ],
)
def test_recipes_are_optax_chains(ours, theirs):
    chex.assert_trees_all_equal(trajectory(ours), trajectory(theirs))


def test_clipping_bounds_the_norm_over_all_parameters_and_keeps_the_direction():
    grad = GRADS[1]
    norm = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(grad)))
    assert norm > 0.25
    rule = sgd(1.0, clip_norm=0.25)
    updates, _ = rule.update(grad, rule.init(PARAMS))
    chex.assert_trees_all_close(updates, jax.tree.map(lambda g: -0.25 / norm * g, grad), rtol=1e-6)
    loose = sgd(1.0, clip_norm=2 * float(norm))
    updates, _ = loose.update(grad, loose.init(PARAMS))
    chex.assert_trees_all_equal(updates, jax.tree.map(jnp.negative, grad))


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


def decayed_paths(model):
    mask = decay_mask(nnx.state(model, nnx.Param))
    flat = jax.tree_util.tree_flatten_with_path(mask)[0]
    return {jax.tree_util.keystr(path): decays for path, decays in flat}


def test_mask_of_the_mlp_is_its_kernels():
    paths = decayed_paths(MLP(MLPConfig(4, (3, 2)), rngs=nnx.Rngs(0)))
    assert len(paths) == 6
    for path, decays in paths.items():
        assert decays == ("kernel" in path), path


def test_mask_of_the_gpt_leaves_out_embedding_and_norms():
    config = GPTConfig(vocab_size=8, layers=2, heads=1, width=4, tied=False)
    paths = decayed_paths(GPT(config, rngs=nnx.Rngs(0)))
    kernels = [path for path, decays in paths.items() if decays]
    assert len(kernels) == 2 * 4 + 1
    assert all("kernel" in path for path in kernels)
    assert not [path for path in paths if "kernel" in path and path not in kernels]


def test_mask_leaves_out_a_matrix_whose_name_says_so():
    names = ["kernel", "Bias", "LayerNorm_0", "scale", "token_embedding"]
    mask = decay_mask({name: np.ones((2, 2)) for name in names})
    assert mask == {name: name == "kernel" for name in names}


def test_decay_leaves_biases_and_norms_exactly_alone_on_a_model():
    state = nnx.state(GPT(GPTConfig(vocab_size=8, layers=1, heads=1, width=4), rngs=nnx.Rngs(0)))
    state = nnx.filter_state(state, nnx.Param)
    rule = adamw(0.1, weight_decay=0.5)
    updates, _ = rule.update(jax.tree.map(jnp.zeros_like, state), rule.init(state), state)
    for update, param, decays in zip(
        *map(jax.tree.leaves, (updates, state, decay_mask(state))), strict=True
    ):
        want = -0.05 * param if decays else jnp.zeros_like(param)
        np.testing.assert_allclose(update, want, rtol=1e-6)


def test_optimizer_by_name_is_the_recipe_with_its_options():
    for name, recipe, options in (
        ("sgd", sgd, {"momentum": 0.9, "nesterov": True}),
        ("adam", adam, {"b1": 0.5}),
        ("adamw", adamw, {"weight_decay": 0.2, "clip_norm": 1.0}),
    ):
        got, want = optimizer(name, 0.1, **options), recipe(0.1, **options)
        chex.assert_trees_all_equal(trajectory(got), trajectory(want))


def test_unknown_optimizer_suggests_the_nearest():
    with pytest.raises(ValueError, match="schedule_free, sgd, got 'AdamW2'; did you mean 'adamw'"):
        optimizer("AdamW2", 0.1)


def test_unknown_option_suggests_the_nearest():
    with pytest.raises(TypeError, match="got 'weight_deccay'; did you mean 'weight_decay'"):
        optimizer("adamw", 0.1, weight_deccay=0.1)
    with pytest.raises(TypeError, match=r"sgd takes momentum, nesterov, clip_norm, adaptive_clip, got 'xyz'$"):
        optimizer("sgd", 0.1, xyz=0.1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: sgd(0.0), "learning_rate must be a positive finite number, got 0.0"),
        (lambda: adam(float("nan")), "learning_rate"),
        (lambda: adamw(-0.1), "learning_rate"),
        (lambda: sgd(0.1, momentum=1.0), r"momentum must be in \[0, 1\)"),
        (lambda: sgd(0.1, nesterov=True), "momentum above 0"),
        (lambda: sgd(0.1, clip_norm=0.0), "clip_norm"),
        (lambda: adam(0.1, b1=1.0), "b1"),
        (lambda: adam(0.1, b2=-0.1), "b2"),
        (lambda: adam(0.1, eps=0.0), "eps"),
        (lambda: adamw(0.1, weight_decay=-1.0), "weight_decay"),
    ],
)
def test_numbers_outside_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
