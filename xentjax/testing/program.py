"""The few compiled programs all clauses share: a contract's time is XLA's compile time.

Eager calls are left to the clauses that compare them with jit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from xentjax.testing.point import of_vector, pull_back, push_forward


@dataclass(frozen=True, eq=False)
class Programs:
    """Jitted functions of (inputs, …); each compiles once for a set of shapes and dtypes.

    Attributes:
      pull_back: (inputs, u, where=, weights=, reduction=) → losses and gradients of Σ uᵢ·lossᵢ.
      push_forward: (inputs, v) → losses and their tangents along the vector v.
      curve: (inputs, x, u, v) → Σ uᵢ·lossᵢ at the vector x, its gradient, its Hessian times v.
    """

    pull_back: Callable[..., Any]
    push_forward: Callable[..., Any]
    curve: Callable[..., Any]


def compile_programs(loss: Callable[..., Any], argnums: tuple[int, ...]) -> Programs:
    """The programs of one loss; nothing compiles before the first call."""

    def curve(inputs: Any, x: Any, u: Any, v: Any) -> Any:
        losses = of_vector(loss, argnums, inputs)
        value_and_slope = jax.value_and_grad(lambda z: jnp.sum(u * losses(z)))
        (value, slope), (_, bend) = jax.jvp(value_and_slope, (x,), (v,))
        return value, slope, bend

    return Programs(
        pull_back=jax.jit(partial(pull_back, loss, argnums), static_argnames="reduction"),
        push_forward=jax.jit(partial(push_forward, loss, argnums)),
        curve=jax.jit(curve),
    )
