"""A recurrent network over tokens: LSTM or GRU layers, for tagging, classes or the next token.

Prefer it to a `GPT` where sequences are long and read as a stream, or data and model are small:
its state has a fixed size. All products of inputs with weights are taken before the recurrence,
in one matrix product over all times; only hidden with weights remains in the loop.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer

from xentjax.models.dropout import Dropout
from xentjax.models.recurrence import GRULayer, LSTMLayer

_LAYERS = {"gru": GRULayer, "lstm": LSTMLayer}


@dataclasses.dataclass(frozen=True)
class RNNConfig:
    """The shape of an `RNN`.

    Attributes:
        vocab_size: V, tokens in the vocabulary.
        classes: C, logits: the tags or classes; None for V, next-token logits.
        embedding: width of a token's embedding; None for `width`.
        width: hidden units of each layer and direction.
        layers: recurrent layers, one upon the other.
        cell: lstm or gru; gru has a quarter fewer parameters.
        bidirectional: a second recurrence reads each layer from the end, so D = 2·width.
        pool: None gives a hidden state at every time; "last" and "mean" give one a sequence.
        dropout: the probability that an entry of the embedding or of a layer's output is dropped
            in training, in [0, 1); never inside the recurrence.
    """

    vocab_size: int
    classes: int | None = None
    embedding: int | None = None
    width: int = 128
    layers: int = 1
    cell: str = "lstm"
    bidirectional: bool = False
    pool: str | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "classes", "embedding", "width", "layers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.cell not in _LAYERS:
            raise ValueError(f"cell must be 'gru' or 'lstm', got {self.cell!r}")
        if self.pool not in (None, "last", "mean"):
            raise ValueError(f"pool must be 'last', 'mean' or None, got {self.pool!r}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        if self.bidirectional and self.pool is None and self.classes is None:
            raise ValueError(
                "bidirectional=True cannot predict the next token (classes=None, pool=None): the "
                "backward direction has read it already, so the loss would fall to 0 and mean "
                "nothing; set classes for tagging, pool for classifying sequences, or "
                "bidirectional=False"
            )

    @property
    def features(self) -> int:
        """D, the width of a hidden state: `width`, twice that if bidirectional."""
        return 2 * self.width if self.bidirectional else self.width


class RNN(nnx.Module):
    """Tokens to hidden states to logits, at every time or one a sequence.

    x = embed(tokens); each layer x ← [→layer(x), ←layer(x)] (the second if bidirectional), with
    dropout before it; hidden = dropout(x), or its pool over time; logits = hidden W + b.

    One direction may be trained on the next token: the state at time t knows tokens 0 … t. A
    bidirectional one knows the whole sequence at every time, the label included, so a config that
    asks it for next-token logits is refused; it is for tagging (`classes`) and for classifying
    sequences (`pool`). Do not give it labels that are shifted tokens.

    Padding: with `lengths`, nothing at or after a sequence's length can reach a hidden state
    before it, in either direction, nor a pool. Hidden states at padded times are 0, and their
    logits b; mask their losses. A token outside [0, V) before the length gives NaN from there on
    (everywhere, if bidirectional), not another token's state; padding may be any integer.

    `train()` and `eval()` turn dropout on and off.

    Attributes:
        embedding: `[V, E]`.
        head: the last layer, a linear map with `kernel` `[D, C]` and `bias` `[C]`.

    Example:
        >>> model = RNN(RNNConfig(vocab_size=256, classes=5, pool="mean"), rngs=nnx.Rngs(0))
        >>> model(jnp.zeros((2, 64), jnp.int32), lengths=jnp.array([64, 10])).shape
        (2, 5)

    Reference:
        S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", 1997; K. Cho et al., "Learning
        Phrase Representations using RNN Encoder-Decoder", 2014; W. Zaremba, I. Sutskever and
        O. Vinyals, "Recurrent Neural Network Regularization", 2014 (where dropout goes).
    """

    def __init__(self, config: RNNConfig, *, rngs: nnx.Rngs) -> None:
        """Draws the weights.

        Args:
            config: the shape.
            rngs: the source of the weights and, in training, of dropout.
        """
        self.config = config
        width = config.embedding or config.width
        shape = (config.vocab_size, width)
        self.embedding = nnx.Param(jax.random.normal(rngs.params(), shape) / width**0.5)
        self.forward_layers = nnx.List(_stack(config, rngs))
        self.backward_layers = nnx.List(_stack(config, rngs) if config.bidirectional else [])
        self.dropout = Dropout(config.dropout, rngs=rngs)
        classes = config.vocab_size if config.classes is None else config.classes
        self.head = nnx.Linear(config.features, classes, rngs=rngs)

    def hidden(
        self,
        tokens: Integer[Array, "batch time"],
        *,
        lengths: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch time hidden"] | Float[Array, "batch hidden"]:
        """Returns the last hidden states, at every time or pooled as the config says.

        Args:
            tokens: `[B, T]` integers in [0, V), T at least 1.
            lengths: `[B]`, how many tokens of each row count, 1 … T; all of them by default. A
                length outside that range gives NaN.

        Returns:
            `[B, T, D]` with `pool=None`, zero at padded times; else `[B, D]`: the mean over the
            sequence, or its last state, which for the backward direction is the one at time 0.

        Raises:
            ValueError: if tokens are not two-dimensional integers or lengths do not fit them.
        """
        _check(tokens, lengths)
        batch, time = tokens.shape
        if lengths is None:
            lengths = jnp.full((batch,), time)
        inside = jnp.arange(time)[:, None] < lengths[None, :]
        x = self._embed(tokens.T, inside)
        for layer, forward in enumerate(self.forward_layers):
            read = self.dropout(x)
            x = forward(read, inside)
            if self.config.bidirectional:
                back = self.backward_layers[layer](read, inside, reverse=True)
                x = jnp.concatenate([x, back], axis=-1)
        return self._pool(self.dropout(x), inside, lengths)

    @property
    def head_weight(self) -> Float[Array, "hidden classes"]:
        """The matrix `[D, C]` from hidden states to logits; `head.bias` is added after it."""
        return self.head.kernel[...]

    def __call__(
        self,
        tokens: Integer[Array, "batch time"],
        *,
        lengths: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch time classes"] | Float[Array, "batch classes"]:
        """Returns the logits, `[B, T, C]`, or `[B, C]` with a pool; see `hidden`."""
        hidden = self.hidden(tokens, lengths=lengths)
        logits = self.head(hidden.reshape(-1, self.config.features))
        return logits.reshape(*hidden.shape[:-1], logits.shape[-1])

    def _embed(self, tokens: jax.Array, inside: jax.Array) -> jax.Array:
        """Embeddings `[T, B, E]`: NaN for a token that is none, 0 for padding."""
        # A plain gather clamps a token ≥ V and wraps a negative one: both would train silently.
        rows = (
            self.embedding[...]
            .at[jnp.where(inside, tokens, 0)]
            .get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
        )
        return jnp.where(inside[..., None], rows, 0)

    def _pool(self, x: jax.Array, inside: jax.Array, lengths: jax.Array) -> jax.Array:
        """`[T, B, D]` to what `hidden` returns."""
        valid = (lengths >= 1) & (lengths <= inside.shape[0])
        x = jnp.where(valid[None, :, None], x, jnp.nan)
        if self.config.pool is None:
            return x.transpose(1, 0, 2)
        if self.config.pool == "mean":
            return jnp.sum(x, axis=0) / lengths[:, None]
        # The output at padded times is 0, so the last state before them is looked up.
        last = jnp.clip(lengths - 1, 0, inside.shape[0] - 1)
        forward = jnp.take_along_axis(x, last[None, :, None], axis=0)[0]
        width = self.config.width
        return jnp.concatenate([forward[:, :width], x[0, :, width:]], axis=-1)


def _stack(config: RNNConfig, rngs: nnx.Rngs) -> list[GRULayer | LSTMLayer]:
    widths = [config.embedding or config.width] + [config.features] * (config.layers - 1)
    return [_LAYERS[config.cell](width, config.width, rngs=rngs) for width in widths]


def _check(tokens: jax.Array, lengths: jax.Array | None) -> None:
    if tokens.ndim != 2 or not jnp.issubdtype(tokens.dtype, jnp.integer) or not tokens.shape[1]:
        raise ValueError(
            "tokens must be integers of shape (B, T) with T at least 1, got "
            f"{tokens.dtype} of shape {tokens.shape}"
        )
    if lengths is None:
        return
    if lengths.shape != tokens.shape[:1] or not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise ValueError(
            f"lengths must be integers of shape (B,) = {tokens.shape[:1]}, one for each row of "
            f"tokens, got {lengths.dtype} of shape {lengths.shape}"
        )
