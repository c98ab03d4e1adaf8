"""The bench's own oracle, and that it sees a contestant that computes something else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bench.linear_check import errors, failures, truth
from bench.linear_contestants import (
    OPTAX,
    XENTJAX,
    gradients,
    neighbour_tiles,
    optax_loss,
    random_inputs,
    training,
)
from bench.lineup import ours
from xentjax.fused import plan
from xentjax.fused.cases import Case

CASE, TILE = Case(23, 8, 37), 8


@pytest.fixture
def inputs():
    return random_inputs(CASE, jnp.float32)


def test_truth_is_the_dense_definition_differentiated_by_jax(inputs, x64):
    del x64
    hidden, weight, labels, cotangents = (jnp.asarray(np.asarray(x)) for x in inputs)

    def total(hidden, weight):
        logs = jax.nn.log_softmax(hidden.astype(float) @ weight.astype(float))
        return -jnp.sum(cotangents * logs[jnp.arange(CASE.n), labels])

    wide = hidden.astype(float), weight.astype(float)
    expected = jax.value_and_grad(total, argnums=(0, 1))(*wide)
    losses, dhidden, dweight = truth(inputs, np.asarray(cotangents, np.float64))
    # float64 on both sides: 100 eps.
    np.testing.assert_allclose(losses @ np.asarray(cotangents, np.float64), expected[0], rtol=2e-14)
    np.testing.assert_allclose(dhidden, expected[1][0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(dweight, expected[1][1], rtol=1e-12, atol=1e-14)


def test_every_contestant_is_close_to_the_truth(inputs):
    found = errors(training(inputs, (TILE,)), inputs)
    assert set(found) >= {XENTJAX, f"tile {TILE}", OPTAX}
    # Sums of at most 37 float32 terms: 64 eps.
    assert max(max(each) for each in found.values()) < 8e-6
    assert failures(found, jnp.float32) == []


def test_a_wrong_contestant_is_named_with_the_part_that_is_wrong(inputs):
    def twice(*arrays):
        return 2 * optax_loss(*arrays)

    entries = training(inputs) | {XENTJAX: ours(gradients(twice), inputs.arrays)}
    wrong = failures(errors(entries, inputs), jnp.float32)
    assert [sentence.split(" 1.0e+00")[0] for sentence in wrong] == [
        f"xentjax: error of {part}" for part in ("value", "hidden", "weight")
    ]


def test_neighbour_tiles_differ_from_the_planned_one():
    case = Case(2048, 512, 32768)
    tile = plan(*case).tile
    assert neighbour_tiles(case, jnp.float32) == (tile // 2, 2 * tile)
    assert neighbour_tiles(Case(1, 8, 37), jnp.float32) == ()
