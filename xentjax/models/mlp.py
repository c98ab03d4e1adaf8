"""A multilayer perceptron: the model for rows of a table.

Use it for digits and other flat features. With `hidden_features=()` it is softmax regression.
"""

import dataclasses
import itertools

from flax import nnx
from jaxtyping import Array, Float

from xentjax.models.activations import activation
from xentjax.models.dropout import Dropout


@dataclasses.dataclass(frozen=True)
class MLPConfig:
    """The shape of an `MLP`.

    Attributes:
        in_features: F, features of a row.
        hidden_features: the width of each hidden layer; the last is D. May be empty.
        classes: C, logits a row.
        activation: gelu, relu, sigmoid, silu or tanh.
        dropout: the probability that a hidden unit is dropped in training, in [0, 1).
    """

    in_features: int
    hidden_features: tuple[int, ...] = (128,)
    classes: int = 10
    activation: str = "relu"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        widths = (self.in_features, *self.hidden_features, self.classes)
        if min(widths) < 1:
            raise ValueError(
                "in_features, hidden_features and classes must be at least 1, got "
                f"{self.in_features}, {self.hidden_features} and {self.classes}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {self.dropout}")
        activation(self.activation)


class MLP(nnx.Module):
    """Linear layers with an activation and dropout after each, and a linear head.

    h₀ = x, hₗ = dropout(f(hₗ₋₁ Wₗ + bₗ)), logits = h_L W + b.

    `train()` and `eval()` turn dropout on and off.

    Attributes:
        head: the last layer, a linear map with `kernel` `[D, C]` and `bias` `[C]`.

    Example:
        >>> import jax.numpy as jnp
        >>> model = MLP(MLPConfig(in_features=64), rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 64))).shape
        (2, 10)
    """

    def __init__(self, config: MLPConfig, *, rngs: nnx.Rngs) -> None:
        """Draws the weights.

        Args:
            config: the shape.
            rngs: the source of the weights and, in training, of dropout.
        """
        widths = (config.in_features, *config.hidden_features)
        self.config = config
        self.layers = nnx.List(
            [nnx.Linear(*pair, rngs=rngs) for pair in itertools.pairwise(widths)]
        )
        self.dropouts = nnx.List(
            [Dropout(config.dropout, rngs=rngs) for _ in config.hidden_features]
        )
        self.head = nnx.Linear(widths[-1], config.classes, rngs=rngs)

    def hidden(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch hidden"]:
        """Returns the last hidden states, `[..., D]`, of rows `[..., F]`."""
        if x.shape[-1:] != (self.config.in_features,):
            raise ValueError(
                f"x must end in in_features = {self.config.in_features}, got shape {x.shape}"
            )
        f = activation(self.config.activation)
        for layer, dropout in zip(self.layers, self.dropouts, strict=True):
            x = dropout(f(layer(x)))
        return x

    @property
    def head_weight(self) -> Float[Array, "hidden classes"]:
        """The matrix `[D, C]` from hidden states to logits; `head.bias` is added after it."""
        return self.head.kernel[...]

    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch classes"]:
        """Returns the logits, `[..., C]`, of rows `[..., F]`."""
        return self.head(self.hidden(x))
