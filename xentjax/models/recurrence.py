"""Recurrent layers, LSTM and GRU: `[T, B, F]` to `[T, B, H]`, with padding that is not read.

Building blocks of `RNN`, for a sequence model of one's own. Time comes first, as the scan wants
it. Products with the inputs are taken at once for all times, as `[T·B, F] @ [F, k·H]`; a cell
called step by step would take T small products in their place.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float


class LSTMLayer(nnx.Module):
    """A layer of long short-term memory.

    i, f, g, o = split(x W + h U + b); c ← σ(f)·c + σ(i)·tanh(g); h ← σ(o)·tanh(c), with h = c = 0
    at first. The order of the gates is PyTorch's, whose two biases are one here. b is 0 at first,
    1 for the forget gate, so that a new layer remembers.

    Attributes:
        input_kernel: W, `[F, 4·H]`.
        recurrent_kernel: U, `[H, 4·H]`, four orthogonal matrices.
        bias: b, `[4·H]`.

    Example:
        >>> layer = LSTMLayer(3, 5, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((7, 2, 3)), jnp.ones((7, 2), bool)).shape
        (7, 2, 5)

    Reference:
        S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997; R. Jozefowicz, W. Zaremba
        and I. Sutskever, "An Empirical Exploration of Recurrent Network Architectures", 2015 (the
        forget gate's bias).
    """

    def __init__(self, features: int, width: int, *, rngs: nnx.Rngs) -> None:
        """Draws the weights for inputs of `features` F and `width` H hidden units."""
        self.width = width
        self.input_kernel = nnx.Param(_lecun(rngs, (features, 4 * width)))
        self.recurrent_kernel = nnx.Param(_orthogonal(rngs, width, gates=4))
        self.bias = nnx.Param(jnp.zeros(4 * width).at[width : 2 * width].set(1.0))

    def __call__(
        self,
        x: Float[Array, "time batch features"],
        inside: Bool[Array, "time batch"],
        *,
        reverse: bool = False,
    ) -> Float[Array, "time batch width"]:
        """Runs over time.

        Args:
            x: `[T, B, F]`.
            inside: `[T, B]`, False where the state is held and the output 0: padding, before or
                after a sequence, changes nothing.
            reverse: read from the last time to the first; the outputs keep their places.

        Returns:
            h after every time, `[T, B, H]`.
        """
        kernel = self.recurrent_kernel[...]

        def advance(carry: tuple[jax.Array, jax.Array], read: jax.Array) -> Any:
            c, h = carry
            i, f, g, o = jnp.split(read + h @ kernel, 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return c, jax.nn.sigmoid(o) * jnp.tanh(c)

        read = _project(x, self.input_kernel[...], self.bias[...])
        start = jnp.zeros((x.shape[1], self.width), read.dtype)
        return _recur(advance, (start, start), read, inside, reverse=reverse)


class GRULayer(nnx.Module):
    """A layer of gated recurrent units.

    r, z = σ(split(x W + h U + b)); n = tanh(x Wₙ + bₙ + r·(h Uₙ + aₙ)); h ← (1 − z)·n + z·h, with
    h = 0 at first: the variant of cuDNN and PyTorch, which resets after the product, with
    PyTorch's order of the gates and the two biases of r and of z each one here.

    Attributes:
        input_kernel: W, `[F, 3·H]`.
        recurrent_kernel: U, `[H, 3·H]`, three orthogonal matrices.
        bias: b, `[3·H]`.
        reset_bias: aₙ, `[H]`.

    Example:
        >>> layer = GRULayer(3, 5, rngs=nnx.Rngs(0))
        >>> layer(jnp.ones((7, 2, 3)), jnp.ones((7, 2), bool)).shape
        (7, 2, 5)

    Reference:
        K. Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.
    """

    def __init__(self, features: int, width: int, *, rngs: nnx.Rngs) -> None:
        """Draws the weights for inputs of `features` F and `width` H hidden units."""
        self.width = width
        self.input_kernel = nnx.Param(_lecun(rngs, (features, 3 * width)))
        self.recurrent_kernel = nnx.Param(_orthogonal(rngs, width, gates=3))
        self.bias = nnx.Param(jnp.zeros(3 * width))
        self.reset_bias = nnx.Param(jnp.zeros(width))

    def __call__(
        self,
        x: Float[Array, "time batch features"],
        inside: Bool[Array, "time batch"],
        *,
        reverse: bool = False,
    ) -> Float[Array, "time batch width"]:
        """Runs over time.

        Args:
            x: `[T, B, F]`.
            inside: `[T, B]`, False where the state is held and the output 0: padding, before or
                after a sequence, changes nothing.
            reverse: read from the last time to the first; the outputs keep their places.

        Returns:
            h after every time, `[T, B, H]`.
        """
        kernel, width = self.recurrent_kernel[...], self.width
        reset_bias = self.reset_bias[...][None, :]

        def advance(carry: tuple[jax.Array], read: jax.Array) -> Any:
            (h,) = carry
            product = h @ kernel
            gates = jax.nn.sigmoid(read[:, : 2 * width] + product[:, : 2 * width])
            r, z = jnp.split(gates, 2, axis=-1)
            n = jnp.tanh(read[:, 2 * width :] + r * (product[:, 2 * width :] + reset_bias))
            return ((1 - z) * n + z * h,)

        read = _project(x, self.input_kernel[...], self.bias[...])
        start = jnp.zeros((x.shape[1], width), read.dtype)
        return _recur(advance, (start,), read, inside, reverse=reverse)


def _recur(
    advance: Callable[[Any, jax.Array], Any],
    start: Any,
    read: jax.Array,
    inside: jax.Array,
    *,
    reverse: bool,
) -> jax.Array:
    """Runs a cell over time, from the end if `reverse`, and returns its last carry's course.

    Where `inside` is False the carry is held, so that padding on either side of a sequence
    changes nothing, and the output is 0.
    """

    def step(carry: Any, now: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        read, inside = now
        keep = inside[:, None]
        new = tuple(
            jnp.where(keep, after, before)
            for after, before in zip(advance(carry, read), carry, strict=True)
        )
        return new, jnp.where(keep, new[-1], 0)

    return jax.lax.scan(step, start, (read, inside), reverse=reverse)[1]


def _project(x: jax.Array, kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """X W + b for all times, in two dimensions."""
    rows = x.reshape(-1, x.shape[-1]) @ kernel + bias[None, :]
    return rows.reshape(*x.shape[:2], -1)


def _lecun(rngs: nnx.Rngs, shape: tuple[int, int]) -> jax.Array:
    return nnx.initializers.lecun_normal()(rngs.params(), shape)


def _orthogonal(rngs: nnx.Rngs, width: int, *, gates: int) -> jax.Array:
    # Orthogonal gate by gate: of a wide [H, k·H] matrix only the rows would be.
    init = nnx.initializers.orthogonal()
    return jnp.concatenate([init(rngs.params(), (width, width)) for _ in range(gates)], axis=1)
