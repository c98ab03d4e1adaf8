"""The curves: memory without a run, and a picture of every panel."""

import pytest
from rich.console import Console

from bench.linear_contestants import OPTAX, XENTJAX
from bench.linear_growth import (
    TINY,
    Point,
    Sizes,
    draw_growth,
    growth_table,
    measure_growth,
    memory_points,
)
from xentjax.fused.cases import Case


def test_memory_grows_with_n_for_dense_logits_and_not_for_tiles():
    sizes = Sizes(Case(0, 16, 4096), (1024, 4096), (), (), ())
    figures = {(point.contestant, point.n): point.figure for point in memory_points(sizes, "n")}
    logits = 4 * 4096 * 4096
    assert figures[OPTAX, 4096] >= logits
    # Four times the tokens: a tile stays, and only arrays of [N] grow.
    assert figures[XENTJAX, 4096] - figures[XENTJAX, 1024] < logits / 50


@pytest.mark.slow
def test_growth_is_tabled_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    points = measure_growth(TINY, 1, Console(quiet=True))
    assert [Point(**point._asdict()) for point in points] == points
    for axis, sizes in (("n", TINY.memory_n), ("v", TINY.memory_v)):
        assert growth_table(points, axis).row_count == len(sizes)
    draw_growth(points, tmp_path / "docs" / "growth.png")
    assert (tmp_path / "docs" / "growth.png").read_bytes().startswith(b"\x89PNG")
