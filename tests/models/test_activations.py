"""Activations by name are the functions their names say."""

import math

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
