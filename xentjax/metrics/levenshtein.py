"""The Levenshtein distance of token sequences, in parallel over a batch."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike
from jaxtyping import Array, Int, Shaped

from xentjax.losses.reduction import real_array
from xentjax.metrics.examples import read_indices, require_shape


def edit_distance(
    a: Shaped[ArrayLike, "..."],
    b: Shaped[ArrayLike, "..."],
    a_lengths: Shaped[ArrayLike, "..."] | None = None,
    b_lengths: Shaped[ArrayLike, "..."] | None = None,
) -> Int[Array, "..."]:
    """The least number of insertions, deletions and substitutions that turn `a` into `b`.

    One row of the table follows another: S steps of T operations each, all sequences at once.

    Args:
      a: integer tokens [*batch, S], padded with anything.
      b: integer tokens [*batch, T].
      a_lengths: integers [*batch] in [0, S], how many tokens of `a` count; None is all.
      b_lengths: integers [*batch] in [0, T].

    Returns:
      int32 [*batch]; −1 under jit where a length is out of range.

    Raises:
      TypeError: tokens or lengths are not integers.
      ValueError: shapes do not fit, 64-bit tokens do not fit 32 bits outside 64-bit mode, or
        (eager calls) a length is out of range.

    Example:
      >>> import numpy as np
      >>> def codes(text): return np.array([ord(letter) for letter in text])
      >>> print(edit_distance(codes("kitten"), codes("sitting")))  # k→s, e→i, +g
      3

    Reference:
      V. I. Levenshtein, Binary Codes Capable of Correcting Deletions, Insertions and Reversals,
      1966.

    See Also:
      `ErrorRate`, the metric made of it.
    """
    a, b = _tokens(a, "a"), _tokens(b, "b")
    require_shape(b, (*a.shape[:-1], *b.shape[-1:]), "b", f"a of shape {a.shape}")
    a_lengths, a_good = read_lengths(a_lengths, a, "a_lengths", None)
    b_lengths, b_good = read_lengths(b_lengths, b, "b_lengths", None)
    return jnp.where(a_good & b_good, _distances(a, b, a_lengths, b_lengths), -1)


def read_lengths(
    lengths: Shaped[ArrayLike, "..."] | None,
    tokens: Shaped[ArrayLike, "..."],
    name: str,
    keep: Array | None,
) -> tuple[Array, Array]:
    """How many tokens of each sequence count [*batch], 0 where masked, and whether they fit."""
    *batch, most = jnp.shape(tokens)
    shape = tuple(batch)
    if lengths is None:
        lengths = jnp.full(shape, most, jnp.int32)
    require_shape(lengths, shape, name, f"sequences of shape {jnp.shape(tokens)}")
    counts, good = read_indices(lengths, name, most + 1, keep)
    return counts if keep is None else jnp.where(keep, counts, 0), good


def _tokens(values: Shaped[ArrayLike, "..."], name: str) -> Array:
    tokens = real_array(values, name)
    if not jnp.issubdtype(tokens.dtype, jnp.integer) or tokens.ndim == 0:
        raise TypeError(
            f"{name} must be integer tokens [*batch, T], got {tokens.dtype} of shape {tokens.shape}"
        )
    # Without 64-bit mode JAX wraps 2³² to 0, and tokens that differ would be equal.
    if isinstance(values, np.ndarray) and not np.array_equal(values, values.astype(tokens.dtype)):
        raise ValueError(
            f"{name} must fit {tokens.dtype}, got tokens from {values.min()} to {values.max()}; "
            "number those of both sides anew: np.unique(tokens, return_inverse=True)"
        )
    return tokens


@partial(jax.jit, inline=True)
def _distances(a: Array, b: Array, a_lengths: Array, b_lengths: Array) -> Array:
    columns = jnp.arange(b.shape[-1] + 1, dtype=jnp.int32)
    columns = jnp.broadcast_to(columns, (*b.shape[:-1], b.shape[-1] + 1))
    # Under shard_map a carry has to vary over the devices from the start, as the tokens do.
    nothing = 0 * (jnp.sum(a, -1) + jnp.sum(b, -1) + a_lengths + b_lengths).astype(jnp.int32)

    def step(row: Array, token_and_index: tuple[Array, Array]) -> tuple[Array, None]:
        token, index = token_and_index
        replaced = row[..., :-1] + (token[..., None] != b)
        # Inserting from the left, d[j] = min(d[j], d[j−1] + 1), is a running minimum of d[j] − j.
        reached = jnp.minimum(row[..., 1:] + 1, replaced)
        reached = jnp.concatenate([row[..., :1] + 1, reached], axis=-1) - columns
        new = lax.cummin(reached, axis=reached.ndim - 1) + columns
        return jnp.where((index < a_lengths)[..., None], new, row), None

    steps = (jnp.moveaxis(a, -1, 0), jnp.arange(a.shape[-1], dtype=jnp.int32))
    row, _ = lax.scan(step, columns + nothing[..., None], steps)
    return jnp.take_along_axis(row, b_lengths[..., None], axis=-1, mode="clip")[..., 0]
