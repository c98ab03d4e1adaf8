"""The picture of a rate curve is written and marks what the curve suggests."""

import numpy as np
import pytest

from xentjax.plots.finder import draw_rate_curve
from xentjax.search.rate_curve import make_rate_curve

pytest.importorskip("matplotlib")


def curve(steps=71, seed=0):
    rates = 10.0 ** np.linspace(-6, 1, 71)
    u = np.log10(rates) + 2.5
    losses = 2.3 - 2 / (1 + np.exp(-3 * u)) + np.where(rates > 0.1, 20 * (rates - 0.1), 0)
    noise = np.random.default_rng(seed).normal(0, 0.04, 71)
    return make_rate_curve(rates[:steps], (losses + noise)[:steps], smoothing=0.7, divergence=4.0)


def test_the_picture_is_written_and_marks_each_suggestion(tmp_path):
    path, found = tmp_path / "curve.png", curve()
    figure = draw_rate_curve(found, path)
    assert path.stat().st_size > 10_000
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [f"valley: {found.valley:.2g}" in labels, "diverged" in labels] == [True, True]
    (panel,) = figure.axes
    # The divergence does not squash the curve: the axis ends a little above the beginning.
    assert panel.get_ylim()[1] < 1.5 * found.losses[0]
    assert panel.get_xscale() == "log"


def test_a_curve_without_suggestions_is_drawn_without_them(tmp_path):
    figure = draw_rate_curve(curve(steps=3), tmp_path / "short.png")
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert labels == {"loss of each batch", "smoothed"}


def test_a_curve_without_a_step_is_refused():
    with pytest.raises(ValueError, match="curve holds no step"):
        draw_rate_curve(curve(steps=0))
