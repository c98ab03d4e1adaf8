"""Activation functions by name, so that a config can be plain text."""

import difflib
from collections.abc import Callable

import jax

_BY_NAME: dict[str, Callable[[jax.Array], jax.Array]] = {
    "gelu": jax.nn.gelu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "tanh": jax.nn.tanh,
}


def activation(name: str) -> Callable[[jax.Array], jax.Array]:
    """Returns the elementwise activation of that name.

    relu is the cheapest and a good default; gelu (in its tanh form) and silu are smooth, and
    cost several times as much on CPU; tanh and sigmoid saturate.

    Args:
        name: gelu, relu, sigmoid, silu or tanh.

    Returns:
        The function from jax.nn.

    Raises:
        ValueError: if there is none of that name.

    Example:
        >>> activation("relu")(jax.numpy.array([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """
    if name not in _BY_NAME:
        close = difflib.get_close_matches(str(name).lower(), _BY_NAME, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"activation must be one of {', '.join(_BY_NAME)}, got {name!r}{hint}")
    return _BY_NAME[name]
