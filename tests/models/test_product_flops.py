"""FLOPs of products agree with counts by hand, in loops, branches and nested programs."""

import jax
import jax.numpy as jnp
import pytest

from xentjax.models.product_flops import count_product_flops, scope_name

X, W = jnp.ones((2, 3)), jnp.ones((3, 3))
ONE = 2 * 2 * 3 * 3


@jax.custom_jvp
def own_rule(x):
    return x @ W


own_rule.defjvp(lambda primals, tangents: (own_rule(*primals), own_rule(*tangents)))


def loop(x):
    return jax.lax.scan(lambda x, _: (jnp.tanh(x @ W), None), x, length=5)[0]


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda x: x @ W, ONE),
        (lambda x: jnp.einsum("btd,bsd->bts", x[None], x[None]), 2 * 2 * 2 * 3),
        (loop, 5 * ONE),
        (lambda x: jax.lax.scan(lambda x, _: (loop(x), None), x, length=4)[0], 20 * ONE),
        (jax.jit(jax.checkpoint(lambda x: x @ W)), ONE),
        (own_rule, ONE),
        (lambda x: jax.lax.cond(x[0, 0] > 0, lambda x: x @ W, lambda x: x @ W @ W, x), 2 * ONE),
        (lambda x: jnp.sort(x) + jnp.exp(x), 0),
        (jax.grad(lambda x: jnp.sum(jnp.sin(x @ W))), 2 * ONE),
    ],
)
def test_count_equals_a_count_by_hand(function, wanted):
    flops, unbounded = count_product_flops(jax.make_jaxpr(function)(X))
    assert sum(flops.values()) == wanted
    assert not unbounded


@pytest.mark.parametrize(("groups", "stride"), [(1, 1), (2, 1), (1, 2)])
def test_convolutions_read_their_channels_group_at_every_output(groups, stride):
    def convolve(x, kernel):
        return jax.lax.conv_general_dilated(
            x,
            kernel,
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    program = jax.make_jaxpr(convolve)(jnp.ones((2, 4, 6, 4)), jnp.ones((3, 3, 4 // groups, 8)))
    outputs = 2 * (4 // stride) * (6 // stride) * 8
    assert count_product_flops(program)[0] == {None: 2 * outputs * 3 * 3 * 4 // groups}


def test_the_innermost_scope_has_the_account_inside_loops_and_out():
    def f(x):
        with jax.named_scope(scope_name(1)):
            x = loop(x)
            with jax.named_scope("other"), jax.named_scope(scope_name(12)):
                x = x @ W
        return x @ W @ W

    assert count_product_flops(jax.make_jaxpr(f)(X))[0] == {1: 5 * ONE, 12: ONE, None: 2 * ONE}


def test_a_loop_of_unknown_length_counts_once_and_is_told():
    def f(x):
        return jax.lax.while_loop(lambda x: x[0, 0] > 0, lambda x: x @ W, x)

    assert count_product_flops(jax.make_jaxpr(f)(X)) == ({None: ONE}, True)


def test_a_dense_product_costs_what_xla_says():
    program = jax.jit(lambda x: x @ W)
    flops = count_product_flops(jax.make_jaxpr(program)(X))[0]
    assert sum(flops.values()) == program.lower(X).cost_analysis()["flops"]
