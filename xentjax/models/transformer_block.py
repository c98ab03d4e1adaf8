"""One block of a transformer: attention, then a perceptron, each normed first and added."""

import jax
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, Integer

from xentjax.models.activations import relu2
from xentjax.models.attention import Cache, CausalAttention
from xentjax.models.dropout import Dropout
from xentjax.models.projection import Projection
from xentjax.models.rms_norm import RMSNorm
from xentjax.models.rotary import Turns


class TransformerBlock(nnx.Module):
    """rows += dropout(attend(norm(rows))), then rows += dropout(perceive(norm(rows))).

    The perceptron maps D to M features and back: f(x·W_in)·W_out with f gelu or squared relu; for
    swiglu (silu(x·W_gate) · x·W_up)·W_out, where W_in holds both matrices side by side.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp_width: int,
        *,
        mlp: str,
        dropout: float,
        std: float,
        out_std: float,
        rngs: nnx.Rngs,
    ) -> None:
        """Draws the weights.

        Args:
            width: D, a multiple of 2·heads.
            heads: of attention.
            mlp_width: M.
            mlp: "gelu", "relu2" or "swiglu".
            dropout: the probability that an entry of what is added is dropped in training.
            std: standard deviation of the weights.
            out_std: of those that write into the residual stream.
            rngs: the source of the weights and, in training, of dropout.
        """
        self.mlp = mlp
        inner = 2 * mlp_width if mlp == "swiglu" else mlp_width
        self.attention_norm = RMSNorm(width)
        self.attention = CausalAttention(width, heads, std=std, out_std=out_std, rngs=rngs)
        self.mlp_norm = RMSNorm(width)
        self.mlp_in = Projection(width, inner, std=std, rngs=rngs)
        self.mlp_out = Projection(mlp_width, width, std=out_std, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=rngs)

    def __call__(
        self,
        rows: Float[Array, "rows width"],
        table: Turns,
        mask: Bool[Array, "batch 1 time time"] | None = None,
    ) -> Float[Array, "rows width"]:
        """Returns the rows `[B·T, D]` with what the block adds; see `CausalAttention`."""
        rows = rows + self.dropout(self.attention(self.attention_norm(rows), table, mask))
        return rows + self.dropout(self._perceive(rows))

    def prefill(
        self, rows: Float[Array, "rows width"], table: Turns
    ) -> tuple[Float[Array, "rows width"], Cache]:
        """Returns the same without dropout, and the cache; see `CausalAttention.prefill`."""
        mixed, cache = self.attention.prefill(self.attention_norm(rows), table)
        rows = rows + mixed
        return rows + self._perceive(rows), cache

    def decode(
        self,
        rows: Float[Array, "batch width"],
        cache: Cache,
        position: Integer[Array, ""],
        table: Turns,
    ) -> tuple[Float[Array, "batch width"], Cache]:
        """Returns the rows `[B, D]` of one more token; see `CausalAttention.decode`."""
        normed = self.attention_norm(rows)
        mixed, cache = self.attention.decode(normed, cache, position, table)
        rows = rows + mixed
        return rows + self._perceive(rows), cache

    def _perceive(self, rows: jax.Array) -> jax.Array:
        inner = self.mlp_in(self.mlp_norm(rows))
        if self.mlp == "swiglu":
            gate, up = lax.split(inner, (inner.shape[1] // 2,) * 2, axis=1)
            return self.mlp_out(jax.nn.silu(gate) * up)
        return self.mlp_out(jax.nn.gelu(inner) if self.mlp == "gelu" else relu2(inner))
