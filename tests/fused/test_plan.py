"""plan: tiles that cover the rows, stay in the budget, and are priced right."""

import contextlib

import numpy as np
import pytest

from xentjax.fused import Plan, plan
from xentjax.fused.cases import CPU, GPU, MEMORY, SIZES
from xentjax.fused.plan import planned, usual_block

PLATFORMS = ("cpu", "gpu", "tpu")


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("case", [*CPU, *GPU, *MEMORY, *SIZES], ids=str)
def test_tiles_cover_every_row_once(case, platform):
    found = plan(*case, platform=platform)
    assert 1 <= found.tile <= max(case.n, 1)
    assert (found.tiles - 1) * found.tile < max(case.n, 1) <= found.tiles * found.tile
    assert found.flops == 6 * case.n * case.d * case.v
    assert found.temp_bytes > 0


def test_no_rows_are_one_empty_tile():
    found = plan(0, 4, 11)
    assert (found.tile, found.tiles, found.flops) == (1, 1, 0)


def within(budget, n, d, v, dtype, platform):
    """The plan, or None where it is refused with a message that names the budget."""
    with contextlib.ExitStack() as stack:
        block, most = usual_block(platform), plan(n, d, v, dtype, platform=platform).tile
        plans = (planned(n, d, v, dtype, rows, block) for rows in range(1, most + 1))
        smallest = min(p.temp_bytes for p in plans)
        if smallest > budget:
            stack.enter_context(pytest.raises(ValueError, match=f"memory_budget={budget} is too"))
        return plan(n, d, v, dtype, memory_budget=budget, platform=platform)
    return None


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_a_budget_is_kept(dtype, platform):
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(60):
        n, d, v = (int(2 ** rng.uniform(0, 14)) for _ in range(3))
        free = plan(n, d, v, dtype, platform=platform)
        budget = int(free.temp_bytes * rng.uniform(0.2, 1.2))
        if budget >= free.temp_bytes:
            kept += 1
            assert plan(n, d, v, dtype, memory_budget=budget, platform=platform) == free
            continue
        found = within(budget, n, d, v, dtype, platform)
        if found is None:
            continue
        kept += 1
        assert found.temp_bytes <= budget, (n, d, v, budget)
        assert found.tile <= free.tile
    assert kept > 20


def test_a_budget_takes_no_smaller_tiles_than_it_must():
    case = CPU[0]
    free = plan(*case, platform="cpu")
    assert plan(*case, memory_budget=free.temp_bytes, platform="cpu") == free
    less = plan(*case, memory_budget=free.temp_bytes - 1, platform="cpu")
    assert free.tile > less.tile > free.tile // 2


def test_sixteen_bit_operands_are_priced_with_their_float32_sums():
    n, d, v = 4096, 4096, 128256
    found = plan(n, d, v, "bfloat16", platform="gpu")
    assert found.temp_bytes >= 4 * d * v  # d weight is added up in float32


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((-1, 4, 5), {}, "n >= 0.*got n=-1"),
        ((3, 0, 5), {}, "d >= 1.*d=0"),
        ((3, 4, 0), {}, "v >= 1.*v=0"),
        ((2048, 512, 32768), {"memory_budget": 1000}, "memory_budget=1000 is too small.*needs"),
    ],
)
def test_misuse_is_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        plan(*arguments, **options)


def test_a_plan_is_hashable_and_names_its_figures():
    found = plan(2048, 512, 32768, platform="cpu")
    assert isinstance(found, Plan)
    assert hash(found) == hash(plan(2048, 512, 32768, platform="cpu"))
    assert found._fields == ("tile", "tiles", "block", "temp_bytes", "flops")
