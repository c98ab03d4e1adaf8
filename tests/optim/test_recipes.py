"""The recipes are the optax transformations they name, traced and by name."""

import chex
import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from xentjax.models import GPT, GPTConfig
from xentjax.optim import (
    adam,
    adamw,
    decay_mask,
    ema,
    evaluation_params,
    extra_arguments,
    linear,
    optimizer,
    recipes,
    sgd,
    update,
)

PARAMS = {
    "layer": {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])},
    "norm": {"scale": jnp.array([1.0, 1.0])},
}
GRADS = [jax.tree.map(lambda p, i=i: jnp.cos(3 * p + i) * (i + 1), PARAMS) for i in range(4)]


def trajectory(rule, params=PARAMS, grads=GRADS):
    @jax.jit  # one program, for speed
    def run(params, grads):
        state = rule.init(params)
        for grad in grads:
            updates, state = rule.update(grad, state, params)
            params = optax.apply_updates(params, updates)
        return params

    return run(params, grads)


def muon_of_optax(rate, decay):
    # Not optax's own half for the rest, which is nadamw.
    rules = {
        2: optax.contrib.muon(rate, weight_decay=decay, consistent_rms=0.2),
        1: optax.adamw(rate, b2=0.95, weight_decay=0.0),
    }
    return optax.partition(rules, lambda params: jax.tree.map(jnp.ndim, params))


def sam_of_optax(rate, _):
    ascent = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
    return optax.contrib.sam(optax.sgd(rate, momentum=0.9), ascent, opaque_mode=True)


# name: (options from the weight decay, the optax transformation of rate and weight decay)
BY_OPTAX = {
    "sgd": (lambda _: {}, lambda rate, _: optax.sgd(rate)),
    "momentum": (lambda _: {}, lambda rate, _: optax.sgd(rate, momentum=0.9)),
    "nesterov": (lambda _: {}, lambda rate, _: optax.sgd(rate, momentum=0.9, nesterov=True)),
    "rmsprop": (
        lambda _: {"centered": True, "momentum": 0.5},
        lambda rate, _: optax.rmsprop(rate, centered=True, momentum=0.5),
    ),
    "adagrad": (lambda _: {}, lambda rate, _: optax.adagrad(rate)),
    "adam": (lambda _: {}, lambda rate, _: optax.adam(rate)),
    "adamw": (
        lambda decay: {"weight_decay": decay},
        lambda rate, decay: optax.adamw(rate, weight_decay=decay, mask=decay_mask),
    ),
    "nadamw": (
        lambda decay: {"weight_decay": decay},
        lambda rate, decay: optax.nadamw(rate, weight_decay=decay, mask=decay_mask),
    ),
    "lamb": (
        lambda decay: {"weight_decay": decay},
        lambda rate, decay: optax.lamb(rate, weight_decay=decay, mask=decay_mask),
    ),
    "lion": (
        lambda decay: {"weight_decay": decay},
        lambda rate, decay: optax.lion(rate, weight_decay=decay, mask=decay_mask),
    ),
    "adafactor": (
        lambda decay: {"weight_decay": decay, "momentum": 0.5, "min_factored": 2},
        lambda rate, decay: optax.adafactor(
            rate,
            min_dim_size_to_factor=2,
            momentum=0.5,
            weight_decay_rate=rate * decay,
            weight_decay_mask=decay_mask,
        ),
    ),
    "muon": (
        lambda decay: {"weight_decay": decay},
        muon_of_optax,
    ),
    "schedule_free": (
        lambda decay: {"weight_decay": decay, "mask": None},
        lambda rate, decay: optax.contrib.schedule_free_adamw(rate, weight_decay=decay),
    ),
    "sam": (lambda _: {}, sam_of_optax),
    "lbfgs": (
        lambda _: {"memory": 3, "search_steps": 0},
        lambda rate, _: optax.lbfgs(rate, memory_size=3, linesearch=None),
    ),
    "prodigy": (lambda _: {}, lambda rate, _: optax.contrib.prodigy(rate)),
    "dog": (
        lambda decay: {"weight_decay": decay, "initial": 0.01},
        lambda rate, decay: optax.contrib.dog(
            rate, init_step=("heuristic", 0.01), weight_decay=decay, mask=decay_mask
        ),
    ),
}
TARGET = jax.tree.map(lambda p: jnp.cos(2 * p), PARAMS)


def bowl(params):
    """A convex loss, 0 at the target, of curvature from 1 to 3."""
    losses = jax.tree.map(lambda p, c: jnp.sum((1 + c**2) * (p - c) ** 2), params, TARGET)
    return sum(jax.tree.leaves(losses)) / 2


def descent(rule, steps, params=PARAMS):
    """The parameters after so many steps down the bowl, through the adapter, and the state."""
    wants = extra_arguments(rule, params)

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(bowl)(params)
        updates, state = update(
            rule,
            wants,
            grads,
            state,
            params,
            value=value,
            value_fn=bowl,
            grad_fn=lambda p, _: jax.grad(bowl)(p),
        )
        return (optax.apply_updates(params, updates), state), None

    return jax.lax.scan(step, (params, rule.init(params)), length=steps)[0]


def test_every_recipe_is_compared():
    assert list(recipes._BY_NAME) == sorted(BY_OPTAX)


@pytest.mark.parametrize("name", BY_OPTAX)
def test_a_recipe_traced_and_vmapped_is_the_optax_transformation_with_its_numbers(name):
    options, theirs = BY_OPTAX[name]
    settings = [(0.1, 0.2), (0.02, 0.5)]

    @jax.jit
    def run(rates, decays):
        ours = jax.vmap(lambda r, d: descent(optimizer(name, r, **options(d)), 4)[0])(rates, decays)
        return ours, [descent(theirs(*numbers), 4)[0] for numbers in settings]

    ours, wants = run(*jnp.array(settings).T)
    # Four steps of some dozens of float32 operations, batched and not; matrix products in muon.
    close = {"rtol": 1e-5, "atol": 1e-5}
    for index, want in enumerate(wants):
        chex.assert_trees_all_close(jax.tree.map(lambda x, i=index: x[i], ours), want, **close)
    moved = jax.tree.map(lambda new, old: jnp.max(jnp.abs(new - old)), wants[0], PARAMS)
    assert min(jax.tree.leaves(moved)) > 0


# The rate of each for the bowl, and options; where a rate of its own is asked for, None.
DOWN = {
    "sgd": (0.3, {}),
    "momentum": (0.05, {}),
    "nesterov": (0.05, {}),
    "rmsprop": (0.05, {}),
    "adagrad": (1.0, {}),
    "adam": (0.1, {}),
    "adamw": (0.1, {"weight_decay": 0.0}),
    "nadamw": (0.1, {"weight_decay": 0.0}),
    "lamb": (linear(0.1, total_steps=150), {"weight_decay": 0.0}),
    "lion": (0.05, {"weight_decay": 0.0}),
    "adafactor": (linear(0.2, total_steps=150), {}),
    "muon": (0.1, {"weight_decay": 0.0}),
    "schedule_free": (0.3, {"weight_decay": 0.0}),
    "sam": (0.05, {}),
    "lbfgs": (None, {}),
    "prodigy": (None, {"initial": 1e-3}),
    "dog": (None, {"initial": 1e-2}),
}


@pytest.mark.parametrize("name", DOWN)
def test_a_recipe_lowers_a_convex_loss_a_hundredfold_in_150_steps(name):
    rate, options = DOWN[name]
    # Of the target's signs: steps in proportion to the weights (lamb, adafactor) stop at 0.
    start = jax.tree.map(lambda c: 3 * c, TARGET)

    @jax.jit
    def final():
        params, state = descent(optimizer(name, rate, **options), 150, start)
        return bowl(evaluation_params(state, params))

    assert float(final()) < float(bowl(start)) / 100


def test_every_recipe_takes_the_state_of_a_model():
    config = GPTConfig(vocab_size=8, layers=1, heads=1, width=4, tied=False)
    model = nnx.eval_shape(lambda: GPT(config, rngs=nnx.Rngs(0)))
    params = nnx.state(model, nnx.Param)  # shapes: nothing is computed
    wants = {"sam": {"grad_fn"}, "lbfgs": {"value", "grad", "value_fn"}}
    for name in BY_OPTAX:
        rule = ema(optimizer(name, 0.1, clip_norm=1.0))
        assert extra_arguments(rule, params) == wants.get(name, set()), name
        averaged = jax.eval_shape(lambda p, r=rule: evaluation_params(r.init(p), p), params)
        chex.assert_trees_all_equal_shapes_and_dtypes(averaged, params)


def test_lbfgs_searches_as_optax_does():
    # As programs, for a line search takes long to compile.
    ours, theirs = (
        jax.make_jaxpr(lambda rule=rule: descent(rule, 1)[0])()
        for rule in (optimizer("lbfgs"), optax.lbfgs())
    )
    assert str(ours) == str(theirs)


def test_optimizer_by_name_is_the_recipe_with_its_options():
    for name, recipe, options in (
        ("sgd", sgd, {"momentum": 0.9, "nesterov": True}),
        ("adam", adam, {"b1": 0.5}),
        ("adamw", adamw, {"weight_decay": 0.2, "clip_norm": 1.0}),
    ):
        got, want = optimizer(name, 0.1, **options), recipe(0.1, **options)
        chex.assert_trees_all_equal(trajectory(got), trajectory(want))


def test_a_rate_is_asked_for_where_it_is_needed():
    with pytest.raises(ValueError, match="learning_rate must be given for adam, got None"):
        optimizer("adam")


def test_the_options_of_sam_are_those_of_the_rule_inside():
    with pytest.raises(TypeError, match=r"adam takes .*got 'momentum'"):
        optimizer("sam", 0.1, around="adam", momentum=0.9)


def test_unknown_optimizer_suggests_the_nearest():
    with pytest.raises(ValueError, match="schedule_free, sgd, got 'AdamW2'; did you mean 'adamw'"):
        optimizer("AdamW2", 0.1)


def test_unknown_option_suggests_the_nearest():
    with pytest.raises(TypeError, match="got 'weight_deccay'; did you mean 'weight_decay'"):
        optimizer("adamw", 0.1, weight_deccay=0.1)
    with pytest.raises(
        TypeError, match=r"sgd takes momentum, nesterov, clip_norm, adaptive_clip, got 'xyz'$"
    ):
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
        (lambda: optimizer("momentum", 0.1, momentum=1.5), "momentum"),
        (lambda: optimizer("nesterov", 0.1, momentum=0.0), "momentum above 0"),
        (lambda: optimizer("rmsprop", 0.1, decay=1.0), "decay must be in"),
        (lambda: optimizer("adagrad", 0.1, initial=-1.0), "initial"),
        (lambda: optimizer("nadamw", 0.1, b1=2.0), "b1"),
        (lambda: optimizer("lamb", 0.1, eps=-1e-6), "eps"),
        (lambda: optimizer("lion", -0.1), "learning_rate"),
        (lambda: optimizer("adafactor", 0.1, decay_power=0.0), "decay_power"),
        (lambda: optimizer("adafactor", 0.1, min_factored=0), "min_factored must be a whole"),
        (lambda: optimizer("muon", 0.1, newton_steps=0), "newton_steps must be a whole"),
        (lambda: optimizer("muon", 0.1, root_mean_square=0.0), "root_mean_square"),
        (lambda: optimizer("schedule_free", 0.1, b1=0.0), "b1 must be above 0"),
        (lambda: optimizer("sam", 0.1, radius=0.0), "radius"),
        (lambda: optimizer("sam", 0.1, ascents=0), "ascents must be a whole"),
        (lambda: optimizer("lbfgs", memory=0), "memory must be a whole"),
        (lambda: optimizer("lbfgs", search_steps=0), "learning_rate must be given where"),
        (lambda: optimizer("prodigy", initial=0.0), "initial"),
        (lambda: optimizer("dog", weight_decay=-0.1), "weight_decay"),
    ],
)
def test_numbers_outside_their_range_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
