"""Linear cross-entropy over 8 devices, beside dense logits that XLA shards by itself.

The devices are 8 parts of one CPU: what is shown is that the result is that of one device, how
much temporary memory each device needs, and what the way there costs in copies and messages; how
fast it is on 8 real ones is not. (Memory is XLA's plan for one device.) All entries of a row get
the same shardings; "one device" does the whole work on one of the eight.
"""

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from bench.contest import BYTES, OURS, PEER, VARIANT, Contest, Entry
from bench.effort import Effort
from bench.heat import Heat
from bench.linear_contestants import (
    OPTAX,
    XENTJAX,
    gradients,
    optax_loss,
    random_inputs,
    xentjax_loss,
)
from bench.lineup import Contestant, TimedLineup, ours, peer, variant
from xentjax.fused import sharded_linear_cross_entropy
from xentjax.fused.cases import Case

ONE = "one device"
CASE, FULL_CASE = Case(1024, 256, 16384), Case(2048, 512, 32768)
LARGE = Case(8192, 512, 32768)  # compiled only: for its memory
TOLERANCE = 1e-5


class Split(NamedTuple):
    """How many devices share the examples, and how many the vocabulary."""

    data: int
    model: int

    def __str__(self) -> str:
        return f"examples over {self.data}, vocabulary over {self.model}"


SPLITS = (Split(8, 1), Split(4, 2), Split(2, 4), Split(1, 8))


def heats(effort: Effort) -> Iterator[Heat]:
    case = FULL_CASE if effort.full else CASE
    for split in SPLITS:
        hold = TimedLineup(partial(lineup, case, split), TOLERANCE, budget=4.0)
        yield Heat(f"value and both gradients, {case}, 8 devices", str(split), hold)
    for split in SPLITS:
        hold = partial(memory_of_each, LARGE, split)
        yield Heat(f"temporary memory of each device, {LARGE}", str(split), hold)


def lineup(case: Case, split: Split) -> dict[str, Contestant]:
    mesh = make_mesh(split)
    inputs = random_inputs(case, jnp.float32).arrays
    parts = jax.device_put(inputs, shardings(mesh))
    return {
        XENTJAX: ours(sharded(gradients(loss_over(mesh)), mesh), parts),
        ONE: variant(gradients(xentjax_loss), inputs),
        OPTAX: peer(sharded(gradients(optax_loss), mesh), parts),
    }


def memory_of_each(case: Case, split: Split, heat: Heat, effort: Effort) -> Contest:
    """By compilation alone; that the results are equal is shown by the rows that run."""
    del effort
    mesh, shapes = make_mesh(split), abstract(case)
    entries = (
        Entry(XENTJAX, OURS, (planned(sharded(gradients(loss_over(mesh)), mesh), shapes),)),
        Entry(ONE, VARIANT, (on_one_device(case),)),
        Entry(OPTAX, PEER, (planned(sharded(gradients(optax_loss), mesh), shapes),)),
    )
    return Contest(heat.table, heat.case, entries, BYTES)


@cache
def on_one_device(case: Case) -> float:
    return planned(jax.jit(gradients(xentjax_loss)), abstract(case))


def make_mesh(split: Split) -> Mesh:
    return jax.make_mesh(tuple(split), split._fields, axis_types=(AxisType.Auto,) * 2)


def shardings(mesh: Mesh) -> tuple[NamedSharding, ...]:
    """Of hidden states, head weight and labels."""
    specs = (PartitionSpec("data"), PartitionSpec(None, "model"), PartitionSpec("data"))
    return tuple(NamedSharding(mesh, spec) for spec in specs)


def loss_over(mesh: Mesh) -> Callable[..., Any]:
    return partial(
        sharded_linear_cross_entropy, mesh=mesh, data_axes="data", vocab_axis_name="model"
    )


def sharded(fn: Callable[..., Any], mesh: Mesh) -> Any:
    """Jitted; arguments lie as `shardings` says, gradients as what they are gradients of."""
    hidden, weight, labels = shardings(mesh)
    results = (NamedSharding(mesh, PartitionSpec()), (hidden, weight))
    return jax.jit(fn, in_shardings=(hidden, weight, labels), out_shardings=results)


def abstract(case: Case) -> tuple[jax.ShapeDtypeStruct, ...]:
    return (
        jax.ShapeDtypeStruct((case.n, case.d), jnp.float32),
        jax.ShapeDtypeStruct((case.d, case.v), jnp.float32),
        jax.ShapeDtypeStruct((case.n,), jnp.int32),
    )


def planned(jitted: Any, shapes: tuple[jax.ShapeDtypeStruct, ...]) -> float:
    """Temporary bytes on each device."""
    return float(jitted.lower(*shapes).compile().memory_analysis().temp_size_in_bytes)
