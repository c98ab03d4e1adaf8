"""Every loss of the family, value and gradient, beside the same loss in optax and torch.

The cases are those of `bench.cases`, under a mean over the examples. The bare pass, x·2, reads
and writes the first input once: what a gradient with respect to it must do at the least. Before
the times, value and gradient are compared at the very size that is timed.
"""

from collections.abc import Iterator
from functools import partial

import jax
import numpy as np

from bench.cases import FAMILIES
from bench.cases.case import LossCase
from bench.effort import Effort
from bench.heat import Heat
from bench.lineup import Contestant, TimedLineup, floor, ours, peer
from bench.tensors import has_torch, tensors_of, value_and_gradients

OURS, OPTAX, TORCH, BARE = "xentjax", "optax", "torch", "bare pass"


def heats(effort: Effort) -> Iterator[Heat]:
    del effort  # a budget a loss is all it takes
    for family, cases in FAMILIES.items():
        for name, case in cases.items():
            size = "x".join(map(str, case.size))
            hold = TimedLineup(partial(lineup, case), budget=0.8, note=size)
            yield Heat(family, name, hold)


def lineup(case: LossCase, seed: int = 0) -> dict[str, Contestant]:
    """The loss and its counterparts on the same random inputs."""
    drawn = case.draw(np.random.default_rng(seed), *case.size)
    arrays = tuple(jax.device_put(x) for x in drawn)
    argnums = case.contract.get("argnums", (0,))

    def mean(*xs: jax.Array) -> jax.Array:
        return case.loss(*xs, reduction="mean")

    entries = {OURS: ours(jax.value_and_grad(mean, argnums), arrays)}
    if case.optax is not None:
        optax_loss = case.optax
        theirs = jax.value_and_grad(lambda *xs: optax_loss(*xs).mean(), argnums)
        entries[OPTAX] = peer(theirs, arrays)
    if case.torch is not None and has_torch():
        theirs = value_and_gradients(case.torch, argnums)
        entries[TORCH] = peer(theirs, tensors_of(drawn, argnums))
    return entries | {BARE: floor(lambda x: x * 2, arrays[argnums[0] : argnums[0] + 1])}
