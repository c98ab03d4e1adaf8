"""A row of logits that several devices hold in parts: what each says, and what follows.

Each device reports its largest logit mₖ, rₖ = Σ_{j≠y} exp(xⱼ − mₖ), and the label's logit if it
holds it. With M = maxₖ mₖ, rest = Σₖ rₖ exp(mₖ − M) and d = x_y − M the loss is

    log1p(rest + expm1(d)) − d,   with slopes 1 / (rest + eᵈ) and −rest / (rest + eᵈ):

as exact at every margin as on one device (`xentjax.losses.log_partition`). Columns added to make
the vocabulary divisible count nothing.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from xentjax.fused.spec import Examples, Place
from xentjax.losses.inputs import nan_unless
from xentjax.losses.log_partition import pick_label, put_at_label, unit_exp


class LabelParts(NamedTuple):
    """What one device says of each row and its label, [R]; gathered, [devices, R]."""

    top: Array  # m, its largest logit, a constant to differentiation
    rest: Array  # Σ exp(x − m) without the label
    label_logit: Array  # the label's logit, or 0 where another device holds it


class UniformParts(NamedTuple):
    """What label smoothing asks of each row besides."""

    allowed: Array  # classes that are not masked
    mass: Array  # Σ w over them
    below: Array  # Σ w (m − x) over them


class SpreadParts(NamedTuple):
    """What entropy and prediction ask of each row besides."""

    total: Array  # Σ exp(x − m)
    others: Array  # Σ exp(x − m) without the largest
    lead: Array  # the largest logit minus m: 0, but with a derivative
    depth: Array  # Σ exp(x − m) (m − x)
    best: Array  # index of the largest logit, as a float


class Row(NamedTuple):
    """The whole vocabulary's row and its label, [R]; `below_top` and `scale` are [devices, R]."""

    nll: Array
    log_total: Array  # the log-partition minus `top`
    top: Array
    below_top: Array  # how far each device's largest logit lies below
    scale: Array  # exp of minus that


class Columns(NamedTuple):
    """One device's part of the logits [R, V/devices]; columns that no class fills are masked."""

    logits: Array
    first: Array  # the class of its first column
    is_class: Array | None  # bool [1, V/devices], or None where every column is a class


def columns(logits: Array, place: Place, classes: int) -> Columns:
    """The part, with what was added to make the vocabulary divisible masked."""
    if place.columns == classes:
        return Columns(logits, place.first, None)
    index = lax.broadcasted_iota(jnp.int32, (1, logits.shape[1]), 1)
    is_class = index + place.first < classes
    return Columns(jnp.where(is_class, logits, -jnp.inf), place.first, is_class)


def label_part(held: Columns, labels: Any) -> LabelParts:
    """Its largest logit, the sum without the label, the label's logit."""
    return _label_part(held.logits, labels - held.first)


@jax.custom_jvp
def _label_part(logits: Array, place: Array) -> LabelParts:
    top = _top(logits)
    is_held = (place >= 0) & (place < logits.shape[1])
    label_logit = jnp.squeeze(pick_label(logits, place, 1), 1)
    rest = jnp.sum(_others(logits, place, top), axis=1)
    return LabelParts(top, rest, jnp.where(is_held, label_logit, 0))


@_label_part.defjvp
def _label_part_jvp(primals, tangents):
    # As in the dense loss: one pass writes the exponentials where the slopes will be.
    (logits, place), dlogits = primals, tangents[0]
    parts = _label_part(logits, place)
    is_label = lax.broadcasted_iota(jnp.int32, logits.shape, 1) == place[:, None]
    drest = jnp.sum(_others(logits, place, parts.top) * dlogits, axis=1)
    dlabel = jnp.sum(jnp.where(is_label, dlogits, 0), axis=1)
    return parts, LabelParts(jnp.zeros_like(parts.top), drest, dlabel)


def _top(logits):
    limits = jnp.finfo(logits.dtype)
    return lax.stop_gradient(jnp.clip(jnp.max(logits, axis=1), limits.min, limits.max))


def _others(logits, place, top):
    return put_at_label(unit_exp(logits, top[:, None]), place, 1, 0.0)


def label_weight(held: Columns, labels: Any, class_weights: Array) -> Array:
    """The class weight of each label, 0 where another device holds it."""
    is_label = lax.broadcasted_iota(jnp.int32, held.logits.shape, 1) + held.first == labels[:, None]
    return jnp.sum(jnp.where(is_label, class_weights[None, :], 0), axis=1)


def uniform_part(held: Columns, top: Array, class_weights: Array | None) -> UniformParts:
    """Sums over the classes that are allowed."""
    logits, allowed = held.logits, held.logits > -jnp.inf
    weights = jnp.ones((1, 1), logits.dtype) if class_weights is None else class_weights[None, :]
    weights = weights if held.is_class is None else jnp.where(held.is_class, weights, 0)
    count = jnp.sum(allowed.astype(logits.dtype), axis=1)
    return UniformParts(
        allowed=lax.stop_gradient(count),
        mass=jnp.sum(jnp.where(allowed, weights, 0), axis=1),
        below=jnp.sum(weights * jnp.where(allowed, top[:, None] - logits, 0), axis=1),
    )


def spread_part(held: Columns, top: Array) -> SpreadParts:
    """Sums of the exponentials, and where the largest is."""
    logits, best = held.logits, jnp.argmax(held.logits, axis=1)
    exps = jnp.exp(logits - top[:, None])
    under = jnp.where(logits > -jnp.inf, top[:, None] - logits, 0)
    is_best = lax.broadcasted_iota(jnp.int32, logits.shape, 1) == best[:, None]
    return SpreadParts(
        total=jnp.sum(exps, axis=1),
        others=jnp.sum(jnp.where(is_best, 0, exps), axis=1),
        lead=jnp.maximum(jnp.max(logits, axis=1), jnp.finfo(logits.dtype).min) - top,
        depth=jnp.sum(exps * under, axis=1),
        best=lax.stop_gradient(best + held.first).astype(logits.dtype),
    )


def join_label(parts: LabelParts, examples: Examples, classes: int) -> Row:
    """The whole row's loss and log-partition from all devices' parts, [devices, R]."""
    labels: Any = examples.labels
    top = lax.stop_gradient(jnp.max(parts.top, axis=0))
    # Finite, as a device whose classes are all masked has nothing to multiply it with but 0.
    below_top = jnp.minimum(top[None] - parts.top, jnp.finfo(top.dtype).max)
    scale = jnp.exp(-below_top)
    rest = jnp.sum(parts.rest * scale, axis=0)
    gap = jnp.sum(parts.label_logit, axis=0) - top
    good = (labels >= 0) & (labels < classes)
    if (keep := examples.keep) is not None:
        # A row left out may hold any label: it is replaced before it meets a derivative.
        good, gap = good | ~keep, jnp.where(keep, gap, 0)
    good = nan_unless(good, rest.dtype)
    return Row(_nll(rest, gap) * good, _log_total(rest, gap) * good, top, below_top, scale)


def join_uniform(parts: UniformParts, row: Row) -> Array:
    """Σ w (lse − x) / K over the K classes that are allowed, [R]."""
    total = jnp.sum(parts.mass * (row.log_total[None] + row.below_top) + parts.below, axis=0)
    return total / jnp.sum(parts.allowed, axis=0)


def join_entropy(parts: SpreadParts, row: Row) -> Array:
    """−Σ p log p of the whole row, [R]."""
    total = jnp.sum(parts.total * row.scale, axis=0)
    depth = jnp.sum(row.scale * (parts.depth + parts.total * row.below_top), axis=0) / total
    # 1 + what follows is Σ exp(x − M): the leader's own 1 is left out, its derivative is not.
    beside = jnp.where(_leads(row), jnp.expm1(parts.lead), row.scale * jnp.exp(parts.lead))
    return jnp.log1p(jnp.sum(parts.others * row.scale + beside, axis=0)) + depth


def join_prediction(parts: SpreadParts, row: Row) -> Array:
    """The class of the largest logit, as a float, [R]."""
    return jnp.sum(jnp.where(_leads(row), parts.best, 0), axis=0)


def _leads(row: Row) -> Array:
    """Which device holds the largest logit, the first of those that do."""
    leader = jnp.argmin(row.below_top, axis=0)
    return jnp.arange(row.below_top.shape[0])[:, None] == leader[None]


def _log_total(rest: Array, gap: Array) -> Array:
    """log(rest + exp(gap)) for gap ≤ 0, exact for a small rest where gap = 0."""
    return jnp.log1p(rest + jnp.expm1(gap))


@jax.custom_jvp
def _nll(rest: Array, gap: Array) -> Array:
    """log(rest + exp(gap)) − gap."""
    return _log_total(rest, gap) - gap


@_nll.defjvp
def _nll_jvp(primals, tangents):
    (rest, gap), (drest, dgap) = primals, tangents
    total = rest + jnp.exp(gap)
    return _nll(rest, gap), (drest - rest * dgap) / total
