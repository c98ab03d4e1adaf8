"""The layout of a whole training over a mesh: state, batches, scoring and the head's loss agree.

`fit(mesh=…)` uses it; a loop of one's own may too.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

from jax.sharding import Mesh, PartitionSpec

from xentjax.fused.sharded import sharded_linear_cross_entropy
from xentjax.train.objectives import Batch, Objective, cross_entropy
from xentjax.train.sharded_batches import place_batch
from xentjax.train.sharding import place_state
from xentjax.train.state import TrainState


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where a training lies.

    Attributes:
        mesh: devices, with axes of type Auto; None for the default device.
        shard: "fsdp" cuts parameters and moments over the mesh, "replicated" does not.
        specs: parameters that stay in parts while they are used, by path: a vocabulary shared over
            the axis "model" is `{"head/kernel": PartitionSpec(None, "model")}`.
    """

    mesh: Mesh | None = None
    shard: str = "fsdp"
    specs: Mapping[str, PartitionSpec] | None = None

    def __post_init__(self) -> None:
        if self.mesh is None and (self.specs or self.shard not in ("fsdp", "replicated")):
            raise ValueError(f"shard={self.shard!r} and specs want a mesh, got mesh=None")

    @property
    def model_axes(self) -> tuple[str, ...]:
        """The mesh axes that share parameters in use, and so not the examples."""
        entries = [entry for spec in (self.specs or {}).values() for entry in spec if entry]
        names = [name for e in entries for name in (e if isinstance(e, tuple) else (e,))]
        return tuple(dict.fromkeys(names))

    @property
    def data_axes(self) -> tuple[str, ...]:
        """The mesh axes that share the examples: all others."""
        names = () if self.mesh is None else self.mesh.axis_names
        return tuple(name for name in names if name not in self.model_axes)

    def objective(self, inputs: str | Sequence[str] | None = None) -> Objective:
        """Cross-entropy of the input named, whose fused head is computed where its parts lie."""
        if self.mesh is None:
            return cross_entropy(inputs=inputs)
        return cross_entropy(
            inputs=inputs,
            linear_loss=functools.partial(
                sharded_linear_cross_entropy,
                mesh=self.mesh,
                data_axes=self.data_axes,
                vocab_axis_name=next(iter(self.model_axes), None),
            ),
            # A shared head must not be brought together for logits.
            fused=True if self.model_axes else None,
        )

    def place_state(self, state: TrainState) -> TrainState:
        """The state, laid out."""
        if self.mesh is None:
            return state
        return place_state(state, self.mesh, shard=self.shard, specs=self.specs)

    def place(self, batch: Batch, *, batch_axis: int = 1) -> Batch:
        """Arrays [steps, B, …], or [B, …] with batch_axis=0, laid out.

        Over all axes: only the head's loss needs the examples whole where the vocabulary is shared,
        and the trunk should not do the same work twice.
        """
        if self.mesh is None:
            return batch
        return place_batch(batch, self.mesh, batch_axis=batch_axis)
