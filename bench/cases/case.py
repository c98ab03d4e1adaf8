"""A loss of the family with its options bound: what tests, tables and benches need to know of it.

One case an option set worth naming. The contract test examines it, `bench.losses` times it
beside its counterparts, and the tables of the documentation are made from both.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

# (generator, examples, classes) → the loss's inputs, each with the examples on its leading axis.
Draw: TypeAlias = Callable[[np.random.Generator, int, int], tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class LossCase:
    """A loss, inputs it takes, and the same loss elsewhere.

    `contract` holds options of `assert_loss_contract` (`event_dims`, `argnums`, `leave_out`).
    `optax` takes the same inputs as jax arrays, `torch` as tensors; each gives per-example losses
    by the same formula. `size` is (examples, classes) for the bench.
    """

    loss: Callable[..., Any]
    draw: Draw
    contract: Mapping[str, Any] = field(default_factory=dict)
    optax: Callable[..., Any] | None = None
    torch: Callable[..., Any] | None = None
    size: tuple[int, int] = (8192, 1000)
    only_mean: bool = False  # optax gives the mean alone, repeated for each example


def labelled(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    """Logits [n, C] and integer labels [n]."""
    return normal(rng, n, classes), rng.integers(classes, size=n, dtype=np.int32)


def distributed(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    """Logits [n, C] and distributions [n, C]."""
    targets = rng.dirichlet(np.ones(classes), n).astype(np.float32)
    return normal(rng, n, classes), targets


def binary(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    """Logits [n, C] and labels 0 and 1 [n, C]."""
    return normal(rng, n, classes), rng.integers(0, 2, (n, classes)).astype(np.float32)


def pair(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    """Two arrays of logits [n, C]."""
    return normal(rng, n, classes), normal(rng, n, classes)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Standard normal numbers in float32."""
    return rng.standard_normal(shape, dtype=np.float32)


def torch_functional(name: str, **options: Any) -> Callable[..., Any]:
    """A loss of torch.nn.functional, per example."""

    def loss(*tensors: Any) -> Any:
        import torch  # pyright: ignore[reportMissingImports] (an extra; called where it is there)

        return getattr(torch.nn.functional, name)(*tensors, reduction="none", **options)

    return loss
