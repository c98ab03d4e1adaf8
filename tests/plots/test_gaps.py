"""Pictures of gaps, curves and groups are drawn from plain records, odd ones too."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from xentjax.plots.gaps import draw_gaps
from xentjax.plots.groups import draw_groups
from xentjax.plots.learning_curve import draw_learning_curve


def estimate(value, half=0.1):
    return SimpleNamespace(value=value, low=value - half, high=value + half)


def drawn(draw, *arguments, **options):
    file = io.BytesIO()
    draw(*arguments, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("loss", [0.0, 0.3, 40.0])
def test_gaps_are_drawn_for_any_loss(loss):
    splits = [
        SimpleNamespace(name=name, rows=9, loss=estimate(loss), accuracy=estimate(0.9))
        for name in ("train", "validation", "test")
    ]
    first, again = (drawn(draw_gaps, splits, [("frequencies", 0.6)]) for _ in range(2))
    assert b"<svg" in first
    assert first == again


def test_a_learning_curve_is_drawn_with_and_without_a_law():
    sizes, losses = np.array([4, 8]), np.array([[1.0, 1.2], [0.5, 0.0]])
    curve = SimpleNamespace(
        sizes=sizes, losses=losses, train_losses=losses / 2, loss=[estimate(1.1), estimate(0.2)]
    )

    class Law(SimpleNamespace):
        def __call__(self, n):
            return 4 / n

    plain = drawn(draw_learning_curve, curve, None)
    assert b"<svg" in plain
    assert len(
        drawn(draw_learning_curve, curve, Law(forecast_size=16, forecast=estimate(0.2, 5.0)))
    ) > len(plain)


@pytest.mark.parametrize("values", [[0.5, 0.9], [np.nan, 0.9], [np.nan, np.nan], [1.0, 1.0]])
def test_groups_without_a_rate_are_named_and_have_no_dot(values, tmp_path):
    value = np.array(values)
    rates = SimpleNamespace(value=value, low=value - 0.1, high=value)
    path = tmp_path / "groups.png"
    draw_groups(["a", "a very long name of a group & more"], [3, 0], rates, 0.8, path)
    assert path.read_bytes().startswith(b"\x89PNG")
