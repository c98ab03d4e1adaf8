"""Memory is a contract: XLA's own account of temporary bytes stays within plan's figure."""

import jax
import jax.numpy as jnp
import pytest

from xentjax.fused import linear_cross_entropy, plan
from xentjax.fused.cases import CPU, MEMORY, Case


def temp_bytes(case, dtype, **options):
    """Temporary bytes of value and both gradients, compiled but never run."""
    weight = (case.v, case.d) if options.get("vocab_axis") == 0 else (case.d, case.v)

    def total(hidden, weight, labels):
        return jnp.sum(linear_cross_entropy(hidden, weight, labels, **options))

    shapes = (
        jax.ShapeDtypeStruct((case.n, case.d), dtype),
        jax.ShapeDtypeStruct(weight, dtype),
        jax.ShapeDtypeStruct((case.n,), jnp.int32),
    )
    compiled = jax.jit(jax.value_and_grad(total, argnums=(0, 1))).lower(*shapes).compile()
    return compiled.memory_analysis().temp_size_in_bytes


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("case", MEMORY, ids=str)
def test_temporary_bytes_stay_within_the_plan(case, dtype, report_figure):
    promised = plan(*case, dtype).temp_bytes
    held = temp_bytes(case, dtype)
    assert held <= promised
    logits = 4 * case.n * case.v
    report_figure(
        f"{case} {jnp.dtype(dtype).name}: {held / 1e6:.0f} MB held, {promised / 1e6:.0f} MB "
        f"promised; logits in float32 are {logits / 1e6:.0f} MB"
    )


@pytest.mark.parametrize("options", [{"vocab_axis": 0}, {"reduction": "none"}], ids=str)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_either_layout_and_every_reduction_stay_within_it_too(dtype, options):
    assert temp_bytes(CPU[0], dtype, **options) <= plan(*CPU[0], dtype).temp_bytes


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_every_option_together_holds_at_most_two_and_a_half_times_as_much(reduction):
    options = {"label_smoothing": 0.1, "z_loss": 1e-4, "soft_cap": 30.0, "logit_scale": 2.0}
    held = temp_bytes(CPU[0], jnp.float32, reduction=reduction, **options)
    assert held <= 2.5 * plan(*CPU[0]).temp_bytes


@pytest.mark.parametrize("budget", [30e6, 100e6, 1e9])
@pytest.mark.parametrize("case", [CPU[0], Case(1000, 96, 50257)], ids=str)
def test_a_budget_is_kept_by_the_compiled_program(case, budget):
    found = plan(*case, memory_budget=int(budget))
    assert temp_bytes(case, jnp.float32, tile=found) <= found.temp_bytes <= budget


def test_a_budget_for_all_rows_of_a_per_token_loss_makes_one_tile_and_is_kept():
    case, budget = CPU[0], 2 * 4 * CPU[0].n * CPU[0].v + 2**25
    found = plan(*case, memory_budget=budget, per_token=True)
    assert found.tiles == 1
    held = temp_bytes(case, jnp.float32, tile=found, reduction="none")
    assert plan(*case).temp_bytes < held <= found.temp_bytes <= budget
    assert plan(*case, memory_budget=budget // 2, per_token=True) == plan(*case)
    assert plan(*case, per_token=True) == found


def test_memory_is_flat_in_the_number_of_tokens():
    few, many = (temp_bytes(Case(n, 64, 8192), jnp.float32, tile=256) for n in (1024, 32 * 1024))
    # What grows: a few numbers for each token, next to 31 · 1024 rows of 8192 logits.
    assert many - few <= 31 * 1024 * 64


def test_the_largest_head_compiles_within_its_plan_in_a_tied_layout():
    case = MEMORY[-1]
    assert temp_bytes(case, jnp.bfloat16, vocab_axis=0) <= plan(*case, jnp.bfloat16).temp_bytes
