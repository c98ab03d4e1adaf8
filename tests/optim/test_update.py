"""Every optax transformation is called with exactly what its update wants."""

import jax
import jax.numpy as jnp
import optax
import pytest
from optax import contrib

from xentjax.optim import ema, extra_arguments, optimizer, plateau, sam, update

PARAMS = {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([0.3, -0.1])}
SEARCH = {"value", "grad", "value_fn"}


def loss(params):
    return sum(jnp.sum(jnp.square(leaf - 1) + jnp.cos(leaf)) for leaf in jax.tree.leaves(params))


def grad_fn(params, _):
    return jax.grad(loss)(params)


def ascent():
    return optax.chain(contrib.normalize(), optax.sgd(0.05))


def by_adapter(rule, params=PARAMS):
    return update(
        rule,
        extra_arguments(rule, params),
        grad_fn(params, 0),
        rule.init(params),
        params,
        value=loss(params),
        value_fn=loss,
        grad_fn=grad_fn,
    )[0]


WANTS = {
    "sgd": (optax.sgd(0.1), set()),
    "adamw": (optax.adamw(0.1), set()),
    "plain transformation": (optax.scale(-0.1), set()),
    "chain": (optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)), set()),
    "schedule_free": (contrib.schedule_free_adamw(0.1), set()),
    "prodigy": (contrib.prodigy(), set()),
    "dog": (contrib.dog(), set()),
    "muon": (contrib.muon(0.1), set()),
    "mechanic": (contrib.mechanize(optax.adam(0.1)), set()),
    "accumulation": (optax.MultiSteps(optax.adam(0.1), 2).gradient_transformation(), set()),
    "polyak": (optax.polyak_sgd(), {"value"}),
    "momo": (contrib.momo(), {"value"}),
    "momo_adam": (contrib.momo_adam(), {"value"}),
    "reduce_on_plateau": (optax.chain(optax.sgd(0.1), contrib.reduce_on_plateau()), {"value"}),
    "sam": (contrib.sam(optax.sgd(0.1), ascent(), opaque_mode=True), {"grad_fn"}),
    "sophia": (contrib.sophia(0.1), {"obj_fn"}),
    "lbfgs": (optax.lbfgs(), SEARCH),
    "backtracking": (
        optax.chain(optax.sgd(1.0), optax.scale_by_backtracking_linesearch(5)),
        SEARCH,
    ),
    "zoom": (optax.chain(optax.sgd(1.0), optax.scale_by_zoom_linesearch(5)), SEARCH),
    "plateau of sophia": (plateau(contrib.sophia(0.1)), {"value", "obj_fn"}),
    "plateau of our sam": (plateau(sam(optax.sgd(0.1))), {"value", "grad_fn"}),
    "our sam of a plateau": (sam(plateau(optax.sgd(0.1))), {"value", "grad_fn"}),
    "average of a search": (ema(optimizer("lbfgs")), SEARCH),
    "masked search": (optax.masked(optax.polyak_sgd(), {"kernel": True, "bias": False}), {"value"}),
}


@pytest.mark.parametrize("name", WANTS)
def test_what_an_update_wants_is_found(name):
    rule, wants = WANTS[name]
    assert extra_arguments(rule, PARAMS) == wants


def test_shapes_are_enough_and_nothing_is_computed():
    shapes = jax.eval_shape(lambda: jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS))
    assert extra_arguments(optax.adam(0.1), shapes) == set()
    assert extra_arguments(optax.polyak_sgd(), shapes) == {"value"}


BY_HAND = {
    "sgd": lambda _value, _grads: {},
    "polyak": lambda value, _: {"value": value},
    "sam": lambda _value, _grads: {"grad_fn": grad_fn},
    "sophia": lambda _value, _grads: {"obj_fn": loss},
    "lbfgs": lambda value, grads: {"value": value, "grad": grads, "value_fn": loss},
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_adapter_calls_optax_as_one_would_by_hand(name):
    rule, _ = WANTS[name]

    def by_hand(params):
        grads, state, value = grad_fn(params, 0), rule.init(params), loss(params)
        return rule.update(grads, state, params, **BY_HAND[name](value, grads))[0]

    # As programs: the same, to the last operation.
    ours = jax.make_jaxpr(lambda params: by_adapter(rule, params))(PARAMS)
    assert str(ours) == str(jax.make_jaxpr(by_hand)(PARAMS))


def test_no_argument_is_passed_that_is_not_wanted():
    def strict(updates, state, _, *, value, grad_fn):  # no **extra_args
        return jax.tree.map(lambda g: value * g, grad_fn(updates, 0)), state

    rule = optax.GradientTransformationExtraArgs(lambda _: (), strict)
    assert extra_arguments(rule, PARAMS) == {"value", "grad_fn"}
    assert jax.tree.structure(by_adapter(rule)) == jax.tree.structure(PARAMS)


def test_wanting_what_is_not_known_quotes_the_optimizer():
    def wants_more(updates, state, _, *, curvature):
        return curvature * updates, state

    rule = optax.GradientTransformationExtraArgs(lambda _: (), wants_more)
    with pytest.raises(TypeError, match=r"accepts none of .*'curvature'.*Wrap it"):
        extra_arguments(rule, PARAMS)


def test_an_error_of_another_kind_is_not_swallowed():
    def broken(*_):
        raise KeyError("nothing to do with arguments")

    rule = optax.GradientTransformation(lambda _: (), broken)
    with pytest.raises(KeyError, match="nothing to do"):
        extra_arguments(rule, PARAMS)


def test_unknown_wants_are_refused():
    rule = optax.sgd(0.1)
    with pytest.raises(ValueError, match=r"got \['hessian'\]"):
        update(
            rule,
            frozenset({"hessian"}),
            PARAMS,
            rule.init(PARAMS),
            PARAMS,
            value=0.0,
            value_fn=loss,
            grad_fn=grad_fn,
        )
