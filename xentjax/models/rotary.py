"""Rotary positions: queries and keys turned by an angle that grows with their place.

A product of a query at t and a key at s then depends on t − s alone. There is nothing to learn.
The cosines and sines are computed once a forward pass and shared by all layers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Integer


class Turns(NamedTuple):
    """The angles of some positions.

    Attributes:
        cos: `[T, F/2]`, float32.
        sin: `[T, F/2]`, float32.
    """

    cos: jax.Array
    sin: jax.Array


def turns(positions: Integer[Array, " time"], *, features: int, base: float = 10_000.0) -> Turns:
    """Returns the angles t·base^(−2i/F) by which `rotate` turns, as cosines and sines.

    Args:
        positions: t, `[T]`. An angle is exact to t·6·10⁻⁸.
        features: F, features a head; even.
        base: the longest wavelength, over 2π, in positions.

    Returns:
        The table for `rotate`.

    Raises:
        ValueError: if F is odd.

    Example:
        >>> table = turns(jnp.arange(2), features=2)
        >>> [round(float(value[1, 0]), 3) for value in table]  # cos 1, sin 1
        [0.54, 0.841]

    Reference:
        J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
    """
    if features % 2:
        raise ValueError(f"features must be even (rotary positions turn pairs), got {features}")
    half = features // 2
    frequency = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = positions.astype(jnp.float32)[:, None] * frequency[None]
    # Kept apart from its users: XLA on CPU may fuse a cosine into the broadcast that reads it and
    # then computes it anew for every example and head, twice attention's own time.
    return Turns(*lax.optimization_barrier((jnp.cos(angle), jnp.sin(angle))))


def rotate(
    x: Float[Array, "batch time heads features"], table: Turns
) -> Float[Array, "batch time heads features"]:
    """Turns each pair of features at position t by the angle of t.

    (a, b) → (a cos θ − b sin θ, b cos θ + a sin θ), where feature i of the first half is paired
    with feature i of the second.

    Args:
        x: queries or keys, `[B, T, H, F]` with F even.
        table: `turns(positions, features=F)` for the T positions.

    Returns:
        The turned array, of the same shape and dtype.

    Raises:
        ValueError: if the table was made for other positions or features.

    Example:
        >>> x = jnp.array([1.0, 0.0]).reshape(1, 1, 1, 2).repeat(2, axis=1)
        >>> turned = rotate(x, turns(jnp.arange(2), features=2))
        >>> [round(value, 3) for value in turned[0, 1, 0].tolist()]  # cos 1, sin 1
        [0.54, 0.841]
    """
    time, features = x.shape[1], x.shape[3]
    if table.cos.shape != (time, features // 2) or features % 2:
        raise ValueError(
            f"table must have shape (T, F/2) for x of shape (B, T, H, F) = {x.shape}, got "
            f"{table.cos.shape}; make it by turns(positions, features={features})"
        )
    cos = table.cos.astype(x.dtype)[None, :, None]
    sin = table.sin.astype(x.dtype)[None, :, None]
    a, b = lax.split(x, (features // 2, features // 2), axis=3)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
