"""The CNN of `xentjax.models.cnn` in torch eager, as its users write it.

The same arithmetic from the same weights in torch's layout: images [N, C, H, W], `nn.Conv2d`
without bias, `nn.BatchNorm2d`. Dropout is left out.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports] (an extra; imported by those who asked for it)
from torch import Tensor, nn  # pyright: ignore[reportMissingImports]

from xentjax.models.cnn import CNNConfig


class TorchCNN(nn.Module):
    """A torch module with the shape of a `CNNConfig` whose activation is relu."""

    def __init__(self, config: CNNConfig) -> None:
        super().__init__()
        self.stem = _convolution(config.in_channels, config.widths[0], 3, 1)
        self.stem_norm = nn.BatchNorm2d(config.widths[0])
        self.blocks = nn.ModuleList(_blocks(config))
        self.head = nn.Linear(config.widths[-1], config.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [N, C] of images [N, C, H, W]."""
        x = torch.relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv_in = _convolution(inputs, outputs, 3, stride)
        self.norm_in = nn.BatchNorm2d(outputs)
        self.conv_out = _convolution(outputs, outputs, 3, 1)
        self.norm_out = nn.BatchNorm2d(outputs)
        self.projects = stride != 1 or inputs != outputs
        if self.projects:
            self.shortcut = _convolution(inputs, outputs, 1, stride)
            self.shortcut_norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.norm_in(self.conv_in(x)))
        inner = self.norm_out(self.conv_out(inner))
        if self.projects:
            x = self.shortcut_norm(self.shortcut(x))
        return torch.relu(x + inner)


def _convolution(inputs: int, outputs: int, size: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)


def _blocks(config: CNNConfig) -> list[_Block]:
    inputs = (config.widths[0], *config.widths)
    blocks = []
    for stage, (before, width) in enumerate(itertools.pairwise(inputs)):
        blocks.append(_Block(before, width, 2 if stage > 0 else 1))
        blocks += [_Block(width, width, 1) for _ in range(1, config.blocks)]
    return blocks


def load_weights(model: TorchCNN, weights: Mapping[str, Any]) -> TorchCNN:
    """Copies arrays in by the names `xentjax.models.CNN` gives them; kernels are transposed.

    Args:
        model: changed in place.
        weights: name → array, such as `blocks.0.conv_in.kernel` [k, k, C, D].

    Returns:
        The same model.
    """
    arrays = {torch_name(name): np.asarray(array) for name, array in weights.items()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            array = arrays.pop(name)
            if array.ndim == 4:
                array = array.transpose(3, 2, 0, 1)
            parameter.copy_(torch.tensor(array.T if array.ndim == 2 else array))
    if arrays:
        raise ValueError(f"the torch model has no place for {sorted(arrays)}")
    return model


def torch_name(name: str) -> str:
    """The name here of a parameter of `xentjax.models.CNN`.

    Example:
        >>> torch_name("blocks.0.conv_in.kernel"), torch_name("stem_norm.scale")
        ('blocks.0.conv_in.weight', 'stem_norm.weight')
    """
    return name.replace(".kernel", ".weight").replace(".scale", ".weight")
