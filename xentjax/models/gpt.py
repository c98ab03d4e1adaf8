"""A small decoder-only transformer: the model for sequences of tokens.

Pre-norm blocks of causal attention with rotary positions and a perceptron; no biases.
Activations keep two dimensions, `[B·T, D]`, through every matrix product: XLA on CPU multiplies
`[B, T, D]` by a matrix markedly slower.
"""

import dataclasses
import difflib
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer

from xentjax.models.attention import Cache, packed_mask
from xentjax.models.dropout import Dropout
from xentjax.models.projection import Projection, product
from xentjax.models.rms_norm import RMSNorm
from xentjax.models.rotary import Turns, turns
from xentjax.models.transformer_block import TransformerBlock

_INIT_STD = 0.02
_MLPS = ("gelu", "relu2", "swiglu")
_DTYPES = ("float32", "bfloat16", "float16")
# What the backward pass finds stored of a block; it recomputes the rest from the block's input.
_REMAT_POLICIES: dict[str | None, Any] = {
    None: None,
    "block": jax.checkpoint_policies.nothing_saveable,
    "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
}


@dataclasses.dataclass(frozen=True)
class GPTConfig:
    """The shape of a `GPT`.

    Attributes:
        vocab_size: V, tokens in the vocabulary.
        block_size: the longest sequence it takes, in tokens.
        layers: L, transformer blocks.
        heads: attention heads a block.
        width: D, a multiple of 2·heads.
        dropout: the probability that an entry of the embedding or of a block's output is
            dropped in training, in [0, 1).
        tied: the head is the transposed embedding, V·D fewer parameters.
        mlp: the perceptron of a block: "relu2", max(x, 0)², the default because its activation
            is the cheapest and So et al. (2021) found it to train the best for its cost; "gelu",
            that of GPT-2 and nanoGPT; "swiglu", silu(gate)·x, that of Llama.
        remat: gradient checkpointing, for memory: None keeps every activation; "dots" keeps the
            products with weights and recomputes attention's scores and what is elementwise;
            "block" keeps the input of each block and recomputes all else, a third more time.
        dtype: of activations and products: "float32", "bfloat16" or "float16". Parameters are
            float32 and cast where used; norms, the softmax and logits stay in float32.
    """

    vocab_size: int
    block_size: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.0
    tied: bool = True
    mlp: str = "relu2"
    remat: str | None = None
    dtype: str = "float32"

    def __post_init__(self) -> None:
        for name in ("vocab_size", "block_size", "layers", "heads", "width"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2·heads = {2 * self.heads} (rotary positions turn "
                f"pairs of features), got {self.width}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        _check_choice("mlp", self.mlp, _MLPS)
        _check_choice("remat", self.remat, tuple(_REMAT_POLICIES))
        _check_choice("dtype", self.dtype, _DTYPES)

    @property
    def mlp_width(self) -> int:
        """M, inner features of a perceptron: 4·D, or for swiglu, of three matrices, ≈ 8·D/3."""
        # A multiple of 8 fills the vector registers.
        return 8 * math.ceil(self.width / 3) if self.mlp == "swiglu" else 4 * self.width

    @property
    def parameters(self) -> int:
        """How many: V·D + L·(4·D² + m·D·M + 2·D) + D with m = 2, or 3 for swiglu; + V·D untied."""
        matrices = 3 if self.mlp == "swiglu" else 2
        width = self.width
        block = 4 * width**2 + matrices * width * self.mlp_width + 2 * width
        heads = 1 if self.tied else 2
        return heads * self.vocab_size * width + self.layers * block + width


class GPT(nnx.Module):
    """Tokens to hidden states to logits of the next token.

    h = embed(tokens); for each block h += attend(norm(h)), h += perceive(norm(h));
    hidden = norm(h); logits = hidden · head_weight.

    Weights are normal with standard deviation 0.02, those that write into the residual stream
    0.02/√(2L), so that its variance does not grow with depth (GPT-2); the first loss is then
    near log V. A token outside [0, V) gives NaN logits, not another token's.

    `train()` and `eval()` turn dropout on and off.

    Attributes:
        embedding: `[V, D]`.

    Example:
        >>> model = GPT(GPTConfig(vocab_size=256, layers=1), rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((2, 64), jnp.int32)).shape
        (2, 64, 256)
        >>> ids = jnp.repeat(jnp.array([[1, 2]]), 32, axis=1)  # two texts packed into one row
        >>> model(jnp.zeros((1, 64), jnp.int32), segment_ids=ids).shape
        (1, 64, 256)

    Reference:
        A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019;
        D. So et al., "Primer: Searching for Efficient Transformers", 2021 (relu2);
        N. Shazeer, "GLU Variants Improve Transformer", 2020 (swiglu);
        M. Krell et al., "Efficient Sequence Packing without Cross-contamination", 2021.
    """

    def __init__(self, config: GPTConfig, *, rngs: nnx.Rngs) -> None:
        """Draws the weights.

        Args:
            config: the shape.
            rngs: the source of the weights and, in training, of dropout.
        """
        self.config = config
        shape = (config.vocab_size, config.width)
        self.embedding = nnx.Param(_INIT_STD * jax.random.normal(rngs.params(), shape))
        self.dropout = Dropout(config.dropout, rngs=rngs)
        self.blocks = nnx.List([self._block(rngs) for _ in range(config.layers)])
        self.norm = RMSNorm(config.width)
        if not config.tied:
            self.head = Projection(config.width, config.vocab_size, std=_INIT_STD, rngs=rngs)

    def hidden(
        self,
        tokens: Integer[Array, "batch time"],
        *,
        segment_ids: Integer[Array, "batch time"] | None = None,
    ) -> Float[Array, "batch time hidden"]:
        """Returns the last hidden states, in the dtype of the config.

        Args:
            tokens: `[B, T]` integers in [0, V), those of padding too; T at most `block_size`.
            segment_ids: `[B, T]` integers, for rows of several texts: a run of equal ids is one
                text, 0 is padding, as for `xentjax.losses.segment_mask`. What a text gets is, to
                rounding, what it gets alone in a row, wherever it begins: rotary positions depend
                on distances alone, so they need no restart. Padding sees padding, and what it
                gets is to be left out of the loss (`next_token_labels`). All blocks share one
                mask of B·T² booleans.

        Returns:
            `[B, T, D]`; position t knows tokens 0 … t, or those of them in its own text.

        Raises:
            ValueError: if tokens are not two-dimensional integers, T exceeds `block_size` or
                segment_ids are not integers of the shape of tokens.
        """
        rows = self._hidden(tokens, segment_ids)
        return rows.reshape(*tokens.shape, self.config.width)

    @property
    def head_weight(self) -> Float[Array, "hidden vocab"]:
        """The matrix `[D, V]` from hidden states to logits, in the dtype of the config."""
        weight = self.embedding[...].T if self.config.tied else self.head.kernel[...]
        return weight.astype(self.config.dtype)

    def __call__(
        self,
        tokens: Integer[Array, "batch time"],
        *,
        segment_ids: Integer[Array, "batch time"] | None = None,
    ) -> Float[Array, "batch time vocab"]:
        """Returns the logits `[B, T, V]` of the token after each position; see `hidden`."""
        logits = self.logits(self._hidden(tokens, segment_ids))
        return logits.reshape(*tokens.shape, self.config.vocab_size)

    def logits(self, rows: Float[Array, "rows hidden"]) -> Float[Array, "rows vocab"]:
        """Returns hidden states `[N, D]` times `head_weight`, summed and returned in float32."""
        if rows.dtype == jnp.float32:
            return product(rows, self.head_weight)
        return jnp.matmul(rows, self.head_weight, preferred_element_type=jnp.float32)

    def prefill(
        self, tokens: Integer[Array, "batch time"]
    ) -> tuple[Float[Array, "batch time hidden"], tuple[Cache, ...]]:
        """Returns the hidden states, without dropout, and the caches for `decode` to go on from.

        Args:
            tokens: as for `hidden`, one text a row: `decode` goes on with all that is cached, so
                packed rows have no place here.

        Returns:
            `[B, T, D]`, and a cache a layer of T slots.
        """
        rows, table = self._embed(tokens)
        caches = []
        for block in self.blocks:
            rows, cache = block.prefill(rows, table)
            caches.append(cache)
        return self.norm(rows).reshape(*tokens.shape, self.config.width), tuple(caches)

    def decode(
        self,
        tokens: Integer[Array, " batch"],
        caches: tuple[Cache, ...],
        position: Integer[Array, ""],
    ) -> tuple[Float[Array, "batch vocab"], tuple[Cache, ...]]:
        """Returns the logits after one more token an example, without dropout, and the caches.

        Args:
            tokens: `[B]`, the tokens at `position`.
            caches: of the positions before.
            position: t ≥ 0, the same for all examples; beyond the slots of the caches each layer
                sees the last positions that they hold.
        """
        rows = self._lookup(tokens)
        table = self._turns(position[None])
        updated = []
        for block, cache in zip(self.blocks, caches, strict=True):
            rows, cache = block.decode(rows, cache, position, table)
            updated.append(cache)
        return self.logits(self.norm(rows)), tuple(updated)

    def _block(self, rngs: nnx.Rngs) -> TransformerBlock:
        config = self.config
        return TransformerBlock(
            config.width,
            config.heads,
            config.mlp_width,
            mlp=config.mlp,
            dropout=config.dropout,
            std=_INIT_STD,
            out_std=_INIT_STD / math.sqrt(2 * config.layers),
            rngs=rngs,
        )

    def _hidden(self, tokens: jax.Array, segment_ids: jax.Array | None) -> jax.Array:
        """The hidden states as rows, `[B·T, D]`."""
        rows, table = self._embed(tokens)
        mask = None if segment_ids is None else packed_mask(segment_ids, tokens)
        rows = self.dropout(rows)
        for block in self.blocks:
            rows = self._checkpointed(block, rows, table, mask)
        return self.norm(rows)

    def _checkpointed(self, block: TransformerBlock, *inputs: Any) -> jax.Array:
        if self.config.remat is None:
            return block(*inputs)
        policy = _REMAT_POLICIES[self.config.remat]
        return nnx.remat(TransformerBlock.__call__, policy=policy)(block, *inputs)

    def _embed(self, tokens: jax.Array) -> tuple[jax.Array, Turns]:
        _check_tokens(tokens, self.config.block_size)
        return self._lookup(tokens.reshape(-1)), self._turns(jnp.arange(tokens.shape[1]))

    def _lookup(self, tokens: jax.Array) -> jax.Array:
        # A plain gather clamps a token ≥ V and wraps a negative one: both would train silently.
        rows = (
            self.embedding[...]
            .at[tokens]
            .get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        )
        return rows.astype(self.config.dtype)

    def _turns(self, positions: jax.Array) -> Turns:
        return turns(positions, features=self.config.width // self.config.heads)


def _check_choice(name: str, got: Any, choices: tuple[Any, ...]) -> None:
    if got in choices:
        return
    close = difflib.get_close_matches(str(got).lower(), [str(c) for c in choices], n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {got!r}{hint}")


def _check_tokens(tokens: jax.Array, block_size: int) -> None:
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise ValueError(
            f"tokens must be integers of shape (B, T), got {tokens.dtype} of shape {tokens.shape}"
        )
    if tokens.shape[1] > block_size:
        raise ValueError(
            f"tokens must be at most block_size = {block_size} long, got {tokens.shape[1]}; cut "
            "them or make the model with a larger block_size"
        )
