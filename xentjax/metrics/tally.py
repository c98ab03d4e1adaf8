"""Counts and sums that stay exact: two floats that together hold 48 bits, or 106 in double.

A float32 counter stops counting at 2²⁴ and an int32 one wraps at 2³¹, both in silence. A `Tally`
is exact for whole numbers up to 2⁴⁸ and keeps any sum to about 48 bits, without 64-bit mode.
Whatever a metric accumulates is a tally, so parts merged in any order agree to a rounding. Within
a batch, sums of integers, sums by cell and running sums are exact too; only a plain sum of floats
rounds as `jnp.sum` does, in float32 or wider.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num, Shaped

from xentjax.losses.reduction import times

_compiled = partial(jax.jit, inline=True)


class Tally(NamedTuple):
    """The unevaluated sum `high + low`, |low| at most half a unit in the last place of `high`."""

    high: Array
    low: Array


def zeros(shape: tuple[int, ...] = ()) -> Tally:
    """A tally of nothing; float32, or float64 in 64-bit mode."""
    nothing = jnp.zeros(shape, jnp.result_type(float))
    return Tally(nothing, nothing)


def of(amount: Num[ArrayLike, "..."]) -> Tally:
    """A tally of one amount: a whole number in any integer dtype exactly, a float as it is."""
    amount = jnp.asarray(amount)
    dtype = jnp.result_type(float)
    if jnp.issubdtype(amount.dtype, jnp.floating):
        return Tally(amount.astype(dtype), jnp.zeros(amount.shape, dtype))
    if amount.dtype == jnp.bool_:
        amount = amount.astype(jnp.int32)
    # A float32 holds 24 bits: the upper and the lower half of 32 are exact one by one.
    low = amount & 0xFFFF
    return _renormalized((amount - low).astype(dtype), low.astype(dtype))


@_compiled
def merge(a: Tally, b: Tally) -> Tally:
    """The sum of two tallies."""
    high, error = _two_sum(a.high, b.high)
    return _renormalized(high, error + (a.low + b.low))


def add(tally: Tally, amount: Num[ArrayLike, "..."]) -> Tally:
    """The tally with an amount of its shape added."""
    return merge(tally, of(amount))


def add_sum(
    tally: Tally,
    amounts: Num[Array, "*batch"] | Bool[Array, "*batch"],
    *,
    where: Shaped[Array, "*batch"] | None = None,
    weights: Num[Array, "*batch"] | None = None,
) -> Tally:
    """A scalar tally with Σ mᵢ wᵢ amountᵢ added; what is masked does not count, NaN or not.

    Nor does an infinite loss that weighs 0. Integers and booleans without weights sum exactly.
    """
    if where is not None:
        amounts = jnp.where(where, amounts, 0)
    if weights is not None:
        weights = weights if where is None else jnp.where(where, weights, 0)
        amounts = times(weights, amounts)
    return merge(tally, total(amounts))


def total(
    amounts: Num[Array, "..."] | Bool[Array, "..."], axis: int | tuple[int, ...] | None = None
) -> Tally:
    """The sum of one batch: integers exactly, floats as `jnp.sum` rounds in at least float32."""
    if jnp.issubdtype(amounts.dtype, jnp.floating):
        # Sums in 16 bits would overflow at 65504, or keep two digits.
        dtype = jnp.promote_types(amounts.dtype, jnp.result_type(float))
        return of(jnp.sum(amounts.astype(dtype), axis=axis))
    if amounts.dtype == jnp.bool_:
        return of(jnp.sum(amounts, axis=axis, dtype=jnp.int32))
    pieces, exponents = _integer_pieces(amounts)
    sums = [jnp.sum(piece, axis=axis, dtype=piece.dtype) for piece in pieces]
    return _from_pieces(jnp.stack(sums, -1), exponents)


@partial(_compiled, static_argnames="size")
def total_at(
    amounts: Num[Array, " batch"] | Bool[Array, " batch"], cells: Num[Array, " batch"], size: int
) -> Tally:
    """The sums of one batch by cell [size], the same whatever the order of the examples.

    Booleans are counted. Numbers are split into whole pieces first: integers would wrap, and
    scattering floats adds them one by one: 10⁶ weights of 0.1 sum to 1 % too much in float32, and
    on a GPU to another number each time. What is below 2⁻⁴⁸ of the largest float is dropped
    (2⁻¹⁰⁶ in double).
    """
    if amounts.dtype == jnp.bool_:
        return of(jnp.zeros(size, jnp.int32).at[cells].add(amounts.astype(jnp.int32)))
    pieces, exponents = _whole_pieces(amounts)
    sums = jnp.zeros((size, pieces.shape[-1]), pieces.dtype).at[cells].add(pieces)
    return nan_unless(_from_pieces(sums, exponents), jnp.all(jnp.isfinite(amounts)))


@_compiled
def running(amounts: Num[Array, " batch"] | Bool[Array, " batch"]) -> Tally:
    """The sums of one batch up to each example, as exact as those of `total_at`."""
    if amounts.dtype == jnp.bool_:
        return of(jnp.cumsum(amounts, dtype=jnp.int32))
    pieces, exponents = _whole_pieces(amounts)
    sums = _from_pieces(jnp.cumsum(pieces, axis=0), exponents)
    return nan_unless(sums, jnp.all(jnp.isfinite(amounts)))


@_compiled
def nan_unless(tally: Tally, good: Array) -> Tally:
    """The tally, NaN from here on if what was counted cannot be trusted."""
    return Tally(jnp.where(good, tally.high, jnp.nan), jnp.where(good, tally.low, 0))


def value(tally: Tally) -> Float[Array, "..."]:
    """The sum as one float, rounded once."""
    return tally.high + tally.low


def exact(tally: Tally) -> np.ndarray | np.float64:
    """The sum in float64 on the host, which loses nothing below 2⁵³; not under jit."""
    return np.asarray(tally.high, np.float64) + np.asarray(tally.low, np.float64)


def _whole_pieces(amounts: Array) -> tuple[Array, Sequence[Array | int]]:
    """Numbers [N] as Σ_p pieces[:, p] · 2^exponents[p], with whole pieces whose sums fit an int."""
    if jnp.issubdtype(amounts.dtype, jnp.floating):
        pieces, exponents = _float_pieces(amounts)
    else:
        pieces, exponents = _integer_pieces(amounts)
    return jnp.stack(pieces, -1), exponents


def _integer_pieces(amounts: Array) -> tuple[list[Array], list[int]]:
    """Integers of any shape as whole pieces, exactly; only the top one has a sign."""
    dtype = jnp.int64 if amounts.dtype.itemsize == 8 else jnp.int32
    # As for floats; the lower pieces are below 2^bits, the top one at least −2^bits.
    bits = jnp.iinfo(dtype).bits - 2 - amounts.size.bit_length()
    if bits < 1:
        raise ValueError(f"a batch of {amounts.size} integers is too large for one sum; split it")
    exponents = list(range(0, jnp.iinfo(amounts.dtype).bits, bits))
    pieces = [amounts >> k if k else amounts for k in exponents]
    lower = [piece & (2**bits - 1) for piece in pieces[:-1]]
    return [piece.astype(dtype) for piece in (*lower, pieces[-1])], exponents


def _float_pieces(amounts: Array) -> tuple[list[Array], list[Array]]:
    double = jnp.result_type(float) == jnp.float64
    # |piece| ≤ 2^bits and N of them must stay below 2³¹ or 2⁶³.
    bits = (62 if double else 30) - amounts.size.bit_length()
    if bits < 4:
        raise ValueError(f"a batch of {amounts.size} weights is too large for one sum; split it")
    count = -(-(106 if double else 48) // bits)
    finite = jnp.where(jnp.isfinite(amounts), amounts, 0)
    _, exponent = jnp.frexp(jnp.max(jnp.abs(finite), initial=0))
    rest = jnp.ldexp(finite, -exponent)  # in [−1, 1]; powers of two round nothing
    pieces, exponents = [], []
    for i in range(1, count + 1):
        rest = rest * 2.0**bits
        piece = jnp.round(rest)
        rest = rest - piece
        pieces.append(piece.astype(jnp.int64 if double else jnp.int32))
        exponents.append(exponent - i * bits)
    return pieces, exponents


def _from_pieces(sums: Array, exponents: Sequence[Array | int]) -> Tally:
    """Sums of pieces [..., P] as one tally."""
    whole = zeros(sums.shape[:-1])
    for i, exponent in enumerate(exponents):
        part = of(sums[..., i])
        whole = merge(whole, Tally(*(jnp.ldexp(x, exponent) for x in part)))
    return whole


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """a + b as it rounds, and what the rounding left out (Knuth)."""
    rounded = a + b
    from_b = rounded - a
    left = (a - (rounded - from_b)) + (b - from_b)
    # An infinite sum is infinite and not NaN, which inf − inf would make of the rest.
    return rounded, jnp.where(jnp.isfinite(rounded), left, 0)


def _renormalized(high: Array, low: Array) -> Tally:
    rounded = high + low
    left = low - (rounded - high)
    return Tally(rounded, jnp.where(jnp.isfinite(rounded), left, 0))
