"""The CNN of `xentjax.models.cnn` with flax's own convolutions, as its users write it."""

from typing import Any

import jax.numpy as jnp
from flax import nnx

from xentjax.models import CNN
from xentjax.models.convolution import Convolution


def with_flax_layers(model: CNN) -> CNN:
    """The same model, changed in place: every `Convolution` becomes an `nnx.Conv`."""
    owners: list[Any] = [model, *model.blocks]
    for owner in owners:
        for name, layer in list(vars(owner).items()):
            if isinstance(layer, Convolution):
                setattr(owner, name, _flax_convolution(layer))
    return model


def _flax_convolution(layer: Convolution) -> nnx.Conv:
    rows, columns, channels, features = layer.kernel.shape
    convolution = nnx.Conv(
        channels,
        features,
        (rows, columns),
        strides=layer.stride,
        padding=((rows // 2, rows // 2), (columns // 2, columns // 2)),
        use_bias=False,
        rngs=nnx.Rngs(0),
    )
    convolution.kernel[...] = jnp.copy(layer.kernel[...])
    return convolution
