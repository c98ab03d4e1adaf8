"""The two differentiable operations every fused loss is made of.

`weighted_total`: Σᵢ aᵢ lᵢ with weights known beforehand (a sum or a mean). Its gradient is found
in the same pass as its value: three matrix products, 6·N·D·V FLOP, where reverse mode alone
would recompute the scores and need four.

`row_values`: one value an example, cotangents unknown until later. The backward pass computes
the scores again: 8·N·D·V FLOP; where one tile holds all rows, it keeps what it needs: 6·N·D·V.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.sharding import AxisType
from jaxtyping import Array

from xentjax.fused import kept, mesh_axis, tiles
from xentjax.fused.adjoint import undivided, with_adjoint
from xentjax.fused.layout import Layout, over_mesh, whole
from xentjax.fused.products import sum_dtype
from xentjax.fused.spec import PER_CLASS, Examples, Operands, Spec
from xentjax.losses.reduction import example_shares, example_weights, reduce_with_mass


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def weighted_total(spec: Spec, shares: Array, operands: Operands, examples: Examples) -> Array:
    """Σᵢ shareᵢ · valueᵢ, where the rows of `spec` have one value."""
    return jnp.sum(shares * tiles.forward(spec, operands, examples))


@partial(weighted_total.defjvp, symbolic_zeros=True)
def _weighted_total_jvp(spec, primals, tangents):
    shares, operands, examples = primals
    dshares, doperands = tangents[0], _moved(tangents[1])
    unit = _unit(shares, operands)
    if doperands:
        both = _Both(spec, frozenset(doperands))
        each = shares if unit is None else shares / unit
        values, slopes = undivided(both, operands, examples, each)
    else:
        values, slopes = tiles.forward(spec, operands, examples), {}
    derivative = jnp.zeros_like(values, shape=())
    for name, slope in slopes.items():
        along = jnp.sum(slope.astype(values.dtype) * doperands[name].astype(values.dtype))
        shared = spec.axis_name is not None and name in PER_CLASS
        along = along if unit is None else along * unit
        derivative += lax.psum(along, spec.axis_name) if shared else along
    if not isinstance(dshares, SymbolicZero):
        derivative += jnp.sum(values * dshares)
    return jnp.sum(shares * values), derivative


def _unit(shares: Array, operands: Operands) -> Array | None:
    """A power of two near the largest share of a float16 model, else None.

    The gradient found in the forward pass is stored in float16 before the caller's cotangent, and
    with it any loss scale, is known: 1/N of a small probability would be lost.
    """
    if all(x.dtype != jnp.float16 for x in operands.values()):
        return None
    largest = jnp.max(jnp.abs(lax.stop_gradient(shares)), initial=0)
    return jnp.where(largest > 0, jnp.exp2(jnp.round(jnp.log2(largest))), 1)


def row_values(spec: Spec, operands: Operands, examples: Examples) -> Any:
    """What the rows of `spec` make of each example, a pytree of [N]."""
    n = operands[spec.heads[0].hidden].shape[0]
    if spec.axis_name is None and tiles.tile_rows(n, spec.tile)[0] == 1:
        return kept.values(spec, operands, examples)
    return _tiled_values(spec, operands, examples)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _tiled_values(spec: Spec, operands: Operands, examples: Examples) -> Any:
    return tiles.forward(spec, operands, examples)


@partial(_tiled_values.defjvp, symbolic_zeros=True)
def _tiled_values_jvp(spec, primals, tangents):
    operands, examples = primals
    values, moved = _tiled_values(spec, operands, examples), _moved(tangents[0])
    if not moved:
        return values, jax.tree.map(jnp.zeros_like, values)
    back = _Back(spec, frozenset(moved))
    return values, with_adjoint(_Along(spec), back, primals, moved)


@dataclass(frozen=True)
class _Along:
    """The derivative of row values along tangents."""

    spec: Spec

    def __call__(self, given: Any, tangents: Operands) -> Any:
        operands, examples = given
        return tiles.derivative(self.spec, operands, examples, tangents)


@dataclass(frozen=True)
class _Both:
    """Row values and their gradients for given cotangents."""

    spec: Spec
    wanted: frozenset[str]

    def __call__(self, operands: Operands, examples: Examples, cotangents: Any) -> Any:
        return tiles.gradient(self.spec, operands, examples, cotangents, self.wanted)


@dataclass(frozen=True)
class _Back:
    """The transpose of `_Along`: gradients alone."""

    spec: Spec
    wanted: frozenset[str]

    def __call__(self, given: Any, cotangents: Any) -> dict[str, Array]:
        both, axis_name = _Both(self.spec, self.wanted), self.spec.axis_name
        operands, examples = given
        if axis_name is None or mesh_axis.is_typed(axis_name):
            return both(operands, examples, cotangents)[1]
        # shard_map(check_vma=False) gives each device a share of the cotangent and adds up the
        # gradients of what all devices hold alike.
        found = both(operands, examples, mesh_axis.total(cotangents, axis_name))[1]
        share = 1 / lax.axis_size(axis_name)
        return {name: g if name in PER_CLASS else g * share for name, g in found.items()}


def _moved(tangents: dict[str, Any]) -> dict[str, Array]:
    """The tangents that may differ from zero: nobody asked for the others."""
    return {name: t for name, t in tangents.items() if not isinstance(t, SymbolicZero)}


def reduced(
    spec: Spec,
    operands: dict[str, Array],
    labels: Array | None,
    keep: Array | None,
    weights: Array | None,
    reduction: str,
    layout: Layout | None = None,
) -> Array:
    """The rows' one value an example, [*batch], masked, weighed and reduced."""
    batch = operands[spec.heads[0].hidden].shape[:-1]
    names = [name for head in spec.heads for name in (head.hidden, head.weight)]
    like = jnp.zeros(batch, sum_dtype(*(operands[name] for name in names)))
    weights = example_weights(weights, like)
    if reduction == "none":
        losses = rows(spec, operands, labels, keep, layout)
        return reduce_with_mass(losses, where=keep, weights=weights, reduction=reduction)
    mass = None
    if reduction == "mean" and "class_weights" in operands:
        class_weights = whole(operands["class_weights"].astype(like.dtype), layout)
        axis_name = None if layout else spec.axis_name
        mass = _label_weights(axis_name, class_weights, labels)
    shares = example_shares(keep, weights, mass, like, reduction)

    def total(operands, labels, keep, shares):
        operands, examples, shares = _flat(spec, operands, labels, keep, shares)
        return weighted_total(spec, shares, operands, examples)

    if layout is not None:
        return over_mesh(layout, spec, total, operands, labels, keep, shares)
    return total(operands, labels, keep, shares)


def rows(
    spec: Spec,
    operands: dict[str, Array],
    labels: Array | None,
    keep: Array | None,
    layout: Layout | None = None,
) -> Any:
    """The rows' values of each example, a pytree of [*batch]."""

    def values(operands, labels, keep, _):
        batch = operands[spec.heads[0].hidden].shape[:-1]
        operands, examples = _flat(spec, operands, labels, keep)
        return jax.tree.map(lambda x: x.reshape(batch), row_values(spec, operands, examples))

    if layout is not None:
        return over_mesh(layout, spec, values, operands, labels, keep, None)
    return values(operands, labels, keep, None)


def _flat(
    spec: Spec, operands: dict[str, Array], labels: Array | None, keep: Array | None, *others: Array
) -> tuple[Any, ...]:
    """Operands, examples and others with one axis of N examples in place of any batch axes.

    Under `shard_map` what varies over fewer mesh axes than the rest is typed to vary over all of
    them: here, outside the derivative rules, so that JAX adds its gradient up over the devices.
    """
    hiddens = {head.hidden for head in spec.heads}
    flat = {name: x.reshape(-1, x.shape[-1]) for name, x in operands.items() if name in hiddens}
    examples, others = jax.tree.map(lambda x: x.reshape(-1), (Examples(labels, keep), others))
    operands = operands | flat
    axes = mesh_axis.varying((operands, examples, others))
    operands = {
        name: mesh_axis.as_varying(x, tiles.axes_of(spec, name, axes))
        for name, x in operands.items()
    }
    return operands, *mesh_axis.as_varying((examples, *others), axes - {spec.axis_name})


def _label_weights(axis_name: str | None, class_weights: Array, labels: Any) -> Array:
    """The class weight of each label, whichever device holds it."""
    if axis_name is None:
        like = jax.typeof(labels).sharding
        explicit = like if AxisType.Explicit in like.mesh.axis_types else None
        return class_weights.at[labels].get(mode="clip", out_sharding=explicit)
    held = class_weights.shape[0]
    place = labels - lax.axis_index(axis_name) * held
    mine = jnp.where((place >= 0) & (place < held), jnp.take(class_weights, place, mode="clip"), 0)
    return lax.psum(mine, axis_name)
