"""How the time and the temporary memory of a linear head's loss grow with N and with V.

Memory is what XLA plans for value and both gradients: it takes a compilation and no run, so the
largest sizes cost nothing but that. The results of the contestants are compared where they run.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from bench.contest import BYTES, OURS, PEER, VARIANT, Contest, Entry, Role
from bench.effort import Effort
from bench.heat import Heat
from bench.linear_contestants import (
    OPTAX,
    THREE_PRODUCTS,
    XENTJAX,
    gradients,
    optax_loss,
    random_inputs,
    three_products,
    xentjax_loss,
)
from bench.lineup import Lineup, TimedLineup, floor, ours, peer
from xentjax.fused import plan
from xentjax.fused.cases import Case

CENTRE, BRIEF_CENTRE = Case(2048, 512, 32768), Case(1024, 256, 16384)
BUDGET = 64 * 2**20
BUDGETED = f"within {BUDGET >> 20} MiB"
# Along N and along V, with the other at the centre.
MEMORY = {"n": tuple(2**k for k in range(8, 18)), "v": tuple(2**k for k in range(11, 19))}
TIME = {"n": (512, 1024, 2048, 4096), "v": (4096, 8192, 16384, 32768, 65536)}
BRIEF_TIME = {"n": (256, 512, 1024, 2048), "v": (4096, 8192, 16384, 32768)}


def heats(effort: Effort) -> Iterator[Heat]:
    for axis in "nv":
        for size in MEMORY[axis]:
            case = CENTRE._replace(**{axis: size})
            yield Heat(table("memory", axis, CENTRE), str(size), partial(planned_memory, case))
    centre, sizes = (CENTRE, TIME) if effort.full else (BRIEF_CENTRE, BRIEF_TIME)
    for axis in "nv":
        for size in sizes[axis]:
            case = centre._replace(**{axis: size})
            hold = TimedLineup(partial(lineup, case), budget=1.5)
            yield Heat(table("time", axis, centre), str(size), hold)


def table(what: str, axis: str, centre: Case) -> str:
    """The title of a curve: what grows with what, and what stays."""
    rest = f"V = {centre.v}" if axis == "n" else f"N = {centre.n}"
    return f"{what} with {axis.upper()}, at D = {centre.d}, {rest}"


def lineup(case: Case) -> Lineup:
    inputs = random_inputs(case, jnp.float32)
    return {
        XENTJAX: ours(gradients(xentjax_loss), inputs.arrays),
        OPTAX: peer(gradients(optax_loss), inputs.arrays),
        THREE_PRODUCTS: floor(three_products, inputs[:2]),
    }


def planned_memory(case: Case, heat: Heat, effort: Effort) -> Contest:
    """Temporary bytes of value and both gradients, by compilation alone."""
    del effort  # nothing is random
    within = partial(xentjax_loss, tile=plan(*case, memory_budget=BUDGET))
    losses: dict[str, tuple[Role, Any]] = {
        XENTJAX: (OURS, gradients(xentjax_loss)),
        OPTAX: (PEER, gradients(optax_loss)),
    }
    if "with V" in heat.table:  # a tile grows with V, not with N: here a budget makes a difference
        losses[BUDGETED] = (VARIANT, gradients(within))
    entries = [
        Entry(name, role, (float(temp_bytes(fn, case)),)) for name, (role, fn) in losses.items()
    ]
    return Contest(heat.table, heat.case, tuple(entries), BYTES)


def temp_bytes(fn: Any, case: Case) -> int:
    """What XLA plans for a function of hidden states, weight and labels."""
    hidden, weight = (case.n, case.d), (case.d, case.v)
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (hidden, weight)]
    labels = jax.ShapeDtypeStruct((case.n,), jnp.int32)
    stats = jax.jit(fn).lower(*shapes, labels).compile().memory_analysis()
    if stats is None:
        raise RuntimeError("XLA keeps no account of memory on this device: run on a CPU")
    return int(stats.temp_size_in_bytes)
