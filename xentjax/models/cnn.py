"""A small residual convolutional network: the model for images, however large.

Convolutions see a neighbourhood wherever it lies, so an image's classes need far fewer examples
than with an `MLP`. Batch norm makes the depth easy to train, and makes the rows of a training
batch depend on each other; read `CNN` on what that means for padding and accumulation.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from xentjax.models.activations import activation
from xentjax.models.convolution import Convolution
from xentjax.models.dropout import Dropout


@dataclasses.dataclass(frozen=True)
class CNNConfig:
    """The shape of a `CNN`.

    Attributes:
        in_channels: C of the images `[N, H, W, C]`: 1 for grey, 3 for colour.
        widths: channels of each stage; the last is D. Every stage after the first halves height
            and width (rounding up).
        blocks: residual blocks a stage, two convolutions each.
        classes: logits an image.
        activation: gelu, relu, sigmoid, silu or tanh.
        dropout: the probability that an entry is dropped in training, inside each block and after
            pooling, in [0, 1).
        momentum: the weight of the past in the running statistics of batch norm, in [0, 1). They
            forget within about 1/(1 − momentum) steps: 0.9 suits runs of hundreds of steps.
    """

    in_channels: int = 1
    widths: tuple[int, ...] = (16, 32)
    blocks: int = 1
    classes: int = 10
    activation: str = "relu"
    dropout: float = 0.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"widths must name at least one width ≥ 1, got {self.widths}")
        for name in ("in_channels", "blocks", "classes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("dropout", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), got {getattr(self, name)}")
        activation(self.activation)


class CNN(nnx.Module):
    """Images to pooled hidden states to logits: a stem, stages of residual blocks, a mean, a head.

    x = f(norm(conv(image))); for each block x ← f(x + norm(conv(dropout(f(norm(conv(x))))))), the
    first x replaced by norm(conv₁ₓ₁(x)) where the shape changes; hidden = mean of x over height
    and width; logits = hidden W + b. Convolutions are 3×3 with zero padding 1.

    `train()` and `eval()` turn dropout on and off and choose batch norm's statistics: in training
    those of the batch, which also move the running ones (`nnx.BatchStat`, no parameters: a train
    step must carry them along); in evaluation the running ones, and nothing changes. The running
    variance is the mean of squared deviations over n, where PyTorch's divides by n − 1.

    In training a padded row would enter the statistics of all others: pass `where`, or drop the
    last short batch. In evaluation rows do not know each other, and padding is harmless. Gradient
    accumulation normalises each micro-batch by itself, so it equals the large batch for every
    layer except batch norm.

    Attributes:
        head: the last layer, a linear map with `kernel` `[D, C]` and `bias` `[C]`.

    Example:
        >>> model = CNN(CNNConfig(), rngs=nnx.Rngs(0))
        >>> model(jnp.ones((2, 8, 8, 1))).shape
        (2, 10)

    Reference:
        K. He, X. Zhang, S. Ren and J. Sun, "Deep Residual Learning for Image Recognition", 2016;
        S. Ioffe and C. Szegedy, "Batch Normalization", 2015; S. Zagoruyko and N. Komodakis, "Wide
        Residual Networks", 2016 (dropout between the convolutions of a block).
    """

    def __init__(self, config: CNNConfig, *, rngs: nnx.Rngs) -> None:
        """Draws the weights.

        Args:
            config: the shape.
            rngs: the source of the weights and, in training, of dropout.
        """
        self.config = config
        self.stem = Convolution(config.in_channels, config.widths[0], rngs=rngs)
        self.stem_norm = _norm(config.widths[0], config, rngs=rngs)
        self.blocks = nnx.List(_blocks(config, rngs))
        self.dropout = Dropout(config.dropout, rngs=rngs)
        self.head = nnx.Linear(config.widths[-1], config.classes, rngs=rngs)

    def hidden(
        self,
        x: Float[Array, "batch height width channels"],
        *,
        where: Bool[Array, " batch"] | None = None,
    ) -> Float[Array, "batch hidden"]:
        """Returns the pooled hidden states of images.

        Args:
            x: images `[N, H, W, C]`.
            where: `[N]`, False for rows that must not enter batch norm's statistics. Their own
                hidden states are computed all the same.

        Returns:
            `[N, D]`, the mean over positions of the last stage.

        Raises:
            ValueError: if x is not four-dimensional with the config's channels.
        """
        if x.ndim != 4 or x.shape[-1] != self.config.in_channels:
            raise ValueError(
                f"x must be images (N, H, W, in_channels = {self.config.in_channels}), got shape "
                f"{x.shape}; reshape flat rows first, as x.reshape(-1, 8, 8, 1) for digits"
            )
        mask = None if where is None else where[:, None, None, None]
        f = activation(self.config.activation)
        x = f(self.stem_norm(self.stem(x), mask=mask))
        for block in self.blocks:
            x = block(x, mask=mask)
        return self.dropout(jnp.mean(x, axis=(1, 2)))

    @property
    def head_weight(self) -> Float[Array, "hidden classes"]:
        """The matrix `[D, C]` from hidden states to logits; `head.bias` is added after it."""
        return self.head.kernel[...]

    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        *,
        where: Bool[Array, " batch"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Returns the logits `[N, C]` of images `[N, H, W, C]`; see `hidden`."""
        return self.head(self.hidden(x, where=where))


class _Block(nnx.Module):
    """Two convolutions added to what they read; a 1×1 convolution mends the shape if need be."""

    def __init__(
        self, inputs: int, outputs: int, config: CNNConfig, *, stride: int, rngs: nnx.Rngs
    ) -> None:
        self.activation = config.activation
        self.conv_in = Convolution(inputs, outputs, stride=stride, rngs=rngs)
        self.norm_in = _norm(outputs, config, rngs=rngs)
        self.dropout = Dropout(config.dropout, rngs=rngs)
        self.conv_out = Convolution(outputs, outputs, rngs=rngs)
        self.norm_out = _norm(outputs, config, rngs=rngs)
        self.projects = stride != 1 or inputs != outputs
        if self.projects:
            self.shortcut = Convolution(inputs, outputs, size=1, stride=stride, rngs=rngs)
            self.shortcut_norm = _norm(outputs, config, rngs=rngs)

    def __call__(self, x: jax.Array, *, mask: jax.Array | None) -> jax.Array:
        f = activation(self.activation)
        inner = self.dropout(f(self.norm_in(self.conv_in(x), mask=mask)))
        inner = self.norm_out(self.conv_out(inner), mask=mask)
        if self.projects:
            x = self.shortcut_norm(self.shortcut(x), mask=mask)
        return f(x + inner)


def _blocks(config: CNNConfig, rngs: nnx.Rngs) -> Iterator[_Block]:
    """Stage by stage; the first block of every stage but the first takes every second pixel."""
    inputs = (config.widths[0], *config.widths)
    for stage, (before, width) in enumerate(itertools.pairwise(inputs)):
        yield _Block(before, width, config, stride=2 if stage > 0 else 1, rngs=rngs)
        for _ in range(1, config.blocks):
            yield _Block(width, width, config, stride=1, rngs=rngs)


def _norm(features: int, config: CNNConfig, *, rngs: nnx.Rngs) -> nnx.BatchNorm:
    return nnx.BatchNorm(features, momentum=config.momentum, rngs=rngs)
