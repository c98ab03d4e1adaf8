"""What separates two distributions, class by class, with its digits where both nearly agree.

Each divergence is a sum of terms ≥ 0, and its slopes are those of the formula, written out: JAX
would differentiate a series and a dozen selects, each an array of N·C. The rules are themselves
in differentiable terms, and so is the plain code of each function.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from xentjax.losses.derivatives import with_derivative_of
from xentjax.losses.row_partition import at_leader, log_softmax_gap

# log p − log q where q is 0: e^−200 is 0 beside 1, in float64 too, and 0 · 200 is 0.
_FAR = 200.0


class Gap(NamedTuple):
    """Two probabilities of a class and what lies between them."""

    q: Array
    p: Array
    d: Array  # log q − log p, 0 where either is 0
    term: Array  # q log(q / p) − q + p ≥ 0
    difference: Array  # p − q


# --- KL(q ‖ p) --------------------------------------------------------------------------------


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def kl_of_logits(model: Array, target: Array, axis: int) -> Array:
    """KL(softmax(target) ‖ softmax(model)), the axis gone.

    Its slopes are p − q for the model and q (d − KL) for the target.
    """
    return jnp.sum(_gap_of_logits(model, target, axis).term, axis=axis)


@partial(kl_of_logits.defjvp, symbolic_zeros=True)
def _kl_of_logits_jvp(axis, primals, tangents):
    model, target = primals
    dmodel, dtarget = tangents
    gap = _gap_of_logits(model, target, axis)
    value = jnp.sum(gap.term, axis=axis)
    value = with_derivative_of(partial(kl_of_logits, axis=axis), value, model, target)
    derivative = jnp.zeros_like(value)
    if not isinstance(dmodel, SymbolicZero):
        derivative += jnp.sum(gap.difference * dmodel, axis=axis)
    if not isinstance(dtarget, SymbolicZero):
        slope = gap.q * (gap.d - _or_zero(jnp.expand_dims(value, axis)))
        derivative += jnp.sum(slope * dtarget, axis=axis)
    return value, derivative


def _or_zero(value):
    """An infinite divergence has no slope worth following, but it must not be NaN."""
    return jnp.where(value == jnp.inf, 0, value)


def _gap_of_logits(model, target, axis):
    log_p, log_q, d = log_pair(model, target, axis)
    return _gap(jnp.exp(log_q), jnp.exp(log_p), d, _only_second(log_q, log_p))


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def kl_of_targets(logits: Array, targets: Array, axis: int) -> Array:
    """Σ_c [t_c log(t_c / p_c) − t_c + p_c], the axis gone.

    Its slopes are T·p − t = (p − t) + (T − 1) p with T = Σ t, and log(t / p) for the targets, 0
    for one that is 0.
    """
    return jnp.sum(_gap_of_targets(logits, targets, axis).term, axis=axis)


@partial(kl_of_targets.defjvp, symbolic_zeros=True)
def _kl_of_targets_jvp(axis, primals, tangents):
    logits, targets = primals
    dlogits, dtargets = tangents
    gap = _gap_of_targets(logits, targets, axis)
    value = jnp.sum(gap.term, axis=axis)
    value = with_derivative_of(partial(kl_of_targets, axis=axis), value, logits, targets)
    derivative = jnp.zeros_like(value)
    if not isinstance(dlogits, SymbolicZero):
        surplus = jnp.sum(gap.q, axis=axis, keepdims=True) - 1
        derivative += jnp.sum((gap.difference + surplus * gap.p) * dlogits, axis=axis)
    if not isinstance(dtargets, SymbolicZero):
        derivative += jnp.sum(gap.d * dtargets, axis=axis)
    return value, derivative


def _gap_of_targets(logits, targets, axis):
    unused = targets == 0
    # A constant where unused: the slope of t log t at 0 is taken as 0.
    targets = jnp.where(unused, 0, targets)
    log_t = jnp.where(unused, -jnp.inf, jnp.log(jnp.where(unused, 1, targets)))
    log_p = -log_softmax_gap(logits, axis)
    return _gap(targets, jnp.exp(log_p), _difference(log_t, log_p), _only_second(log_t, log_p))


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def symmetric_kl_of_logits(first: Array, second: Array, axis: int) -> Array:
    """KL(p ‖ q) + KL(q ‖ p) = Σ (q − p) (log q − log p), each term ≥ 0; the axis gone.

    Its slope for the first is (p − q) + p (log(p/q) − KL(p ‖ q)).
    """
    return _symmetric_kl(first, second, _gap_of_logits(first, second, axis), axis)


@partial(symmetric_kl_of_logits.defjvp, symbolic_zeros=True)
def _symmetric_kl_of_logits_jvp(axis, primals, tangents):
    first, second = primals
    gap = _gap_of_logits(first, second, axis)
    value = _symmetric_kl(first, second, gap, axis)
    value = with_derivative_of(partial(symmetric_kl_of_logits, axis=axis), value, first, second)
    back = _gap(gap.p, gap.q, -gap.d, infinite=False)
    derivative = jnp.zeros_like(value)
    for one_way, other_way, tangent in ((gap, back, tangents[0]), (back, gap, tangents[1])):
        if not isinstance(tangent, SymbolicZero):
            mean = jnp.sum(other_way.term, axis=axis, keepdims=True)
            slope = one_way.difference + other_way.q * (other_way.d - _or_zero(mean))
            derivative += jnp.sum(slope * tangent, axis=axis)
    return value, derivative


def _symmetric_kl(first, second, gap, axis):
    infinite = (first == -jnp.inf) != (second == -jnp.inf)
    return jnp.sum(jnp.where(infinite, jnp.inf, -gap.difference * gap.d), axis=axis)


def kl_terms(log_q: Array, log_p: Array, d: Array) -> Array:
    """q log(q / p) − q + p ≥ 0 for each class, from d = log q − log p; −inf is probability 0."""
    return _gap(jnp.exp(log_q), jnp.exp(log_p), d, _only_second(log_q, log_p)).term


def _gap(q, p, d, infinite):
    """The term is q (d + e⁻ᵈ − 1) ≈ q d²/2: near 0 by its series, elsewhere as it stands.

    The series less d is e⁻ᵈ − 1, and q times it the difference p − q with all its digits.
    """
    near = (jnp.abs(d) < 1) & (q > 0) & (p > 0)
    small = jnp.where(near, d, 0)
    remainder = _exp_remainder(small)
    difference = jnp.where(near, q * (remainder - small), p - q)
    term = jnp.where(near, q * remainder, q * d + difference)
    # A select must come last: XLA on CPU takes plain arithmetic into the sum that follows, where
    # it runs several times as long as in a loop of its own.
    return Gap(q, p, d, jnp.where(infinite, jnp.inf, term), difference)


def _only_second(log_q, log_p):
    """Where the divergence of q from p is infinite."""
    return (log_p == -jnp.inf) & (log_q != -jnp.inf)


def _exp_remainder(d):
    """e⁻ᵈ − 1 + d for |d| ≤ 1 by its series, d²/2! − d³/3! + …

    Halved and over d², it is between e⁻¹ and e − 2 there. The first term left out, of twelve in
    float32 and nineteen in float64, is below 2/12! = 4e-9 and 2/19! = 2e-17 of the first kept.
    """
    last = 18 if d.dtype == jnp.float64 else 11
    factors = [1.0]  # 2 / n! from n = 2
    for n in range(3, last + 1):
        factors.append(factors[-1] / n)
    tail = jnp.full_like(d, factors.pop())
    while factors:
        tail = factors.pop() - d * tail
    return 0.5 * d * d * tail


# --- Jensen-Shannon ---------------------------------------------------------------------------


class MeanGap(NamedTuple):
    """Two probabilities of a class beside their mean m."""

    p: Array
    q: Array
    to_p: Array  # log p − log m
    to_q: Array
    term_p: Array  # p log(p / m) − p + m ≥ 0
    term_q: Array
    term: Array  # their sum


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def js_of_logits(first: Array, second: Array, axis: int) -> Array:
    """½ KL(p ‖ m) + ½ KL(q ‖ m), the axis gone; its slopes are ½ p (log(p/m) − KL(p ‖ m))."""
    return 0.5 * jnp.sum(_mean_gap(first, second, axis).term, axis=axis)


@partial(js_of_logits.defjvp, symbolic_zeros=True)
def _js_of_logits_jvp(axis, primals, tangents):
    first, second = primals
    gap = _mean_gap(first, second, axis)
    value = 0.5 * jnp.sum(gap.term, axis=axis)
    value = with_derivative_of(partial(js_of_logits, axis=axis), value, first, second)
    derivative = jnp.zeros_like(value)
    for side, term, to_side, tangent in (
        (gap.p, gap.term_p, gap.to_p, tangents[0]),
        (gap.q, gap.term_q, gap.to_q, tangents[1]),
    ):
        if not isinstance(tangent, SymbolicZero):
            slope = side * (to_side - jnp.sum(term, axis=axis, keepdims=True))
            derivative += 0.5 * jnp.sum(slope * tangent, axis=axis)
    return value, derivative


def _mean_gap(first, second, axis):
    log_p, log_q, difference = log_pair(first, second, axis)
    d = jnp.where(_only_second(log_p, log_q), _FAR, -difference)
    d = jnp.where(_only_second(log_q, log_p), -_FAR, d)
    p, q = jnp.exp(log_p), jnp.exp(log_q)
    rises = d > 0
    larger, smaller = jnp.where(rises, p, q), jnp.where(rises, q, p)
    # Not of abs(d), whose slope at 0 is 0 in place of one of its sides.
    fall = jnp.where(rises, -d, d)
    high = -_log_mean_exp(fall)  # log of the larger over the mean, in [0, log 2]
    low = high + fall
    above = larger * _exp_remainder(high)
    near = low > -1
    series = smaller * _exp_remainder(jnp.where(near, low, 0))
    plain = smaller * low + 0.5 * (larger - smaller)
    below = jnp.where(near, series, plain)
    # The selects come last, as in the terms of KL.
    return MeanGap(
        p,
        q,
        to_p=jnp.where(rises, high, low),
        to_q=jnp.where(rises, low, high),
        term_p=jnp.where(rises, above, below),
        term_q=jnp.where(rises, below, above),
        term=jnp.where(near, above + series, above + plain),
    )


def _log_mean_exp(x):
    """log ½(1 + eˣ) for x ≤ 0, with the digits of a small x: log1p of ½ expm1(x).

    As 2 artanh(s) = 2 (s + s³/3 + …), s = expm1(x) / (4 + expm1(x)), between −⅓ and 0: the first
    term left out is below 9⁻⁸/17 = 2e-9 of the first in float32, 9⁻¹⁶/33 = 2e-17 in float64.
    """
    near = x > -1
    small = jnp.where(near, x, 0)
    grown = jnp.where(near, small + _exp_remainder(-small), jnp.exp(x) - 1)
    s = grown / (4 + grown)
    terms = 16 if x.dtype == jnp.float64 else 8
    tail = jnp.zeros_like(s)
    for n in reversed(range(terms)):
        tail = 2 / (2 * n + 1) + s * s * tail
    return s * tail


# --- both -------------------------------------------------------------------------------------


def log_pair(model: Array, target: Array, axis: int) -> tuple[Array, Array, Array]:
    """log p, log q and log q − log p of two softmax distributions.

    Where all logits differ by nearly the same amount (within 1), the difference is taken from the
    logits, before either side is rounded: d = w − log1p(Σ p expm1(w)), w = target − model + const.
    """
    log_p, log_q = -log_softmax_gap(model, axis), -log_softmax_gap(target, axis)
    no_p, no_q = model == -jnp.inf, target == -jnp.inf
    apart, lost = _difference_and_rest(target, model)
    # The constant makes w zero where p leads, so that a tiny sum keeps its digits.
    lead, lead_lost = (lax.stop_gradient(at_leader(x, model, axis)) for x in (apart, lost))
    w = jnp.where(no_p, 0, (apart - lead) + (lost - lead_lost))
    w = jnp.where(no_p != no_q, jnp.inf, w)
    largest, least = (f(w, axis=axis, keepdims=True) for f in (jnp.max, jnp.min))
    near = (largest < 1) & (least > -1)
    shift = lax.cond(
        jnp.any(near),
        lambda: _shift(model, jnp.where(near, w, 0), near, axis),
        lambda: jnp.zeros_like(largest),
    )
    exact = jnp.where(near, w, 0) - shift
    return log_p, log_q, jnp.where(near & ~no_p, exact, _difference(log_q, log_p))


def _difference_and_rest(a, b):
    """a − b as it is rounded, and what the rounding took (Knuth's two-sum).

    Logits that are large beside their gaps, 10⁸ + [1, 2, 3], differ by the gaps in the second.
    """
    difference = a - b
    back = difference - a
    return difference, (a - (difference - back)) - (b + back)


def _shift(model, w, near, axis):
    """log Σ p eʷ of the rows that are near."""
    grown = jnp.exp(-log_softmax_gap(model, axis)) * (w + _exp_remainder(-w))  # p expm1(w)
    return jnp.log1p(jnp.sum(jnp.where(near, grown, 0), axis=axis, keepdims=True))


def _difference(log_q, log_p):
    """log q − log p, 0 where either is the logarithm of 0."""
    either = (log_q == -jnp.inf) | (log_p == -jnp.inf)
    return jnp.where(either, 0, log_q) - jnp.where(either, 0, log_p)
