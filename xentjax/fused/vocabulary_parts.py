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

from xentjax.fused.tiles import Examples
from xentjax.losses.inputs import nan_unless


class Parts(NamedTuple):
    """What one device says of each row, [R]; gathered, [devices, R]."""

    top: Array  # m, its largest logit, a constant to differentiation
    rest: Array  # Σ exp(x − m) without the label
    total: Array  # Σ exp(x − m)
    others: Array  # Σ exp(x − m) without the largest
    lead: Array  # the largest logit minus m: 0, but with a derivative
    depth: Array  # Σ exp(x − m) (m − x)
    label_logit: Array  # the label's logit, or 0 where another device holds it
    label_weight: Array  # its class weight, likewise
    allowed: Array  # classes that are not masked
    mass: Array  # Σ w over them
    below: Array  # Σ w (m − x) over them
    best: Array  # index of the largest logit, as a float


class Whole(NamedTuple):
    """What the devices say together of each row, [R]."""

    nll: Array
    logsumexp: Array
    uniform: Array  # Σ w (lse − x) / K over the K classes that are allowed
    entropy: Array
    label_weight: Array
    prediction: Array


def part(
    logits: Array, labels: Any, first: Array, classes: int, class_weights: Array | None
) -> Parts:
    """What this device's logits [R, V/devices] say; its first column is class `first`."""
    column = lax.broadcasted_iota(jnp.int32, logits.shape, 1) + first
    logits = jnp.where(column < classes, logits, -jnp.inf)
    is_label, allowed = column == labels[:, None], logits > -jnp.inf
    largest = jnp.max(logits, axis=1)
    limits = jnp.finfo(logits.dtype)
    top = lax.stop_gradient(jnp.clip(largest, limits.min, limits.max))
    exps = jnp.exp(logits - top[:, None])
    under = jnp.where(allowed, top[:, None] - logits, 0)
    weights = jnp.ones((1, 1), logits.dtype) if class_weights is None else class_weights[None, :]
    weights = jnp.where(column < classes, weights, 0)

    def total(terms, where):
        return jnp.sum(jnp.where(where, terms, 0), axis=1)

    return Parts(
        top=top,
        rest=total(exps, ~is_label),
        total=jnp.sum(exps, axis=1),
        others=total(exps, column - first != jnp.argmax(logits, axis=1)[:, None]),
        lead=jnp.maximum(largest, limits.min) - top,
        depth=jnp.sum(exps * under, axis=1),
        label_logit=total(logits, is_label),
        label_weight=total(weights, is_label),
        allowed=lax.stop_gradient(jnp.sum(allowed.astype(logits.dtype), axis=1)),
        mass=total(weights, allowed),
        below=jnp.sum(weights * under, axis=1),
        best=lax.stop_gradient(jnp.argmax(logits, axis=1) + first).astype(logits.dtype),
    )


def join(parts: Parts, examples: Examples, classes: int) -> Whole:
    """What follows for the whole vocabulary from all devices' parts, [devices, R]."""
    labels: Any = examples.labels
    top = lax.stop_gradient(jnp.max(parts.top, axis=0))
    below_top = jnp.where(parts.allowed > 0, top[None] - parts.top, 0)
    scale = jnp.where(parts.allowed > 0, jnp.exp(-below_top), 0)
    rest, total = jnp.sum(parts.rest * scale, axis=0), jnp.sum(parts.total * scale, axis=0)
    gap = jnp.sum(parts.label_logit, axis=0) - top
    good = (labels >= 0) & (labels < classes)
    if (keep := examples.keep) is not None:
        # A row left out may hold any label: it is replaced before it meets a derivative.
        good, gap = good | ~keep, jnp.where(keep, gap, 0)
    good = nan_unless(good, rest.dtype)
    nll, log_total = _nll(rest, gap) * good, _log_total(rest, gap) * good
    depth = jnp.sum(scale * (parts.depth + parts.total * below_top), axis=0) / total
    uniform = jnp.sum(parts.mass * (log_total[None] + below_top) + parts.below, axis=0)
    leader = jnp.argmax(parts.top, axis=0)
    leads = jnp.arange(parts.top.shape[0])[:, None] == leader[None]
    # 1 + what follows is Σ exp(x − M): the leader's own 1 is left out, its derivative is not.
    beside = jnp.where(leads, jnp.expm1(parts.lead), scale * jnp.exp(parts.lead))
    spread = jnp.log1p(jnp.sum(parts.others * scale + beside, axis=0))
    return Whole(
        nll=nll,
        logsumexp=log_total + top,
        uniform=uniform / jnp.sum(parts.allowed, axis=0),
        entropy=spread + depth,
        label_weight=jnp.sum(parts.label_weight, axis=0),
        prediction=jnp.take_along_axis(parts.best, leader[None], axis=0)[0],
    )


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
