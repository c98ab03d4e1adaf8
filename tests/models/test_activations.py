"""Activations by name are the functions their names say."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.models import activation

DEFINITIONS = {
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "gelu": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_activation_agrees_with_its_definition(name):
    x = np.linspace(-4, 4, 17, dtype=np.float32)
    want = [DEFINITIONS[name](float(value)) for value in x]
    # gelu's 1 + tanh cancels on the left: absolute error of a few roundings of 1.
    np.testing.assert_allclose(activation(name)(jnp.asarray(x)), want, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "close"), [("GELU", "gelu"), ("rellu", "relu"), ("silo", "silu")])
def test_unknown_activation_suggests_the_nearest(name, close):
    with pytest.raises(ValueError, match=f"got '{name}'; did you mean '{close}'"):
        activation(name)


def test_activation_like_none_known_lists_them_all():
    with pytest.raises(ValueError, match=r"gelu, relu, relu2, sigmoid, silu, tanh, got 'xyz'$"):
        activation("xyz")


def gelu_slope(x):
    u, du = x + 0.044715 * x**3, 1 + 3 * 0.044715 * x**2
    c = math.sqrt(2 / math.pi)
    return (1 + math.tanh(c * u)) / 2 + x / 2 * c * du / math.cosh(c * u) ** 2


def test_gelu_derivatives_are_those_of_its_formula():
    x = np.linspace(-6, 6, 49, dtype=np.float32)
    slope = jax.vmap(jax.grad(activation("gelu")))(jnp.asarray(x))
    want = [gelu_slope(float(value)) for value in x]
    # The gate's rounding, 6e-8, is multiplied by 2x times the inner slope: 50 where it tells.
    np.testing.assert_allclose(slope, want, rtol=2e-6, atol=4e-6)
    curvature = jax.vmap(jax.grad(jax.grad(activation("gelu"))))(jnp.asarray(x))
    step = 1e-5
    want = [(gelu_slope(v + step) - gelu_slope(v - step)) / (2 * step) for v in x.astype(float)]
    # Once more multiplied, by 2·(inner slope) ≤ 12 there.
    np.testing.assert_allclose(curvature, want, rtol=1e-5, atol=4e-5)


def test_gelu_keeps_bfloat16_and_computes_it_in_float32():
    x = jnp.linspace(-4, 4, 17, dtype=jnp.bfloat16)
    got, slope = jax.jvp(activation("gelu"), (x,), (jnp.ones_like(x),))
    assert got.dtype == slope.dtype == jnp.bfloat16
    np.testing.assert_array_equal(got, activation("gelu")(x.astype(jnp.float32)).astype(x.dtype))
