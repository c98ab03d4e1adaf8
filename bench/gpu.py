"""Linear cross-entropy on an accelerator: the shapes other projects published, in bfloat16.

Contestants too large for the device are left out by name. Without an accelerator the same code
rehearses on a small shape, and the record names the device that ran.
"""

from collections.abc import Iterator
from functools import partial

import jax

from bench.effort import Effort
from bench.heat import Heat
from bench.linear_check import require_accuracy
from bench.linear_contestants import per_token, planned_tile, random_inputs, training
from bench.linear_torch import torch_training
from bench.lineup import Lineup, TimedLineup
from xentjax.fused.cases import GPU, Case

DTYPE = "bfloat16"
TILES = (1024, 2048, 4096, 8192)
REHEARSAL = (Case(256, 64, 1000),)
# bfloat16 keeps 8 bits: two orders of rounding of a gradient differ by a few of its half-steps.
TOLERANCE = 0.03


def heats(effort: Effort) -> Iterator[Heat]:
    platform = jax.default_backend()
    require_accuracy(DTYPE, platform)
    limit = (jax.devices()[0].memory_stats() or {}).get("bytes_limit")
    for case in GPU if platform != "cpu" else REHEARSAL:
        tiles = tuple(t for t in TILES if t <= case.n) if effort.full else ()
        for table, make in (
            ("value and both gradients", partial(training_lineup, case, platform, tiles)),
            ("losses of each token, both gradients", partial(token_lineup, case)),
        ):
            note = f"tile {planned_tile(case, DTYPE)}"
            hold = TimedLineup(make, TOLERANCE, budget=5.0, memory_limit=limit, note=note)
            yield Heat(table, str(case), hold)


def training_lineup(case: Case, platform: str, tiles: tuple[int, ...]) -> Lineup:
    inputs = random_inputs(case, DTYPE)
    others = tuple(tile for tile in tiles if tile != planned_tile(case, DTYPE))
    return training(inputs, others) | torch_training(inputs, platform)


def token_lineup(case: Case) -> Lineup:
    return per_token(random_inputs(case, DTYPE))
