"""Pictures of calibration are written, as PNG and as SVG, from plain records with gaps."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from xentjax.plots.conformal import draw_prediction_sets
from xentjax.plots.reliability import draw_reliability
from xentjax.plots.selective import draw_risk_coverage

pytest.importorskip("matplotlib")


def diagram(count=(0, 0, 3, 10, 40)):
    count = np.array(count)
    value = np.where(count > 0, (np.arange(5) + 0.5) / 5, np.nan)
    return SimpleNamespace(
        count=count, confidence=value, accuracy=value, low=value - 0.1, high=value + 0.1
    )


def shares(count):
    count = np.array(count)
    value = np.where(count > 0, 0.9, np.nan)
    nothing = np.zeros(len(count))
    return SimpleNamespace(
        count=count,
        value=value,
        low=np.where(count > 0, 0.8, nothing),
        high=np.where(count > 0, 0.95, 1),
    )


CURVE = SimpleNamespace(
    coverage=np.arange(1, 51) / 50,
    risk=np.arange(50) / 500,
    best_risk=np.zeros(50),
)
COVERAGE = SimpleNamespace(by_size=shares([0, 20, 10, 0]), by_class=shares([15, 15, 0]))
PICTURES = {
    "before and after": lambda target: draw_reliability(diagram(), diagram(), target),
    "before": lambda target: draw_reliability(diagram(), None, target),
    "one bin": lambda target: draw_reliability(diagram((0, 0, 0, 0, 1)), None, target),
    "risk": lambda target: draw_risk_coverage(CURVE, (0.5, 0.02), target),
    "risk of no mistake": lambda target: draw_risk_coverage(
        SimpleNamespace(**{**vars(CURVE), "risk": np.zeros(50)}), None, target
    ),
    "sets": lambda target: draw_prediction_sets(COVERAGE, ["cat", "dog", "x" * 40], 0.9, target),
    "sets of one row": lambda target: draw_prediction_sets(
        SimpleNamespace(by_size=shares([0, 1, 0]), by_class=shares([1, 0])), ["a", "b"], 0.9, target
    ),
}


@pytest.mark.parametrize("draw", PICTURES.values(), ids=PICTURES.keys())
def test_a_picture_is_written_as_svg_always_the_same(draw):
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        draw(file)
    assert files[0].getvalue().startswith(b"<?xml")
    assert files[0].getvalue() == files[1].getvalue()


def test_many_classes_become_the_worst_covered(tmp_path):
    many = SimpleNamespace(by_size=shares([0, *[3] * 100]), by_class=shares([3] * 100))
    many.by_class.value[77] = 0.1
    path = tmp_path / "sets.png"
    draw_prediction_sets(many, [f"class {i}" for i in range(100)], 0.9, path)
    assert path.stat().st_size > 10_000
