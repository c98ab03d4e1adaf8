"""Pictures of a sweep are written, and show every trial where it belongs."""

import math

import numpy as np
import pytest

from xentjax.plots.sweep import draw_heat_map, draw_parallel_coordinates

pytest.importorskip("matplotlib")


def make_row(number, rate, decay, name):
    # A bowl around η = 0.01, λ = 0.01; above η = 0.5 it diverges.
    nats = 0.3 + 0.2 * math.log10(rate / 0.01) ** 2 + 0.05 * math.log10(decay / 0.01) ** 2
    diverged = rate > 0.5
    return {
        "number": number,
        "rate": rate,
        "decay": decay,
        "name": name,
        "seed": 0,
        "validation_nats": math.nan if diverged else nats + (0.1 if name == "sgd" else 0.0),
        "accuracy": 0.9,
        "train_nats": nats,
        "skipped": 0,
        "steps": 100,
        "diverged": diverged,
        "rung": 0,
    }


def random_rows(count=40):
    rng = np.random.default_rng(0)
    return [
        make_row(i, 10 ** rng.uniform(-4, 0), 10 ** rng.uniform(-4, -1), ["adam", "sgd"][i % 2])
        for i in range(count)
    ]


GRID = [
    make_row(0, rate, decay, "adam") for rate in (0.001, 0.01, 0.1, 1.0) for decay in (1e-3, 1e-2)
]


def test_a_grid_becomes_cells_with_its_losses(tmp_path):
    path = tmp_path / "cells.png"
    figure = draw_heat_map(GRID, "rate", "decay", path)
    assert path.stat().st_size > 10_000
    panel = figure.axes[0]
    cells = panel.images[0].get_array()
    assert cells.shape == (2, 4)
    np.testing.assert_allclose(cells[1, 1], 0.3)
    texts = [text.get_text() for text in panel.texts]
    assert texts.count("diverged") == 2
    assert "0.3" in texts


def test_several_trials_of_a_cell_show_their_best():
    rows = [*GRID, {**GRID[2], "validation_nats": 0.1}, {**GRID[2], "validation_nats": 0.9}]
    figure = draw_heat_map(rows, "rate", "decay")
    np.testing.assert_allclose(figure.axes[0].images[0].get_array()[0, 1], 0.1)


def test_a_random_search_becomes_points_on_logarithmic_axes(tmp_path):
    path, rows = tmp_path / "points.png", random_rows()
    figure = draw_heat_map(rows, "rate", "decay", path)
    assert path.stat().st_size > 10_000
    panel = figure.axes[0]
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    sound = sum(not row["diverged"] for row in rows)
    assert len(panel.collections[0].get_offsets()) == sound
    assert len(panel.lines[0].get_xdata()) == len(rows) - sound > 0


def test_parallel_coordinates_draw_a_line_a_trial_over_what_differs(tmp_path):
    path, rows = tmp_path / "parallel.png", random_rows()
    figure = draw_parallel_coordinates(rows, path)
    assert path.stat().st_size > 10_000
    panel = figure.axes[0]
    names = [text.get_text() for text in panel.get_xticklabels()]
    assert names == ["rate", "decay", "name", "validation loss (nats)"]  # the seed is constant
    lines = [line for line in panel.lines if len(line.get_xdata()) == len(names)]
    assert len(lines) == len(rows)
    # The best trial is in front, and lowest on the right.
    front = max(lines, key=lambda line: line.get_zorder())
    assert front.get_ydata()[-1] == 0
    # Logarithmic: the place of a rate is that of its logarithm.
    best = min((row for row in rows if not row["diverged"]), key=lambda r: r["validation_nats"])
    logs = [math.log(row["rate"]) for row in rows]
    wanted = (math.log(best["rate"]) - min(logs)) / (max(logs) - min(logs))
    np.testing.assert_allclose(front.get_ydata()[0], wanted)


def test_trials_that_all_diverged_are_still_drawn():
    rows = [make_row(i, rate, 0.01, "adam") for i, rate in enumerate((1.0, 2.0))]
    assert draw_parallel_coordinates(rows).axes
    assert draw_heat_map(rows, "rate", "decay").axes


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: draw_heat_map([], "rate", "decay"), "rows must hold at least one trial"),
        (lambda: draw_heat_map(GRID, "rat", "decay"), "rows have no 'rat'; they have"),
        (lambda: draw_parallel_coordinates(GRID, names=["x"]), "rows have no 'x'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
