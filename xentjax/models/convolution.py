"""Two-dimensional convolution that is fast where a training step is scanned, on CPU too.

XLA's CPU backend runs the gradient of a convolution inside a loop by a naive kernel, 30 to 60
times slower than outside (jax-ml/jax#12868), and a training step is a loop body. There a
convolution is computed as matrix products of shifted images; elsewhere by the library.
"""

import functools

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


def convolve(
    x: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int = 1,
) -> Float[Array, "batch new_height new_width features"]:
    """Correlates images with a kernel of odd size, padded by zeros so that stride 1 keeps the size.

    y[n, i, j, d] = Σ_{a, b, c} x[n, s·i + a − h, s·j + b − h, c] · kernel[a, b, c, d] with
    h = (k − 1)/2.

    On CPU k matrix products of rows of k neighbouring pixels, so a k-fold copy of x; on other
    platforms `jax.lax.conv_general_dilated`. The same numbers up to rounding.

    Args:
        x: images `[N, H, W, C]`.
        kernel: `[k, k', C, D]`, k and k' odd.
        stride: s, at least 1.

    Returns:
        `[N, ⌈H/s⌉, ⌈W/s⌉, D]`.

    Raises:
        ValueError: if a size of the kernel is even or stride is below 1.

    Example:
        >>> convolve(jnp.ones((1, 3, 3, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].tolist()
        [[4.0, 6.0, 4.0], [6.0, 9.0, 6.0], [4.0, 6.0, 4.0]]
    """
    if kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0:
        raise ValueError(f"kernel must have odd height and width, got shape {kernel.shape}")
    if stride < 1:
        raise ValueError(f"stride must be at least 1, got {stride}")
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=functools.partial(_by_products, stride=stride),
        default=functools.partial(_by_library, stride=stride),
    )


class Convolution(nnx.Module):
    """`convolve` with a kernel of its own and no bias, for use before a norm.

    He's initial variance, 2/(k²·C), keeps the scale of activations through relu.

    Attributes:
        kernel: `[k, k, C, D]`.

    Example:
        >>> layer = Convolution(1, 16, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((2, 8, 8, 1))).shape
        (2, 8, 8, 16)

    Reference:
        K. He, X. Zhang, S. Ren and J. Sun, "Delving Deep into Rectifiers", 2015.
    """

    def __init__(
        self, channels: int, features: int, *, size: int = 3, stride: int = 1, rngs: nnx.Rngs
    ) -> None:
        """Draws the kernel.

        Args:
            channels: C, read from each pixel.
            features: D, written to each pixel.
            size: k, odd.
            stride: s; the image becomes s times smaller.
            rngs: the source of the kernel.
        """
        shape = (size, size, channels, features)
        self.kernel = nnx.Param(nnx.initializers.he_normal()(rngs.params(), shape))
        self.stride = stride

    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch new_height new_width features"]:
        """Returns the convolved images."""
        return convolve(x, self.kernel[...], stride=self.stride)


def _by_library(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    rows, columns = kernel.shape[:2]
    # Not "SAME", which pads a strided image on one side only.
    padding = ((rows // 2, rows // 2), (columns // 2, columns // 2))
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _by_products(x: jax.Array, kernel: jax.Array, *, stride: int) -> jax.Array:
    """Lays the pixels of a row's window side by side, then adds one product for each of its rows.

    One product for the whole window would copy x k² times; one for each pixel would have only C
    terms in its sums.
    """
    rows, columns, channels, features = kernel.shape
    padded = jnp.pad(x, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0)))
    height, width = x.shape[1], x.shape[2]
    beside = jnp.concatenate(
        [padded[:, :, start : start + width : stride] for start in range(columns)], axis=-1
    )
    windows = [beside[:, start : start + height : stride] for start in range(rows)]
    products = [
        window.reshape(-1, columns * channels) @ kernel[row].reshape(-1, features)
        for row, window in enumerate(windows)
    ]
    return sum(products[1:], products[0]).reshape(*windows[0].shape[:3], features)
