"""Values found on the way to a slope, which keep the derivative of the function they belong to."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def with_derivative_of(function: Callable, value: Any, *arguments: Any) -> Any:  # noqa: ARG001
    """The value as it is, with the derivative of function(*arguments), which it must equal.

    For derivative rules: what the slope needs often gives the value too, and `function` itself
    would compute it again by the way that is shortest for a value alone.
    """
    return value


@with_derivative_of.defjvp
def _with_derivative_of_jvp(function, primals, tangents):
    derivative = jax.jvp(function, primals[1:], tangents[1:])[1]
    return with_derivative_of(function, *primals), derivative
