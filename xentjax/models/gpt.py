"""A small decoder-only transformer: the model for sequences of tokens.

Pre-norm blocks of causal attention with rotary positions and a two-layer perceptron with
squared relu; no biases. Activations keep two dimensions, `[B·T, D]`, through every matrix
product: XLA on CPU multiplies `[B, T, D]` by a matrix markedly slower.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer

from xentjax.models.dropout import Dropout
from xentjax.models.rotary import rotate

_INIT_STD = 0.02


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
    """

    vocab_size: int
    block_size: int = 64
    layers: int = 4
    heads: int = 4
    width: int = 128
    dropout: float = 0.0
    tied: bool = True

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

    @property
    def parameters(self) -> int:
        """The number of parameters: V·D + L·(12·D² + 2·D) + D, and V·D more if not tied."""
        block = 12 * self.width**2 + 2 * self.width
        heads = 1 if self.tied else 2
        return heads * self.vocab_size * self.width + self.layers * block + self.width


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

    Reference:
        A. Radford et al., "Language Models are Unsupervised Multitask Learners", 2019;
        D. So et al., "Primer: Searching for Efficient Transformers", 2021 (squared relu).
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
        self.blocks = nnx.List([_Block(config, rngs=rngs) for _ in range(config.layers)])
        self.norm = nnx.RMSNorm(config.width, rngs=rngs)
        if not config.tied:
            self.head = _linear(config.width, config.vocab_size, rngs=rngs)

    def hidden(self, tokens: Integer[Array, "batch time"]) -> Float[Array, "batch time hidden"]:
        """Returns the last hidden states.

        Args:
            tokens: `[B, T]` integers in [0, V), T at most `block_size`.

        Returns:
            `[B, T, D]`; position t knows tokens 0 … t.

        Raises:
            ValueError: if tokens are not two-dimensional integers or T exceeds `block_size`.
        """
        return self._hidden(tokens).reshape(*tokens.shape, self.config.width)

    @property
    def head_weight(self) -> Float[Array, "hidden vocab"]:
        """The matrix `[D, V]` from hidden states to logits: the transposed embedding if tied."""
        return self.embedding[...].T if self.config.tied else self.head.kernel[...]

    def __call__(self, tokens: Integer[Array, "batch time"]) -> Float[Array, "batch time vocab"]:
        """Returns the logits `[B, T, V]` of the token after each position; see `hidden`."""
        logits = self._hidden(tokens) @ self.head_weight
        return logits.reshape(*tokens.shape, self.config.vocab_size)

    def _hidden(self, tokens: jax.Array) -> jax.Array:
        """The hidden states as rows, `[B·T, D]`."""
        _check_tokens(tokens, self.config.block_size)
        # A plain gather clamps a token ≥ V and wraps a negative one: both would train silently.
        rows = (
            self.embedding[...]
            .at[tokens.reshape(-1)]
            .get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        )
        rows = self.dropout(rows)
        for block in self.blocks:
            rows = block(rows, time=tokens.shape[1])
        return self.norm(rows)


class _Block(nnx.Module):
    """Causal attention, then a perceptron, each added to the rows it read: 12·D² + 2·D."""

    def __init__(self, config: GPTConfig, *, rngs: nnx.Rngs) -> None:
        width = config.width
        residual_std = _INIT_STD / math.sqrt(2 * config.layers)
        self.heads = config.heads
        self.attention_norm = nnx.RMSNorm(width, rngs=rngs)
        self.qkv = _linear(width, 3 * width, rngs=rngs)
        self.attention_out = _linear(width, width, std=residual_std, rngs=rngs)
        self.mlp_norm = nnx.RMSNorm(width, rngs=rngs)
        self.mlp_in = _linear(width, 4 * width, rngs=rngs)
        self.mlp_out = _linear(4 * width, width, std=residual_std, rngs=rngs)
        self.dropout = Dropout(config.dropout, rngs=rngs)

    def __call__(self, rows: jax.Array, *, time: int) -> jax.Array:
        rows = rows + self.dropout(self._attend(self.attention_norm(rows), time))
        activated = jnp.square(jax.nn.relu(self.mlp_in(self.mlp_norm(rows))))
        return rows + self.dropout(self.mlp_out(activated))

    def _attend(self, rows: jax.Array, time: int) -> jax.Array:
        width = rows.shape[1]
        qkv = self.qkv(rows).reshape(-1, time, 3 * self.heads, width // self.heads)
        query, key, value = jnp.split(qkv, 3, axis=2)
        mixed = jax.nn.dot_product_attention(rotate(query), rotate(key), value, is_causal=True)
        return self.attention_out(mixed.reshape(-1, width))


def _linear(inputs: int, outputs: int, *, std: float = _INIT_STD, rngs: nnx.Rngs) -> nnx.Linear:
    init = nnx.initializers.normal(std)
    return nnx.Linear(inputs, outputs, use_bias=False, kernel_init=init, rngs=rngs)


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
