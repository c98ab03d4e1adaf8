"""The log-partition of a whole row, and what losses on distributions make of it.

`log_partition` leaves the label out of its sum; here the largest logit is left out instead, so that
log Σ exp(x − top) = log1p(rest) keeps the digits of a small rest, in the value and in the slopes.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from xentjax.losses.derivatives import with_derivative_of
from xentjax.losses.log_partition import (
    block_size,
    class_index,
    pick_label,
    put_at_label,
    rest_by_blocks,
    top_logit,
    unit_exp,
)


class Split(NamedTuple):
    """exp(x − top) and its sum, with the sum over all but one largest logit kept apart."""

    top: Array
    exps: Array
    rest: Array
    total: Array
    lead: Array  # 0, with the derivative of the leader's exp where `rest` leaves it out


def split_top(logits: Array, axis: int) -> Split:
    """Splits Σ exp(x − top) = 1 + rest without losing the digits of a small rest."""
    axis %= logits.ndim
    top = top_logit(logits, axis)
    if block_size(logits, axis) is None:
        exps = jnp.where(logits == jnp.inf, 1, unit_exp(logits, top))
        total = jnp.sum(exps, axis=axis, keepdims=True)
        below = jnp.sum(jnp.where(logits < top, exps, 0), axis=axis, keepdims=True)
        # total ≥ 2 whenever the largest logit is tied, and then total − 1 cancels nothing.
        sole = total < 2
        lead = jnp.max(exps, axis=axis, keepdims=True) - 1
        rest = jnp.where(sole, below, total - 1)
        return Split(top, exps, rest, total, jnp.where(sole, lead, 0))
    # A mask inside the sum would cost a pass of its own: the leader's entry is zeroed in place.
    leader = _leader_by_blocks(logits, axis)
    others = put_at_label(unit_exp(logits, top), leader, axis, 0.0)
    rest = jnp.sum(others, axis=axis, keepdims=True)
    leading = _leading_exp(logits, leader, top, axis)
    is_leader = class_index(logits, axis) == jnp.expand_dims(leader, axis)
    exps = jnp.where(is_leader, leading, others)
    return Split(top, exps, rest, leading + rest, leading - 1)


def _leading_exp(logits, leader, top, axis):
    """exp(x − top) of the leader: 1, with its derivative."""
    leading = jnp.minimum(pick_label(logits, leader, axis), jnp.finfo(logits.dtype).max)
    return unit_exp(leading, top)


def _leader_by_blocks(logits, axis):
    """The place of a largest logit: of the block with the largest maximum, then inside it."""
    *batch, classes = logits.shape
    block = block_size(logits, axis) or classes
    blocks = logits.reshape(*batch, classes // block, block)
    home = jnp.argmax(jnp.max(blocks, axis=-1), axis=-1)
    own = jnp.take_along_axis(blocks, home[..., None, None], axis=-2, mode="clip")[..., 0, :]
    return (home * block + jnp.argmax(own, axis=-1)).astype(jnp.int32)


def at_leader(values: Array, logits: Array, axis: int) -> Array:
    """A value of each row where its logits are largest, the axis kept."""
    if block_size(logits, axis) is None:
        leads = logits == jnp.max(logits, axis=axis, keepdims=True)
        return jnp.max(jnp.where(leads, values, -jnp.inf), axis=axis, keepdims=True)
    return pick_label(values, _leader_by_blocks(logits, axis), axis)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def log_total(logits: Array, axis: int) -> Array:
    """log Σⱼ exp(xⱼ − top) with `top` a constant; the axis is kept. Its gradient is softmax."""
    return _log_of_total(*_rest_and_lead(logits, axis))


def _log_of_total(rest, lead):
    # The select is idle. Without it XLA on CPU takes what follows, for every class, into the sum
    # behind `rest`, where it runs several times as long as in a loop of its own.
    return jnp.where(rest < 0, rest, jnp.log1p(rest + lead))


def _rest_and_lead(logits, axis):
    """Those of `split_top` without its exponentials, at the price of a plain sum of them."""
    axis %= logits.ndim
    if block_size(logits, axis) is None:
        parts = split_top(logits, axis)
        return parts.rest, parts.lead
    top, leader = top_logit(logits, axis), _leader_by_blocks(logits, axis)
    rest = rest_by_blocks(logits, leader, top, axis)
    return rest, _leading_exp(logits, leader, top, axis) - 1


def _log_total_of(parts, logits, axis):
    """`log_total` from a split that is there already."""
    value = _log_of_total(parts.rest, parts.lead)
    return with_derivative_of(partial(log_total, axis=axis), value, logits)


@log_total.defjvp
def _log_total_jvp(axis, primals, tangents):
    (logits,), (dlogits,) = primals, tangents
    parts = split_top(logits, axis)
    derivative = jnp.sum(parts.exps / parts.total * dlogits, axis=axis, keepdims=True)
    return _log_total_of(parts, logits, axis), derivative


def log_softmax_gap(logits: Array, axis: int) -> Array:
    """−log softmax(x) ≥ 0, exact for the likely classes too; +inf where x is −inf."""
    return (top_logit(logits, axis) - logits) + log_total(logits, axis)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def target_nll(logits: Array, targets: Array, axis: int) -> Array:
    """−Σ_c t_c log softmax(x)_c for target masses t ≥ 0 of any sum; 0 · (−inf) counts as 0."""
    return _target_nll_of(logits, targets, log_total(logits, axis), axis)


def _target_nll_of(logits, targets, total, axis):
    largest = lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True))
    # NaN or inf where a logit is infinite. Only then is it worth a select, which would write an
    # array of N·C: 0 · inf is 0 here, and a target on a class at −inf costs inf.
    plain = jnp.sum(targets * (largest - logits), axis=axis, keepdims=True)
    below_top = lax.cond(
        jnp.all(jnp.isfinite(plain)), lambda: plain, lambda: _sum_where_used(logits, targets, axis)
    )
    mass = jnp.sum(targets, axis=axis, keepdims=True)
    return jnp.squeeze(below_top + mass * total, axis)


def _sum_where_used(logits, targets, axis):
    unused = (targets == 0) & (logits == -jnp.inf)
    top = top_logit(logits, axis)
    at_top = unused | (logits == jnp.inf)
    below_top = jnp.where(at_top, 0, top - jnp.where(at_top, top, logits))
    return jnp.sum(targets * below_top, axis=axis, keepdims=True)


@partial(target_nll.defjvp, symbolic_zeros=True)
def _target_nll_jvp(axis, primals, tangents):
    (logits, targets), (dlogits, dtargets) = primals, tangents
    parts = split_top(logits, axis)
    total = _log_total_of(parts, logits, axis)
    derivative = jnp.zeros_like(jnp.sum(logits, axis=axis))
    if not isinstance(dlogits, SymbolicZero):
        derivative += jnp.sum(_target_slope(parts, targets, axis) * dlogits, axis=axis)
    if not isinstance(dtargets, SymbolicZero):
        derivative += jnp.sum(_gap_where_used(logits, targets, total, axis) * dtargets, axis=axis)
    value = _target_nll_of(logits, targets, total, axis)
    function = partial(target_nll, axis=axis)
    return with_derivative_of(function, value, logits, targets), derivative


def _gap_where_used(logits, targets, total, axis):
    unused = (targets == 0) & (logits == -jnp.inf)
    top = top_logit(logits, axis)
    below_top = top - jnp.where(unused | (logits == jnp.inf), top, logits)
    return jnp.where(unused, 0, below_top + total)


def _target_slope(parts, targets, axis):
    """T·p − t with T = Σ t; for a sole leading class as (T − t) − T·(1 − p): nothing cancels."""
    _, exps, rest, total, _ = parts
    mass = jnp.sum(targets, axis=axis, keepdims=True)
    leads = (exps == 1) & (rest < 1)
    # Quotients of rows, not of entries: a division for each of N·C is what would cost.
    leading, others = mass * (rest / total), mass / total
    return jnp.where(leads, (mass - targets) - leading, others * exps - targets)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def softmax_entropy(logits: Array, axis: int) -> Array:
    """−Σ p log p as log_total + D, D = Σ p_c (top − x_c): a sum of non-negative terms.

    Its slope p_j ((top − x_j) − D) is −p·D for the leading class, where p (gap − H) would cancel.
    """
    logits = _finite_above(logits)
    rest, lead = _rest_and_lead(logits, axis)
    top = top_logit(logits, axis)
    # The leader's depth is 0, so its exponential is worth no mask.
    depth = _mean_depth(logits, unit_exp(logits, top), 1 + (rest + lead), top, axis)
    return jnp.squeeze(jnp.log1p(rest + lead) + depth, axis)


@softmax_entropy.defjvp
def _softmax_entropy_jvp(axis, primals, tangents):
    logits, dlogits = _finite_above(primals[0]), tangents[0]
    parts = split_top(logits, axis)
    depth = _mean_depth(logits, parts.exps, parts.total, parts.top, axis)
    value = jnp.squeeze(jnp.log1p(parts.rest + parts.lead) + depth, axis)
    value = with_derivative_of(partial(softmax_entropy, axis=axis), value, primals[0])
    slope = parts.exps * (_below_top(logits, parts.top) - depth)
    derivative = jnp.sum(slope * dlogits, axis=axis) * jnp.squeeze(1 / parts.total, axis)
    return value, derivative


def _finite_above(logits):
    """+inf as the largest finite number, as `top_logit` counts it."""
    return jnp.where(logits == jnp.inf, jnp.finfo(logits.dtype).max, logits)


def _mean_depth(logits, exps, total, top, axis):
    """Σ p_c (top − x_c)."""
    below_top = _below_top(logits, top)
    # The select is idle, the depth is ≥ 0 or NaN. Without one XLA on CPU takes the arithmetic into
    # its reduction, where it runs several times as long as in a loop of its own.
    depths = jnp.where(below_top >= 0, exps * below_top, below_top)
    return jnp.sum(depths, axis=axis, keepdims=True) / total


def _below_top(logits, top):
    # A class at −inf has p = 0 and infinite depth; the product is 0, as it is where the depth
    # overflows. A row of them stays NaN.
    depth = jnp.minimum(top - logits, jnp.finfo(top.dtype).max)
    return jnp.where(logits == -jnp.inf, 0, depth)
