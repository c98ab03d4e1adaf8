"""A place where a clause looks at a loss: named inputs, some of which are differentiated.

Inputs rest as numpy arrays, floats in float32, so that every precision a clause asks for starts
from the same numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree


@dataclass(frozen=True, eq=False)
class Point:
    """Named inputs of a loss."""

    name: str
    inputs: tuple[np.ndarray, ...]
    argnums: tuple[int, ...]

    @property
    def logits(self) -> np.ndarray:
        """The first differentiated input, whose shape says what a batch is."""
        return self.inputs[self.argnums[0]]

    def arrays(self) -> tuple[jax.Array, ...]:
        """Every input, on the device."""
        return tuple(jnp.asarray(x) for x in self.inputs)

    def vector(self) -> jax.Array:
        """The differentiated inputs as one vector; see `of_vector`."""
        return ravel_pytree(tuple(jnp.asarray(self.inputs[i]) for i in self.argnums))[0]

    def cast(self, dtype: Any) -> "Point":
        """Differentiated inputs in `dtype`; other floats in float32, or float64 beside float64."""
        wide = np.float64 if dtype == np.float64 else np.float32

        def convert(position: int, x: np.ndarray) -> np.ndarray:
            if position in self.argnums:
                return x.astype(dtype)
            return x.astype(wide) if np.issubdtype(x.dtype, np.floating) else x

        with np.errstate(over="ignore"):
            inputs = tuple(convert(i, x) for i, x in enumerate(self.inputs))
        return replace(self, inputs=inputs)

    def moved(self, name: str, change: Callable[[np.ndarray], np.ndarray]) -> "Point":
        """Another point, `change` applied to each differentiated input."""
        inputs = tuple(
            change(x).astype(x.dtype) if i in self.argnums else x for i, x in enumerate(self.inputs)
        )
        return replace(self, name=name, inputs=inputs)

    def rows(self, name: str, index: np.ndarray) -> "Point":
        """Another point, made of some examples (an index or mask on the leading axis)."""
        return replace(self, name=name, inputs=tuple(x[index] for x in self.inputs))

    def equal_logits(self) -> "Point":
        """The point where all classes tie, as at the start of training."""
        return self.moved("all-equal logits (zeros)", np.zeros_like)

    def magnitude(self) -> float:
        """The largest finite |x| among the differentiated inputs."""
        values = np.concatenate([self.inputs[i].astype(np.float64).ravel() for i in self.argnums])
        return float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))

    def describe(self) -> str:
        """One line for a message: name, then dtype, shape and scale of each input."""
        parts = []
        for i, x in enumerate(self.inputs):
            size = ", ".join(str(n) for n in x.shape)
            scale = f" with finite |x| ≤ {self.magnitude():.3g}" if i == self.argnums[0] else ""
            parts.append(f"{x.dtype.name}[{size}]{scale}")
        return f"{self.name}: ({', '.join(parts)})"


def pull_back(
    loss: Callable[..., Any], argnums: tuple[int, ...], inputs: Any, u: Any, **options: Any
) -> Any:
    """The losses and, in reverse mode, the gradients of Σ uᵢ·lossᵢ; all inputs may be traced."""
    value, vjp = jax.vjp(
        lambda *primals: loss(*_merge(inputs, argnums, primals), **options),
        *(inputs[i] for i in argnums),
    )
    return value, vjp(jnp.asarray(u, value.dtype))


def push_forward(
    loss: Callable[..., Any], argnums: tuple[int, ...], inputs: Any, v: Any, **options: Any
) -> Any:
    """The losses and, in forward mode, their tangents along v (see `of_vector`)."""
    x = jnp.concatenate([inputs[i].ravel() for i in argnums])
    losses = of_vector(loss, argnums, inputs, **options)
    return jax.jvp(losses, (x,), (jnp.asarray(v, x.dtype),))


def of_vector(
    loss: Callable[..., Any], argnums: tuple[int, ...], inputs: Any, **options: Any
) -> Callable[..., Any]:
    """The loss as a function of one vector, all differentiated inputs end to end."""
    _, unravel = ravel_pytree(tuple(inputs[i] for i in argnums))
    return lambda x: loss(*_merge(inputs, argnums, unravel(x)), **options)


def _merge(inputs: Any, argnums: tuple[int, ...], primals: Any) -> tuple[Any, ...]:
    full = list(inputs)
    for position, x in zip(argnums, primals, strict=True):
        full[position] = x
    return tuple(full)
