"""Augmentation: images changed in ways that keep their class, anew in every training step.

Pure functions of a key, for use inside an objective, where the step's own key makes a resumed
run draw the same changes. Never for evaluation.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def random_shift(
    images: Float[Array, "batch height width channels"], key: jax.Array, *, pixels: int = 1
) -> Float[Array, "batch height width channels"]:
    """Moves every image by a random whole number of pixels in each direction, filling with 0.

    y[n, i, j] = x[n, i + aₙ, j + bₙ], zero outside, with aₙ and bₙ uniform on −pixels … pixels,
    each image its own. Use where a shifted image keeps its class and the background is 0.

    Args:
        images: `[N, H, W, C]`.
        key: a JAX key; the same key moves the same way.
        pixels: the longest move in each direction, at least 0 and below H and W.

    Returns:
        `[N, H, W, C]`, the dtype of images.

    Raises:
        ValueError: if images are not four-dimensional or pixels is out of range.

    Example:
        >>> image = jnp.zeros((1, 3, 3, 1)).at[0, 1, 1].set(1.0)
        >>> moved = random_shift(image, jax.random.key(0))
        >>> float(moved.sum())  # from the centre, a move by one pixel stays inside
        1.0
    """
    if images.ndim != 4:
        raise ValueError(f"images must have shape (N, H, W, C), got {images.shape}")
    count, height, width, channels = images.shape
    if not 0 <= pixels < min(height, width):
        raise ValueError(
            f"pixels must be at least 0 and below height and width, {height} and {width}, "
            f"got {pixels}"
        )
    padded = jnp.pad(images, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)))
    moves = jax.random.randint(key, (count, 2), 0, 2 * pixels + 1)

    def cut(image: jax.Array, move: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (*move, 0), (height, width, channels))

    return jax.vmap(cut)(padded, moves)
