"""Pictures of the data: drawn for any number of classes, suspects and features."""

import io

import numpy as np
import pytest

from xentjax.plots.class_counts import draw_class_counts
from xentjax.plots.shift import draw_shift
from xentjax.plots.suspects import draw_suspects


def svg(draw, *arguments):
    file = io.BytesIO()
    draw(*arguments, file)
    return file.getvalue().decode()


@pytest.mark.parametrize("classes", [1, 2, 10, 30])
@pytest.mark.parametrize("splits", [1, 3])
def test_counts_of_any_number_of_classes_are_drawn_one_bar_each(classes, splits):
    rng = np.random.default_rng(0)
    counts = {f"split {k}": rng.integers(0, 99, classes) for k in range(splits)}
    names = [f"class number {k}" for k in range(classes)]
    drawn = svg(draw_class_counts, counts, names)
    assert drawn == svg(draw_class_counts, counts, names)
    fewer = svg(draw_class_counts, {k: row[:1] for k, row in counts.items()}, names[:1])
    # matplotlib calls a bar a patch; the picture of one class has one a split.
    bars = drawn.count('id="patch_') - fewer.count('id="patch_')
    assert bars == splits * (min(classes, 20) - 1)


def test_a_split_without_rows_is_drawn():
    assert "<svg" in svg(draw_class_counts, {"train": [3, 4], "test": [0, 0]}, ["a", "b"])


@pytest.mark.parametrize("n", [1, 3, 5, 20])
def test_suspects_of_any_number_are_drawn_twelve_at_most(n):
    images = np.random.default_rng(1).random((n, 8, 8))
    drawn = svg(draw_suspects, images, ["a"] * n, ["a long name of a class"] * n)
    assert drawn.count("<image") == min(n, 12)


@pytest.mark.parametrize("features", [1, 4, 64])
def test_features_of_any_number_are_drawn(features):
    distances = np.linspace(0, 1, features)
    names = [f"feature {k}" for k in range(features)]
    assert "<svg" in svg(draw_shift, distances, 1 - distances, names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: svg(draw_class_counts, {"train": [1]}, ["a", "b"]), "for each of 2 names"),
        (lambda: svg(draw_suspects, np.zeros((0, 8, 8)), [], []), "n ≥ 1"),
        (lambda: svg(draw_shift, [0.1], [0.1, 0.2], ["a"]), "one entry a feature"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
