"""Softmax with a deformed exponential: what entmax, sparsemax and the tempered softmax share.

    exp_β(v) = (1 + βv)₊^(1/β),   exp at β = 0;      p = exp_β(x − max x − λ),   Σ p = 1

With 0 < β ≤ 1 small probabilities become exactly 0 (β = α − 1 for entmax, 1 for sparsemax); with
β < 0 the tails are heavy (β = 1 − t for the tempered softmax). λ is what log-sum-exp − max is to
the softmax: 0 when one class takes all, log C at equal logits and β = 0.

λ is found by Newton's method on S^β = 1, S = Σ p. As a function of λ, S^β is a norm of
(1 + β(x − max x − λ))₊ for β > 0, convex and falling, and a mean of negative order for β < 0,
concave and rising. From λ = 0, where S ≥ 1, Newton's steps therefore never pass the root, and each
divides (distance of S^β from 1) · (slope) by four or more: from C to the last bit of float64 takes
26 + log₂ C steps at the very worst and six or so in practice, for every β. A step costs a pass
over the logits, and no sort.
"""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike
from jaxtyping import Array

from xentjax.losses.log_partition import top_logit

_MOST_STEPS = 64
_LARGEST_POWER = 8
# Below this |z|, log1p(z)/z and (eᶻ − 1)/z come from their series.
_SMALL = 1 / 16


class Rate(NamedTuple):
    """β, and 1/β where it is a small whole number that is known while tracing."""

    value: Array
    power: int | None


def whole_power(rate: ArrayLike) -> int | None:
    """1/β when β is a Python number and 1/β is whole: powers then take no logarithm."""
    if not isinstance(rate, int | float) or abs(rate) * (_LARGEST_POWER + 1) < 1:
        return None
    power = round(1 / rate)
    return power if abs(power * rate - 1) < 1e-12 else None


def below_top(logits: Array) -> Array:
    """x − max x over the last axis, exactly 0 at the top; +inf counts as the top."""
    top = top_logit(logits, -1)
    # The idle zero keeps a compiler from fusing a caller's x · c into it: see `unit_exp`.
    return jnp.where(logits > top, 0, (logits + 0 * top) - top)


class Exps(NamedTuple):
    """exp_β(v) for each class, and what its derivative and its powers are made of."""

    shares: Array  # p = exp_β(v)
    slopes: Array  # ∂p/∂v = p^(1−β)
    bases: Array  # 1 + βv = p^β, 1 where p = 0
    log_shares: Array  # log p, 0 where p = 0
    inside: Array  # p > 0


def deformed_exp(v: Array, rate: Rate) -> Exps:
    """exp_β of v ≤ 0; −inf gives 0 with slope 0."""
    beta, power = rate
    # Written so that NaN, a row whose classes are all masked, counts as inside and is seen.
    inside = ~((1 + beta * v <= 0) | (v == -jnp.inf))
    kept = jnp.where(inside, v, 0)
    bases = 1 + beta * kept
    log_shares = kept * log1p_ratio(beta * kept)
    if power is None:
        shares = jnp.exp(log_shares)
        slopes = shares / bases
    else:
        shares, slopes = lax.integer_pow(bases, power), lax.integer_pow(bases, power - 1)
    shares, slopes = (jnp.where(inside, x, 0) for x in (shares, slopes))
    return Exps(shares, slopes, bases, log_shares, inside)


def log1p_ratio(z: Array) -> Array:
    """log(1 + z) / z, smooth through 0."""
    near = jnp.abs(z) < _SMALL
    small, large = jnp.where(near, z, 0), jnp.where(near, 1, z)
    terms = _terms(z.dtype, _SMALL)
    series = jnp.full_like(small, 1 / terms)
    for n in range(terms - 1, 0, -1):
        series = 1 / n - small * series
    return jnp.where(near, series, jnp.log1p(large) / large)


def expm1_ratio(z: Array) -> Array:
    """(eᶻ − 1) / z, smooth through 0."""
    near = jnp.abs(z) < _SMALL
    small, large = jnp.where(near, z, 0), jnp.where(near, 1, z)
    series = jnp.ones_like(small)
    for n in range(_terms(z.dtype, _SMALL), 1, -1):
        series = 1 + small * series / n
    return jnp.where(near, series, jnp.expm1(large) / large)


def _terms(dtype, ratio):
    """How many terms of a power series in at most `ratio` it takes to reach the rounding."""
    return math.ceil(math.log(float(jnp.finfo(dtype).eps), ratio))


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _log_normalizer(v, beta, power):
    start = _solve(lax.stop_gradient(v), lax.stop_gradient(beta), power)
    # The last two steps are in the open: where a scan that is differentiated twice drops the rule
    # below, their own derivatives are right to the third order.
    for _ in range(2):
        exps = deformed_exp(v - start, Rate(beta, power))
        total, slope = _open_sums(exps.shares, exps.slopes, power)
        start = start + (total - 1) / slope
    return start


@partial(_log_normalizer.defjvp, symbolic_zeros=True)
def _log_normalizer_jvp(power, primals, tangents):
    (v, beta), (dv, dbeta) = primals, tangents
    solution = _log_normalizer(v, beta, power)
    depth = v - solution
    exps = deformed_exp(depth, Rate(beta, power))
    moved = jnp.zeros_like(solution)
    if not isinstance(dv, SymbolicZero):
        moved += jnp.sum(exps.slopes * dv, axis=-1, keepdims=True)
    if not isinstance(dbeta, SymbolicZero):
        # The whole power is known only for a number, whose tangent is zero.
        shares_at = lambda b: deformed_exp(depth, Rate(b, None)).shares  # noqa: E731
        _, dshares = jax.jvp(shares_at, (beta,), (dbeta,))
        moved += jnp.sum(dshares, axis=-1, keepdims=True)
    return solution, moved / jnp.sum(exps.slopes, axis=-1, keepdims=True)


def log_normalizer(v: Array, rate: Rate) -> Array:
    """λ with Σ exp_β(v − λ) = 1 over the last axis, for v ≤ 0 with 0 at the top; [..., 1]."""
    return _log_normalizer(v, rate.value, rate.power)


def _solve(v, beta, power):
    """λ to the square root of the rounding, which two more steps make the rounding."""
    info = jnp.finfo(v.dtype)
    tolerance = float(info.eps) ** 0.5
    beta = jnp.where(jnp.abs(beta) < 1e-20, 1e-20, beta)  # from here to 0 nothing changes

    def advance(at):
        # No derivative is taken here, so a maximum does what two selects do in `deformed_exp`.
        if power is None:
            excess = jnp.maximum(beta * (v - at), -1)
            shares = jnp.exp(jnp.log1p(excess) / beta)
            slopes = shares / jnp.maximum(1 + excess, info.tiny)
        else:
            bases = jnp.maximum((1 - beta * at) + beta * v, 0)
            shares = lax.integer_pow(bases, power)
            slopes = (
                (bases > 0).astype(v.dtype) if power == 1 else lax.integer_pow(bases, power - 1)
            )
        total, slope = _sums(shares, slopes)
        # (S^β − 1) / −(S^β)′ by log S alone.
        return total * -jnp.expm1(-beta * jnp.log(total)) / (beta * slope)

    def body(state):
        count, at, _ = state
        step = advance(at)
        return count + 1, at + step, jnp.any(step > tolerance * (1 + at))

    first = advance(jnp.zeros_like(v[..., :1]))
    state = (jnp.zeros((), jnp.int32), first, jnp.any(first > tolerance))
    return lax.while_loop(lambda s: s[2] & (s[0] < _MOST_STEPS), body, state)[1]


def _open_sums(shares, slopes, power):
    """`_sums` where derivatives are taken."""
    if power == 1:
        # Slopes of 0 and 1 have no tangent, and JAX's derivative of one reduction of two arrays
        # fails where only one of them moves.
        return tuple(jnp.sum(x, axis=-1, keepdims=True) for x in (shares, slopes))
    return _sums(shares, slopes)


def _sums(first, second):
    """Both sums over the last axis in one pass: two sums would write their common part out."""
    zero = jnp.zeros((), first.dtype)
    add = lambda a, b: (a[0] + b[0], a[1] + b[1])  # noqa: E731
    sums = lax.reduce((first, second), (zero, zero), add, (first.ndim - 1,))
    return tuple(jnp.expand_dims(x, -1) for x in sums)


# --- what losses on these probabilities are made of ------------------------------------------


def is_label(x: Array, labels: Array) -> Array:
    """Where a class of [*batch, C] is the row's label."""
    return lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1) == labels[..., None]


def tsallis_divergence(rest: Array, spread: Array, gap: Array, order: Array) -> Array:
    r"""The Bregman divergence of a label from p, for the generator p^(1+c) / (c (1 + c)).

        l = [Σ_{j≠y} p_j^(1+c) + (g − r) + c r g] / (1 + c),   r = 1 − p_y,  g = (1 − p_y^c) / c

    Each term is ≥ 0. g − r, which cancels for a likely label, is there the series of
    (1 − (1 − r)^c) / c − r in r. At c = 0 this is −log p_y.

    Args:
      rest: r as the sum over the other classes, [*batch].
      spread: Σ_{j≠y} p_j^(1+c).
      gap: g, in any way that is right for r ≥ ¼.
      order: c in [0, 1].
    """
    likely = rest < 0.25
    small = jnp.where(likely, rest, 0)
    series = jnp.ones_like(small)
    for k in range(_terms(rest.dtype, 0.25) + 1, 1, -1):
        series = 1 + small * series * (k - order) / (k + 1)
    excess = jnp.where(likely, 0.5 * (1 - order) * small * small * series, gap - rest)
    bounded = jnp.where(jnp.isinf(excess), 0, rest + excess)
    return (spread + excess + order * rest * bounded) / (1 + order)
