"""Every bench of the list can be asked for its rows, and the command line knows them all."""

import importlib.util

import pytest

from bench.__main__ import main
from bench.catalogue import BENCHES, NAMES, bench_named
from bench.effort import Effort

# These two measure their accuracy first; tests/bench/test_linear_check.py has that.
QUICK = [bench for bench in BENCHES if bench.name not in ("linear", "gpu")]


@pytest.mark.parametrize("bench", QUICK, ids=lambda bench: bench.name)
@pytest.mark.parametrize("full", [False, True])
def test_rows_have_names_of_their_own(bench, full):
    if bench.name in ("metrics", "train", "search"):
        pytest.importorskip("sklearn", reason='reads digits: pip install "xentjax[data]"')
    keys = [heat.key for heat in bench.heats(Effort(full=full))]
    assert keys
    assert len(set(keys)) == len(keys)


def test_every_module_is_there():
    assert len(set(NAMES)) == len(NAMES)
    assert all(importlib.util.find_spec(bench.module) for bench in BENCHES)


def test_the_list_has_a_line_for_each(capsys):
    assert main([]) == 0
    told = capsys.readouterr().out
    assert all(bench.name in told and bench.summary in told for bench in BENCHES)


def test_an_unknown_name_is_told_with_the_nearest(capsys):
    assert main(["dnese"]) == 2
    assert "did you mean 'dense'?" in capsys.readouterr().out
    with pytest.raises(ValueError, match="the benches are dense, linear"):
        bench_named("zzz")
