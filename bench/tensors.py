"""Losses in PyTorch as a contestant: eager, as its users run it, on copies it may write to."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np

from xentjax.timing import Plain


def has_torch() -> bool:
    return find_spec("torch") is not None


def tensors_of(arrays: Sequence[np.ndarray], argnums: Sequence[int] = ()) -> tuple[Any, ...]:
    """Copies as tensors, whole numbers as int64; those at `argnums` want a gradient."""
    import torch  # pyright: ignore[reportMissingImports] (an extra, asked for by `has_torch`)

    tensors = []
    for i, x in enumerate(arrays):
        integers = np.issubdtype(x.dtype, np.integer)
        tensor = torch.from_numpy(x.astype(np.int64) if integers else x.copy())
        tensors.append(tensor.requires_grad_(i in argnums))
    return tuple(tensors)


def value_and_gradients(loss: Callable[..., Any], argnums: Sequence[int]) -> Plain:
    """The mean of a loss and its gradients, in the shape of `jax.value_and_grad`."""
    import torch  # pyright: ignore[reportMissingImports]

    def both(*tensors: Any) -> tuple[Any, tuple[Any, ...]]:
        value = loss(*tensors).mean()
        return value.detach(), torch.autograd.grad(value, [tensors[i] for i in argnums])

    return Plain(both)


def value(loss: Callable[..., Any]) -> Plain:
    """The mean of a loss."""
    return Plain(lambda *tensors: loss(*tensors).mean())
