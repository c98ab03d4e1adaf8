"""What a fused loss is made of, as it is known while tracing: heads, rows and tiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array

# Everything a derivative may be asked for, by name: hidden [N, D] and weight of each head, and
# what scores pass through on their way to the loss ("bias" [V], "z_loss" [], …).
Operands = Mapping[str, Array]

# Those with an entry for each class, which devices may hold in parts.
PER_CLASS = frozenset({"weight", "bias", "class_weights"})


class Examples(NamedTuple):
    """What belongs to an example and has no derivative."""

    labels: Array | None  # int32 [N]
    keep: Array | None  # bool [N]


@dataclass(frozen=True)
class Head:
    """The names of one head's operands and the vocabulary axis of its weight."""

    vocab_axis: int  # 1 for [D, V], 0 for [V, D]
    hidden: str = "hidden"
    weight: str = "weight"


@runtime_checkable
class Rows(Protocol):
    """What a loss makes of a tile of scores."""

    def whole(self, scores: list[Array], extras: Operands, examples: Examples) -> Any:
        """Row values, a pytree of [R], from each head's scores [R, V]."""
        ...


class Place(NamedTuple):
    """Where a device's part of the vocabulary lies."""

    first: Array  # the class of its first column
    columns: int  # of all devices together, those included that no class fills


@runtime_checkable
class SharedRows(Rows, Protocol):
    """The same in two steps, for a vocabulary that devices hold in parts."""

    def part(self, scores: list[Array], extras: Operands, examples: Examples, place: Place) -> Any:
        """What one device can say: a pytree of [R] from its columns."""
        ...

    def join(self, parts: Any, extras: Operands, examples: Examples) -> Any:
        """Row values from what all devices said, a pytree of [devices, R]."""
        ...


@dataclass(frozen=True)
class Spec:
    """What is known while tracing.

    Attributes:
      rows: the loss.
      heads: one, or two in a distillation.
      tile: rows in a tile.
      block: columns of d weight updated at a time; 0 for all at once.
      axis_name: the mesh axis that holds the vocabulary in parts, or None.
      precision: JAX's default precision of products when the loss was called, which a backward
        pass traced later must keep.
    """

    rows: Rows
    heads: tuple[Head, ...]
    tile: int
    block: int
    axis_name: str | None = None
    precision: str | None = field(
        default_factory=lambda: jax.config.jax_default_matmul_precision  # pyright: ignore
    )
