"""Losses of hidden · weight computed a tile of rows at a time, so that the logits never exist.

A tile is R examples against the whole vocabulary: one large matrix product, the full rate of the
machine. Its scores [R, V] are read by a `Rows` object (what the loss makes of a row of scores)
and are gone before the next tile begins.

    forward     h W              one product        values only
    gradient    h W, g Wᵀ, hᵀ g  three products     values, and gradients for known cotangents
    derivative  h W, ḣ W, h Ẇ    three products     the values' derivative along a tangent

The gradient of a tile is taken while its scores still exist. d weight is added up in float32, in
place, block by block of the vocabulary. The bodies are plain differentiable JAX under
`jax.checkpoint`, so every further derivative exists and holds no more than a tile either.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from xentjax.fused import mesh_axis
from xentjax.fused.products import add_outer, dot, product, put_outer, sum_dtype
from xentjax.fused.spec import PER_CLASS, Examples, Operands, Place, SharedRows, Spec


def forward(spec: Spec, operands: Operands, examples: Examples) -> Any:
    """The row values alone: one product a head."""
    examples = _padding_masked(spec, operands, examples)

    def tile(_, xs):
        hiddens, examples = xs
        scores = _scores(spec, kept_rows(hiddens, examples), operands)
        return (), _values(spec, scores, extras_of(spec, operands), examples)

    _, outs = _over_tiles(spec.tile, tile, (), (_hiddens(spec, operands), examples))
    return outs


def gradient(
    spec: Spec, operands: Operands, examples: Examples, cotangents: Any, wanted: frozenset[str]
) -> tuple[Any, dict[str, Array]]:
    """Row values, and the gradient of Σ ⟨cotangent, value⟩ with respect to what is wanted.

    Args:
      spec: what is known while tracing.
      operands: where the gradient is taken.
      examples: labels and mask.
      cotangents: arrays [N] in the structure of the row values.
      wanted: names of operands; any other costs nothing.
    """
    extras = extras_of(spec, operands)
    examples = _padding_masked(spec, operands, examples)
    n = operands[spec.heads[0].hidden].shape[0]
    # A single tile has nothing to be added to.
    gather_outer = put_outer if tile_rows(n, spec.tile)[0] == 1 else add_outer

    @jax.checkpoint
    def tile(sums, xs):
        hiddens, examples, cotangents = xs
        hiddens = kept_rows(hiddens, examples)
        scores = _scores(spec, hiddens, operands)
        outs, slopes, dextras = _pull(spec, scores, extras, examples, cotangents)
        sums = {name: x + dextras[name] if name in extras else x for name, x in sums.items()}
        dhiddens = {}
        for head, slope in zip(spec.heads, slopes, strict=True):
            hidden, weight = hiddens[head.hidden], operands[head.weight]
            # The products of a 16-bit model are 16-bit products, with float32 sums.
            slope = slope.astype(jnp.result_type(hidden, weight))
            if head.hidden in wanted:
                dhiddens[head.hidden] = dot(slope, weight, (1, head.vocab_axis), spec.precision)
            if head.weight in wanted:
                total = sums[head.weight]
                sums[head.weight] = gather_outer(
                    total, hidden, slope, head.vocab_axis, spec.block, spec.precision
                )
        if spec.axis_name is None:
            dhiddens = {name: x.astype(operands[name].dtype) for name, x in dhiddens.items()}
        return sums, (outs, dhiddens)

    inputs = _hiddens(spec, operands), examples, cotangents
    axes = mesh_axis.varying((operands, inputs))
    sums = {
        name: mesh_axis.as_varying(jnp.zeros(x.shape, sum_dtype(x)), axes_of(spec, name, axes))
        for name, x in operands.items()
        if name in wanted and name not in inputs[0]
    }
    sums, (outs, dhiddens) = _over_tiles(spec.tile, tile, sums, inputs)
    if spec.axis_name is not None:
        dhiddens = mesh_axis.total(dhiddens, spec.axis_name)
    found = sums | dhiddens
    return outs, {name: found[name].astype(operands[name].dtype) for name in sorted(wanted)}


def derivative(spec: Spec, operands: Operands, examples: Examples, tangents: Operands) -> Any:
    """The row values' derivative along tangents of some operands."""
    extras = extras_of(spec, operands)
    dextras = {name: tangents.get(name, jnp.zeros_like(x)) for name, x in extras.items()}
    examples = _padding_masked(spec, operands, examples)

    @jax.checkpoint
    def tile(_, xs):
        hiddens, examples, dhiddens = xs
        hiddens, dhiddens = kept_rows(hiddens, examples), kept_rows(dhiddens, examples)
        scores = _scores(spec, hiddens, operands)
        along = []
        for head, score in zip(spec.heads, scores, strict=True):
            moved = jnp.zeros_like(score)
            if head.hidden in dhiddens:
                moved += product(
                    dhiddens[head.hidden], operands[head.weight], head.vocab_axis, spec.precision
                )
            if head.weight in tangents:
                moved += product(
                    hiddens[head.hidden], tangents[head.weight], head.vocab_axis, spec.precision
                )
            along.append(moved)

        def values(scores, extras):
            return _values(spec, scores, extras, examples)

        return (), jax.jvp(values, (scores, extras), (along, dextras))[1]

    dhiddens = {h.hidden: tangents[h.hidden] for h in spec.heads if h.hidden in tangents}
    _, outs = _over_tiles(spec.tile, tile, (), (_hiddens(spec, operands), examples, dhiddens))
    return outs


# --- rows -------------------------------------------------------------------------------------


def _hiddens(spec: Spec, operands: Operands) -> dict[str, Array]:
    return {head.hidden: operands[head.hidden] for head in spec.heads}


def extras_of(spec: Spec, operands: Operands) -> dict[str, Array]:
    """What is neither hidden nor weight."""
    taken = {name for head in spec.heads for name in (head.hidden, head.weight)}
    return {name: x for name, x in operands.items() if name not in taken}


def _values(spec: Spec, scores: list[Array], extras: Operands, examples: Examples) -> Any:
    if spec.axis_name is None:
        return spec.rows.whole(scores, extras, examples)
    rows, place = _shared(spec, scores)
    parts = rows.part(scores, extras, examples, place)
    return rows.join(mesh_axis.gather(parts, spec.axis_name), extras, examples)


def _shared(spec: Spec, scores: list[Array]) -> tuple[SharedRows, Place]:
    """The rows in their two steps, and the place of this device's columns."""
    assert isinstance(spec.rows, SharedRows)
    held, axis_name = scores[0].shape[1], spec.axis_name
    return spec.rows, Place(lax.axis_index(axis_name) * held, lax.axis_size(axis_name) * held)


def _pull(spec, scores, extras, examples, cotangents):
    """Row values and the gradients with respect to scores and extras."""
    if spec.axis_name is None:

        def values(scores, extras):
            return spec.rows.whole(scores, extras, examples)

        outs, pull = jax.vjp(values, scores, extras)
        return outs, *pull(cotangents)
    # Both halves are differentiated apart: the sum between them is not, because how JAX
    # transposes a sum over devices depends on how the caller's shard_map was called.
    rows, place = _shared(spec, scores)

    def part(scores, extras):
        return rows.part(scores, extras, examples, place)

    def join(parts, extras):
        return rows.join(parts, extras, examples)

    own = mesh_axis.as_varying(extras, [spec.axis_name])
    parts, pull_part = jax.vjp(part, scores, own)
    shared = {name: x for name, x in extras.items() if name not in PER_CLASS}
    outs, pull = jax.vjp(join, mesh_axis.gather(parts, spec.axis_name), shared)
    dgathered, dshared = pull(cotangents)
    slopes, dextras = pull_part(mesh_axis.own(dgathered, spec.axis_name))
    for name, slope in dshared.items():
        dextras[name] = slope + lax.psum(dextras[name], spec.axis_name)
    return outs, slopes, dextras


def axes_of(spec: Spec, name: str, axes: frozenset[str]) -> frozenset[str]:
    """The mesh axes an operand varies over: the vocabulary's only if it has an entry a class."""
    return axes if name in PER_CLASS else axes - {spec.axis_name}


def _padding_masked(spec: Spec, operands: Operands, examples: Examples) -> Examples:
    """Examples with a mask where rows added to the last tile could say something.

    Without options they cannot: zeros have a finite loss, and meet a zero cotangent. A bias of −inf
    makes it infinite.
    """
    n = operands[spec.heads[0].hidden].shape[0]
    count, rows = tile_rows(n, spec.tile)
    if examples.keep is not None or count * rows == n or not extras_of(spec, operands):
        return examples
    return examples._replace(keep=jnp.ones(n, bool))


def kept_rows(hiddens: dict[str, Array], examples: Examples) -> dict[str, Array]:
    """Rows left out become zeros: 0 · NaN would reach d weight."""
    if examples.keep is None:
        return hiddens
    return {name: jnp.where(examples.keep[:, None], x, 0) for name, x in hiddens.items()}


def _scores(spec: Spec, hiddens: dict[str, Array], operands: Operands) -> list[Array]:
    return [
        product(hiddens[head.hidden], operands[head.weight], head.vocab_axis, spec.precision)
        for head in spec.heads
    ]


# --- tiles ------------------------------------------------------------------------------------


def tile_rows(n: int, tile: int) -> tuple[int, int]:
    """How many tiles, and how many rows in each: at most `tile`, as even as can be."""
    count = max(1, -(-n // tile))
    return count, -(-n // count)


def _over_tiles(tile_size: int, body: Callable, carry: Any, xs: Any) -> tuple[Any, Any]:
    """`lax.scan` of body(carry, tile of xs) over tiles of rows, outputs joined to [N, …]."""
    n = jax.tree.leaves(xs)[0].shape[0]
    count, rows = tile_rows(n, tile_size)
    if count == 1:
        return body(carry, xs)

    def cut(x):
        # Rows added at the end are masked (zero is False), and their values are cut off again.
        padded = jnp.pad(x, [(0, count * rows - n)] + [(0, 0)] * (x.ndim - 1))
        return padded.reshape(count, rows, *x.shape[1:])

    carry, ys = lax.scan(body, carry, jax.tree.map(cut, xs))
    return carry, jax.tree.map(lambda y: y.reshape(count * rows, *y.shape[2:])[:n], ys)
