"""Linear cross-entropy, from hidden states and head weight: xentjax, optax, torch, bare products.

The three bare products are what value and both gradients cannot do without: logits = hidden ·
weight, written to memory, d hidden = logits · weightᵀ, d weight = hiddenᵀ · logits. (A tiled loss
may take less: it never writes all of the logits.) A Hessian-vector product cannot do without seven.
"""

from collections.abc import Callable, Iterator
from functools import partial

from bench.effort import Effort
from bench.heat import Heat
from bench.linear_check import require_accuracy
from bench.linear_contestants import (
    along_tangents,
    directional,
    forward,
    hessian_vector,
    neighbour_tiles,
    per_token,
    planned_tile,
    random_inputs,
    random_tangents,
    training,
)
from bench.linear_torch import torch_forward, torch_training
from bench.lineup import Lineup, TimedLineup
from xentjax.fused.cases import CPU, Case

DTYPE = "float32"
# As the shapes of `xentjax.fused.cases.CPU` with fewer tokens: a run takes one or two seconds.
BRIEF = (Case(1024, 512, 32768), Case(768, 768, 50257), Case(192, 1024, 128256))
BRIEF_OTHERS = (Case(512, 512, 32768),)
# Three products beyond this take seconds: no neighbouring tiles, no chunked torch.
LARGE_FLOPS = 1.5e11
TRAINING, PER_TOKEN = "value and both gradients", "losses of each token, both gradients"
FORWARD, JVP, HVP = "value only", "jvp", "Hessian-vector product"


def heats(effort: Effort) -> Iterator[Heat]:
    require_accuracy(DTYPE, "cpu")
    shapes = CPU if effort.full else BRIEF
    for case in shapes:
        yield _heat(TRAINING, case, partial(training_lineup, case), budget=10.0)
    others: dict[str, Callable[[Case], Lineup]] = {
        PER_TOKEN: lambda case: per_token(random_inputs(case, DTYPE)),
        FORWARD: forward_lineup,
        JVP: partial(tangent_lineup, directional),
        HVP: partial(tangent_lineup, hessian_vector),
    }
    for table, make in others.items():
        for case in shapes if effort.full else BRIEF_OTHERS:
            yield _heat(table, case, partial(make, case), budget=6.0)


def _heat(table: str, case: Case, make: Callable[[], Lineup], budget: float) -> Heat:
    note = f"tile {planned_tile(case, DTYPE)}"
    return Heat(table, str(case), TimedLineup(make, budget=budget, note=note))


def is_large(case: Case) -> bool:
    return 6 * case.n * case.d * case.v > LARGE_FLOPS


def training_lineup(case: Case) -> Lineup:
    inputs = random_inputs(case, DTYPE)
    if is_large(case):
        return training(inputs) | torch_training(inputs, "cpu", dense_only=True)
    return training(inputs, neighbour_tiles(case, DTYPE)) | torch_training(inputs, "cpu")


def forward_lineup(case: Case) -> Lineup:
    inputs = random_inputs(case, DTYPE)
    return forward(inputs) | torch_forward(inputs, "cpu")


def tangent_lineup(transform: Callable, case: Case) -> Lineup:
    return along_tangents(random_inputs(case, DTYPE), random_tangents(case, DTYPE), transform)
