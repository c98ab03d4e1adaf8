"""Row values of a single tile, whose slopes are kept for the backward pass: three products.

What `tiles` computes again saves nothing where one tile holds all rows anyway. Here JAX
differentiates the loss of the scores and keeps what it needs; only the products bring their own
transposes, so that a 16-bit model adds up in float32.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from xentjax.fused.adjoint import with_adjoint
from xentjax.fused.products import dot, product, put_outer, sum_dtype
from xentjax.fused.spec import Examples, Head, Operands, Spec
from xentjax.fused.tiles import extras_of, kept_rows


def values(spec: Spec, operands: Operands, examples: Examples) -> Any:
    """What the rows of `spec` make of each example, a pytree of [N]."""
    hiddens = kept_rows({h.hidden: operands[h.hidden] for h in spec.heads}, examples)
    scores = []
    for head in spec.heads:
        of = _Product(head, spec.block, spec.precision)
        scores.append(_scores(of, hiddens[head.hidden], operands[head.weight]))
    return spec.rows.whole(scores, extras_of(spec, operands), examples)


@dataclass(frozen=True)
class _Product:
    """One head's product, as it is known while tracing."""

    head: Head
    block: int
    precision: Any

    def __call__(self, hidden: Array, weight: Array) -> Array:
        return product(hidden, weight, self.head.vocab_axis, self.precision)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _scores(of: _Product, hidden: Array, weight: Array) -> Array:
    return of(hidden, weight)


@partial(_scores.defjvp, symbolic_zeros=True)
def _scores_jvp(of, primals, tangents):
    moved = {
        name: t
        for name, t in zip(("hidden", "weight"), tangents, strict=True)
        if not isinstance(t, SymbolicZero)
    }
    scores = _scores(of, *primals)
    if not moved:
        return scores, jnp.zeros_like(scores)
    return scores, with_adjoint(_Along(of), _Back(of, frozenset(moved)), primals, moved)


@dataclass(frozen=True)
class _Along:
    """The derivative of the scores along tangents."""

    of: _Product

    def __call__(self, given: Any, moved: dict[str, Array]) -> Array:
        hidden, weight = given
        terms = []
        if "hidden" in moved:
            terms.append(self.of(moved["hidden"], weight))
        if "weight" in moved:
            terms.append(self.of(hidden, moved["weight"]))
        return sum(terms[1:], terms[0])


@dataclass(frozen=True)
class _Back:
    """Its transpose: what a slope of each score means for hidden states and weight."""

    of: _Product
    wanted: frozenset[str]

    def __call__(self, given: Any, slope: Array) -> dict[str, Array]:
        (hidden, weight), axis = given, self.of.head.vocab_axis
        slope = slope.astype(jnp.result_type(hidden, weight))
        found = {}
        if "hidden" in self.wanted:
            found["hidden"] = dot(slope, weight, (1, axis), self.of.precision).astype(hidden.dtype)
        if "weight" in self.wanted:
            total = jnp.zeros(weight.shape, sum_dtype(hidden, weight))
            total = put_outer(total, hidden, slope, axis, self.of.block, self.of.precision)
            found["weight"] = total.astype(weight.dtype)
        return found
