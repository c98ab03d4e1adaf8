"""The log-partition function without cancellation: where this package's exactness comes from.

The usual lse(x) − x_y subtracts two large, nearly equal numbers: it loses every digit once the
label leads by 15, or once all logits are large. Nothing is subtracted here. With the largest
logit m, eⱼ = exp(xⱼ − m) and rest = Σ_{j≠y} eⱼ, the loss is

    log1p(rest)                     when the label is the largest,
    (m − x_y) + log(rest + e_y)     otherwise,

and its derivative −rest / (rest + e_y) for the label, eⱼ / (rest + e_y) for the others: sums and
quotients of non-negative numbers, each right to a few units in the last place.

The derivative rules are `jax.custom_jvp`, never `custom_vjp`, so forward mode, reverse mode and
all their compositions work; and the rules are themselves written in differentiable terms, so
every order of derivative is right.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


class LabelTerms(NamedTuple):
    """What a loss on integer labels is made of; one entry per example."""

    nll: Array  # −log softmax(x)_y
    log_total: Array  # log Σⱼ exp(xⱼ − top), so that log-sum-exp = log_total + top


def top_logit(logits: Array, axis: int) -> Array:
    """The largest logit of each row, kept in place, a constant to differentiation.

    A logit of +inf counts as the largest finite number, so that the label's own +inf costs 0.
    """
    top = jnp.max(logits, axis=axis, keepdims=True)
    return lax.stop_gradient(jnp.minimum(top, jnp.finfo(logits.dtype).max))


def unit_exp(logits: Array, top: Array) -> Array:
    """exp(x − top) for x ≤ top, exactly 1 at the top.

    Adding zero looks idle. Without it a compiler may fuse a caller's x · c into x · c − top, with
    one rounding where `top` had two: the 1 becomes e^±½ at |x · c| = 10⁷, and 0 or inf past 2³¹.
    x · c + 0 is rounded as x · c was, fused or not; a minimum would do too, in three instructions.
    """
    zero = 0 * top
    return jnp.exp((logits + zero) - top)


# --- integer labels ---------------------------------------------------------------------------


@partial(jax.custom_jvp, nondiff_argnums=(3,))
def label_terms(logits: Array, labels: Array, keep: Array | None, axis: int) -> LabelTerms:
    """Negative log-likelihood of the labels, and the log-partition; exact at every margin.

    Args:
      logits: [*batch, C] with the classes on `axis`.
      labels: int32 [*batch]; one outside [0, C) makes its row NaN, in the value and the gradient.
      keep: bool [*batch] or None; rows that are False give 0 with zero gradient, whatever
        they hold.
      axis: the class axis.
    """
    axis %= logits.ndim
    top = top_logit(logits, axis)
    rest = rest_by_blocks(logits, labels, top, axis)
    return _values(logits, rest, _pick(logits, labels, axis), top, keep, axis)


@label_terms.defjvp
def _label_terms_jvp(axis, primals, tangents):
    logits, labels, keep = primals
    return _differentiate(logits, labels, keep, axis % logits.ndim, tangents[0])


@partial(jax.custom_jvp, nondiff_argnums=(4,))
def _with_derivative(values, logits, labels, keep, axis):  # noqa: ARG001
    """The values as they are, with the derivative of `label_terms`."""
    return values


@_with_derivative.defjvp
def _with_derivative_jvp(axis, primals, tangents):
    values, logits, labels, keep = primals
    _, derivative = _differentiate(logits, labels, keep, axis, tangents[1])
    return _with_derivative(values, logits, labels, keep, axis), derivative


def _differentiate(logits, labels, keep, axis, dlogits):
    # One elementwise pass writes e, in the buffer the gradient will be returned in, and the label's
    # entry is zeroed there; one sum over it gives rest; one pass in place makes it the gradient.
    # Each scale is applied after its sum, so that transposed it meets the cotangent first: one
    # multiplication an element. bench/dense.py holds the figures.
    top = top_logit(logits, axis)
    if keep is not None:
        row = jnp.expand_dims(keep, axis)
        top = jnp.where(row, top, 0)
        safe = jnp.where(row, logits, 0)
    else:
        row, safe = None, logits
    label_exp = unit_exp(_pick(safe, labels, axis), top)
    is_label = class_index(safe, axis) == jnp.expand_dims(labels, axis)
    others = put_at_label(unit_exp(safe, top), labels, axis, 0.0)
    rest = jnp.sum(others, axis=axis, keepdims=True)
    scale = 1 / (rest + label_exp)
    if row is not None:
        scale = jnp.where(row, scale, 0)
    scale = jnp.squeeze(scale, axis)
    slope_nll = jnp.where(is_label, -rest, others)
    slope_log_total = jnp.where(is_label, label_exp, others)

    values = _values(logits, rest, _pick(logits, labels, axis), top, keep, axis)
    values = _with_derivative(values, logits, labels, keep, axis)
    derivative = LabelTerms(
        nll=jnp.sum(slope_nll * dlogits, axis=axis) * scale,
        log_total=jnp.sum(slope_log_total * dlogits, axis=axis) * scale,
    )
    return values, derivative


def _values(logits, rest, label_logit, top, keep, axis) -> LabelTerms:
    # All that depends on the label's logit shows it, zero or not: the derivative must be right
    # by JAX's rules too, because a scan that is differentiated twice drops a custom one.
    largest = lax.stop_gradient(jnp.max(logits, axis=axis, keepdims=True))
    leads = label_logit >= largest
    lead = jnp.where(jnp.isinf(label_logit), 0, label_logit - largest)
    log_leading = jnp.log1p(rest + jnp.expm1(jnp.where(leads, lead, 0)))
    log_total = jnp.where(leads, log_leading, jnp.log(rest + unit_exp(label_logit, top)))
    nll = jnp.where(leads, log_total - lead, (largest - label_logit) + log_total)
    terms = LabelTerms(jnp.squeeze(nll, axis), jnp.squeeze(log_total, axis))
    if keep is None:
        return terms
    return LabelTerms(*(jnp.where(keep, term, 0) for term in terms))


def rest_by_blocks(logits, labels, top, axis):
    """Σ_{j≠y} exp(xⱼ − top) at the price of the plain sum.

    XLA on CPU streams exp-sum through a row at memory speed, but a mask inside it makes it write
    all N·C exponentials. So sum blocks of classes unmasked, then only the label's own block again.
    """
    block = block_size(logits, axis)
    if block is None:
        is_label = class_index(logits, axis) == jnp.expand_dims(labels, axis)
        others = jnp.where(is_label, 0, unit_exp(logits, top))
        return jnp.sum(others, axis=axis, keepdims=True)
    *batch, classes = logits.shape
    blocks = logits.reshape(*batch, classes // block, block)
    sums = jnp.sum(unit_exp(blocks, top[..., None]), axis=-1)
    home, place = (labels // block)[..., None], (labels % block)[..., None]
    own = jnp.take_along_axis(blocks, home[..., None], axis=-2, mode="clip")[..., 0, :]
    is_home, is_label = class_index(sums, -1) == home, class_index(own, -1) == place
    elsewhere = jnp.sum(jnp.where(is_home, 0, sums), axis=-1, keepdims=True)
    beside = jnp.where(is_label, 0, unit_exp(own, top))
    return elsewhere + jnp.sum(beside, axis=-1, keepdims=True)


def block_size(logits: Array, axis: int) -> int | None:
    """A divisor of C near √C, or None where blocks do not pay or the axis cannot be split."""
    classes = logits.shape[axis]
    if axis != logits.ndim - 1 or classes < 512 or _is_sharded(logits, axis):
        return None
    start = max(48, int(classes**0.5))
    return next((k for k in range(start, 8 * start) if classes % k == 0), None)


def _is_sharded(x: Array, axis: int) -> bool:
    # Splitting an axis that an explicit mesh holds in parts would need communication.
    return jax.typeof(x).sharding.spec[axis] is not None


def class_index(x: Array, axis: int) -> Array:
    """int32 of the shape of `x`: each entry's place on the axis."""
    return lax.broadcasted_iota(jnp.int32, x.shape, axis % x.ndim)


def pick_label(values: Array, labels: Array, axis: int) -> Array:
    """The entry of each row at its label, the axis kept; 0 or an end where the label is bad."""
    index = jnp.expand_dims(labels, axis)
    if _is_sharded(values, axis):
        # A gather would need the whole axis on one device; a masked sum stays where the parts are.
        is_label = class_index(values, axis) == index
        return jnp.sum(jnp.where(is_label, values, 0), axis=axis, keepdims=True)
    return jnp.take_along_axis(values, index, axis, mode="clip")


def _pick(logits: Array, labels: Array, axis: int) -> Array:
    index, picked = jnp.expand_dims(labels, axis), pick_label(logits, labels, axis)
    # NaN for a bad label: it reaches the value and, through the scale, every slope of the row.
    good = (index >= 0) & (index < logits.shape[axis])
    return jnp.where(good, picked, jnp.nan)


def put_at_label(values: Array, labels: Array, axis: int, entry: float) -> Array:
    """The label's entry of each row replaced, in place: N writes instead of a mask on N·C."""
    # Short rows are masked as fast; across devices a write would need to know which holds it.
    if values.shape[axis] < 64 or any(_is_sharded(values, i) for i in range(values.ndim)):
        is_label = class_index(values, axis) == jnp.expand_dims(labels, axis)
        return jnp.where(is_label, entry, values)
    put = partial(_put, entry=entry)
    for i in reversed(range(labels.ndim)):
        # Mapped over rows, so that a compiler that shards the batch sees independent rows.
        place = 0 if i < axis else 1  # outer axes are gone by the time axis i is mapped
        put = jax.vmap(put, in_axes=(place, 0), out_axes=place)
    return put(values, labels)


def _put(row: Array, label: Array, *, entry: float) -> Array:
    return row.at[label].set(entry, mode="drop", wrap_negative_indices=False)
