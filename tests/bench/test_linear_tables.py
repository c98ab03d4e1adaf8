"""What cannot run is named with its reason; what can is timed and counted."""

import jax.numpy as jnp
import pytest

from bench.linear_contestants import ONE_PRODUCT, OPTAX, forward, neighbour_tiles, random_inputs
from bench.linear_tables import FORWARD, add_rows, measured, screened, task_table
from xentjax.fused import plan
from xentjax.fused.cases import Case
from xentjax.timing import Plain

CASE = Case(23, 8, 37)


@pytest.fixture
def entries():
    return forward(random_inputs(CASE, jnp.float32))


def test_a_failing_contestant_is_left_out_with_its_reason(entries):
    def fail():
        raise RuntimeError("no kernel for this device\nand a trace")

    ready, skipped = screened(entries | {"broken": (Plain(fail), ())}, None)
    assert set(ready) == set(entries)
    assert skipped == {"broken": "RuntimeError: no kernel for this device"}


def test_a_program_larger_than_the_device_is_not_run(entries):
    ready, skipped = screened(entries, memory_limit=64)
    assert ready == {}
    assert all(reason.startswith("MemoryError: needs") for reason in skipped.values())


def test_figures_and_rows_hold_every_contestant_once(entries):
    outcome = measured(FORWARD, CASE, "float32", entries, rounds=2)
    fields = outcome.to_dict()
    assert [each["name"] for each in fields["measurements"]][-1] == ONE_PRODUCT
    assert {each["name"] for each in fields["measurements"]} == set(entries)
    assert (fields["n"], fields["d"], fields["v"], fields["products"]) == (*CASE, 1)
    table = task_table(FORWARD, "float32", "2")
    add_rows(table, outcome._replace(skipped={"broken": "reason"}))
    assert table.row_count == len(entries) + 1
    assert OPTAX in list(table.columns[1].cells)


def test_neighbour_tiles_differ_from_the_planned_one():
    case = Case(2048, 512, 32768)
    tile = plan(*case).tile
    assert neighbour_tiles(case, jnp.float32) == (tile // 2, 2 * tile)
    assert neighbour_tiles(Case(1, 8, 37), jnp.float32) == ()
