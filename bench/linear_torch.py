"""PyTorch's side of `bench.linear`: dense, torch 2.13's chunked path, Liger and CCE.

They run eagerly, as their users run them, on copies of the same arrays, the weight in the
[V, D] layout that torch keeps. Liger and CCE are Triton kernels: they take part on CUDA only.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bench.linear_contestants import Inputs
from bench.lineup import Contestant, peer
from xentjax.timing import Plain

DENSE, CHUNKED = "torch dense", "torch chunked"
# name → module, function; all are called with (hidden [N, D], weight [V, D], labels).
KERNELS = {
    "Liger": ("liger_kernel.transformers.functional", "liger_fused_linear_cross_entropy"),
    "CCE": ("cut_cross_entropy", "linear_cross_entropy"),
}


def torch_runs_on(platform: str) -> bool:
    if not find_spec("torch"):
        return False
    import torch  # pyright: ignore[reportMissingImports]

    return platform == "cpu" or (platform == "gpu" and torch.cuda.is_available())


def torch_training(
    inputs: Inputs, platform: str, dense_only: bool = False
) -> dict[str, Contestant]:
    """Value and both gradients, by every path that can run here; none without torch."""
    if not torch_runs_on(platform):
        return {}
    losses = {DENSE: _dense} if dense_only else {DENSE: _dense, CHUNKED: _chunked}
    if platform == "gpu":
        for name, (module, function) in KERNELS.items():
            if _installed(module):
                losses[name] = getattr(import_module(module), function)
    arguments = _tensors(inputs, requires_grad=True)
    return {
        name: peer(Plain(partial(_value_and_gradients, loss), _wait(platform)), arguments)
        for name, loss in losses.items()
    }


def torch_forward(inputs: Inputs, platform: str) -> dict[str, Contestant]:
    """The value alone."""
    if not torch_runs_on(platform):
        return {}
    return {DENSE: peer(Plain(_dense, _wait(platform)), _tensors(inputs, requires_grad=False))}


def _dense(hidden: Any, weight: Any, labels: Any) -> Any:
    from torch.nn import functional  # pyright: ignore[reportMissingImports]

    return functional.cross_entropy(functional.linear(hidden, weight), labels)


def _chunked(hidden: Any, weight: Any, labels: Any) -> Any:
    """The options are torch's own choice for device and dtype."""
    from torch import nn  # pyright: ignore[reportMissingImports]

    options = nn.LinearCrossEntropyOptions()
    return nn.functional.linear_cross_entropy(hidden, weight, labels, options=options)


def _value_and_gradients(loss: Callable, hidden: Any, weight: Any, labels: Any) -> tuple[Any, Any]:
    import torch  # pyright: ignore[reportMissingImports]

    value = loss(hidden, weight, labels)
    dhidden, dweight = torch.autograd.grad(value, (hidden, weight))
    return value.detach(), (dhidden, dweight.T)


def _tensors(inputs: Inputs, requires_grad: bool) -> tuple[Any, ...]:
    import torch  # pyright: ignore[reportMissingImports]

    # Copies: memory that JAX owns must not be written to.
    hidden, weight, labels = (torch.from_dlpack(x) for x in inputs.arrays)
    hidden, weight = hidden.clone(), weight.T.contiguous()
    return hidden.requires_grad_(requires_grad), weight.requires_grad_(requires_grad), labels.long()


def _wait(platform: str) -> Callable[[], Any] | None:
    if platform == "cpu":
        return None
    import torch  # pyright: ignore[reportMissingImports]

    return torch.cuda.synchronize


def _installed(module: str) -> bool:
    return find_spec(module.partition(".")[0]) is not None
