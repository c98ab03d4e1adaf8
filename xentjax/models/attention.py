"""Causal self-attention with rotary positions, for whole sequences and one token at a time.

Rows `[B·T, D]` go in and come out. What generation needs of the past is a `Cache`: the keys and
values of the last S positions, in a ring.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Integer

from xentjax.losses.sequence import segment_mask
from xentjax.models.projection import Projection
from xentjax.models.rotary import Turns, rotate


class Cache(NamedTuple):
    """Keys, already turned, and values of one layer; position t lies in slot t mod S.

    Attributes:
        key: `[B, S, H, F]`.
        value: `[B, S, H, F]`.
    """

    key: jax.Array
    value: jax.Array


class CausalAttention(nnx.Module):
    """softmax(rotate(q) · rotate(k)ᵀ / √F + mask) · v for H heads, then a projection: 4·D².

    The sums of the softmax are in float32 in every dtype.

    Attributes:
        qkv: `[D, 3·D]`, queries, keys and values side by side, each head by head.
        out: `[D, D]`.
    """

    def __init__(
        self, width: int, heads: int, *, std: float, out_std: float, rngs: nnx.Rngs
    ) -> None:
        """Draws the weights.

        Args:
            width: D, a multiple of 2·heads.
            heads: H.
            std: standard deviation of `qkv`.
            out_std: of `out`, which writes into the residual stream.
            rngs: the source of the weights.
        """
        self.heads = heads
        self.qkv = Projection(width, 3 * width, std=std, rngs=rngs)
        self.out = Projection(width, width, std=out_std, rngs=rngs)

    def __call__(
        self,
        rows: Float[Array, "rows width"],
        table: Turns,
        mask: Bool[Array, "batch 1 time time"] | None = None,
    ) -> Float[Array, "rows width"]:
        """Returns what each position gathers from itself and those before it.

        Args:
            rows: `[B·T, D]`, example by example.
            table: of the T positions.
            mask: where it may look, among itself and those before; everywhere by default.
        """
        return self._attend(rows, table, mask)[0]

    def prefill(
        self, rows: Float[Array, "rows width"], table: Turns
    ) -> tuple[Float[Array, "rows width"], Cache]:
        """Returns the same with a cache of the T positions, for `decode` to go on from.

        There is no mask: `decode` looks at every position of the cache.
        """
        return self._attend(rows, table, None)

    def weights(
        self, rows: Float[Array, "rows width"], table: Turns
    ) -> Float[Array, "batch heads time time"]:
        """Returns what share each position takes of itself and those before it; rows sum to 1.

        For looking at: `__call__` never holds these B·H·T² numbers where it need not.
        """
        query, key, _ = self._heads(rows, table)
        scores = jnp.einsum("bthf,bshf->bhts", query, key, preferred_element_type=jnp.float32)
        scores *= query.shape[-1] ** -0.5
        seen = jnp.tri(*scores.shape[2:], dtype=bool)[None, None]
        return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)

    def decode(
        self,
        rows: Float[Array, "batch width"],
        cache: Cache,
        position: Integer[Array, ""],
        table: Turns,
    ) -> tuple[Float[Array, "batch width"], Cache]:
        """Returns what one new token an example gathers, and the cache with it.

        Args:
            rows: `[B, D]`, the token at `position`.
            cache: of the positions before; slots they have not reached may hold anything. A full
                ring loses its oldest position.
            position: t ≥ 0, the same for all examples.
            table: of that one position.
        """
        query, key, value = self._heads(rows, table)
        slots = cache.key.shape[1]
        at = (0, position % slots, 0, 0)
        cache = Cache(
            lax.dynamic_update_slice(cache.key, key, at),
            lax.dynamic_update_slice(cache.value, value, at),
        )
        reached = (jnp.arange(slots) <= position)[None, None, None]
        mixed = jax.nn.dot_product_attention(query, *cache, mask=reached)
        return self.out(mixed.reshape(rows.shape)), cache

    def _attend(
        self, rows: jax.Array, table: Turns, mask: jax.Array | None
    ) -> tuple[jax.Array, Cache]:
        query, key, value = self._heads(rows, table)
        mixed = jax.nn.dot_product_attention(query, key, value, mask=mask, is_causal=True)
        return self.out(mixed.reshape(rows.shape)), Cache(key, value)

    def _heads(self, rows: jax.Array, table: Turns) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries and keys, turned, and values, each `[B, T, H, F]`."""
        time, features = table.cos.shape[0], rows.shape[1] // self.heads
        qkv = self.qkv(rows).reshape(-1, time, 3 * self.heads, features)
        # split, whose gradient is one concatenation; that of slices is three padded sums.
        query, key, value = lax.split(qkv, (self.heads,) * 3, axis=2)
        return rotate(query, table), rotate(key, table), value


def packed_mask(segment_ids: jax.Array, tokens: jax.Array) -> Bool[Array, "batch 1 time time"]:
    """Where the positions of packed rows may look, the same for all heads; see `segment_mask`.

    Raises:
        ValueError: if segment_ids are not integers of the shape of tokens.
    """
    if segment_ids.shape != tokens.shape or not jnp.issubdtype(segment_ids.dtype, jnp.integer):
        raise ValueError(
            f"segment_ids must be integers of the shape of tokens, {tokens.shape}, got "
            f"{segment_ids.dtype} of shape {segment_ids.shape}"
        )
    return segment_mask(segment_ids)[:, None]
