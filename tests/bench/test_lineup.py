"""Who disagrees is not timed, who cannot run is named, who can is counted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from bench.catalogue import Bench
from bench.contest import FLOOR, OURS, PEER
from bench.effort import Effort
from bench.heat import Heat
from bench.holding import absent, held
from bench.lineup import (
    CannotRunError,
    DisagreementError,
    TimedLineup,
    floor,
    ours,
    peer,
    prepare,
    relative_difference,
)
from xentjax.timing import Plain

X = jnp.arange(4.0)
LINEUP = {
    "xentjax": ours(jnp.sin, (X,)),
    "numpy": peer(Plain(np.sin), (np.asarray(X),)),
    "copy": floor(lambda x: 2 * x, (X,)),
}


def fail():
    raise RuntimeError("no kernel for this device\nand a trace")


def test_a_failing_peer_is_left_out_with_its_reason():
    ready = prepare(LINEUP | {"broken": peer(Plain(fail), ())}, None, 1e-6)
    assert list(ready.lineup) == list(LINEUP)
    assert ready.left_out == {"broken": "RuntimeError: no kernel for this device"}
    # sin in float32 by two libraries: a few roundings.
    assert ready.difference < 4 * 2**-24


def test_a_program_larger_than_the_device_is_not_run():
    with pytest.raises(CannotRunError, match="xentjax cannot run: MemoryError: needs"):
        prepare(LINEUP, memory_limit=1, tolerance=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: jnp.sin(x) * 1.001,
        lambda x: jnp.sin(x)[:3],
        lambda x: (jnp.sin(x), x),
        lambda x: jnp.sin(x) * jnp.nan,
    ],
)
def test_a_contestant_that_computes_something_else_is_refused(wrong):
    with pytest.raises(DisagreementError, match="optax"):
        prepare(LINEUP | {"optax": peer(wrong, (X,))}, None, 1e-4)


def test_difference_is_relative_in_the_euclidean_norm():
    expected = np.array([3.0, 4.0])
    assert relative_difference(np.array([3.0, 4.5]), expected) == pytest.approx(0.1)
    assert relative_difference(np.zeros(3), expected) == float("inf")
    assert relative_difference(np.array([0.5]), np.zeros(1)) == 0.5


def test_a_timed_lineup_has_a_sample_of_everyone_for_each_round():
    heat = Heat("table", "case", TimedLineup(lambda: LINEUP, note="tile 8"))
    found = heat.hold(heat, Effort(rounds=2))
    assert found.key == heat.key == "table: case"
    assert [(e.name, e.role, len(e.samples)) for e in found.entries] == [
        ("xentjax", OURS, 2),
        ("numpy", PEER, 2),
        ("copy", FLOOR, 2),
    ]
    assert found.note == "tile 8"
    assert found.checked.startswith("results differ by at most")


@pytest.fixture
def fake(monkeypatch):
    """A bench of two rows, of which one disagrees."""

    class Module:
        @staticmethod
        def heats(effort):
            assert effort.rounds == 1
            wrong = LINEUP | {"optax": peer(jnp.cos, (X,))}
            yield Heat("right", "a", TimedLineup(lambda: LINEUP))
            yield Heat("wrong", "b", TimedLineup(lambda: wrong))

    monkeypatch.setitem(__import__("sys").modules, "fake_bench", Module)
    return Bench("fake", "fake_bench", "made up", peers=("numpy", "no-such-peer"))


def test_a_row_that_disagrees_is_recorded_as_not_timed(fake):
    found = held(fake, Effort(rounds=1), Console(quiet=True))
    assert list(found.rows) == ["right: a"]
    assert list(found.failed) == ["wrong: b"]
    assert "optax differs from xentjax" in found.failed["wrong: b"]
    assert found.absent == {"no-such-peer": "not installed"}
    assert found.environment.device_count == len(jax.devices())


def test_only_some_rows_are_held_on_demand(fake):
    found = held(fake, Effort(rounds=1), Console(quiet=True), only=["ght: a"])
    assert (list(found.rows), found.failed) == (["right: a"], {})
    with pytest.raises(ValueError, match="no row of 'fake'"):
        held(fake, Effort(rounds=1), Console(quiet=True), only=["nothing"])


def test_absent_packages_are_named():
    assert absent(("jax", "no-such-peer")) == {"no-such-peer": "not installed"}
