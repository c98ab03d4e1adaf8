"""Rotary positions: queries and keys turned by an angle that grows with their place.

A product of a query at t and a key at s then depends on t − s alone. There is nothing to learn.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def rotate(
    x: Float[Array, "batch time heads features"], *, base: float = 10_000.0
) -> Float[Array, "batch time heads features"]:
    """Turns each pair of features at position t by the angle t·base^(−2i/F).

    (a, b) → (a cos θ − b sin θ, b cos θ + a sin θ), where feature i of the first half is paired
    with feature i of the second.

    Args:
        x: queries or keys, `[B, T, H, F]` with F even.
        base: the longest wavelength, over 2π, in positions.

    Returns:
        The turned array, of the same shape and dtype.

    Raises:
        ValueError: if F is odd.

    Example:
        >>> x = jnp.array([1.0, 0.0]).reshape(1, 1, 1, 2).repeat(2, axis=1)
        >>> [round(value, 3) for value in rotate(x)[0, 1, 0].tolist()]  # cos 1, sin 1
        [0.54, 0.841]

    Reference:
        J. Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021.
    """
    time, features = x.shape[1], x.shape[3]
    if features % 2:
        raise ValueError(f"x must have an even number of features a head, got shape {x.shape}")
    half = features // 2
    frequency = base ** (-jnp.arange(half, dtype=jnp.float32) / half)
    angle = jnp.arange(time, dtype=jnp.float32)[:, None] * frequency[None]
    cos = jnp.cos(angle).astype(x.dtype)[None, :, None]
    sin = jnp.sin(angle).astype(x.dtype)[None, :, None]
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)
