"""Pictures of attributions, robustness, layers and neighbours are drawn from plain records."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

from xentjax.plots.attribution import (
    ExplainedImage,
    draw_deletion_curve,
    draw_explained_images,
    draw_feature_bars,
)
from xentjax.plots.layers import draw_layers
from xentjax.plots.neighbours import Neighbours, draw_neighbours
from xentjax.plots.robustness import AccuracyCurve, draw_accuracy_curves

RNG = np.random.default_rng(0)
IMAGE = RNG.random((4, 4, 1))
COLOURED = RNG.random((4, 4, 3))
BLANK = np.zeros((4, 4))


def explained(image):
    return ExplainedImage("a < b & c", image, {"one": RNG.normal(size=(4, 4)), "none": BLANK})


SHARES = np.array([0.0, 0.5, 1.0])
DELETION = SimpleNamespace(shares=SHARES, attributed=1 - SHARES, random=1 - SHARES / 2)
CURVE = AccuracyCurve("attack", np.array([0.0, 0.005, 1.0]), 1 - SHARES, 0.9 - SHARES, 1 - SHARES)
LAYERS = [
    SimpleNamespace(name="layers.0", reads_std=1.0, gradient=0.0, dead=None),
    SimpleNamespace(name="a.very.long.path.of.a.layer", reads_std=1e-9, gradient=1e9, dead=1.0),
]
NEIGHBOURS = Neighbours("3", IMAGE, [IMAGE, COLOURED], ["3", "8"], [True, False])
PICTURES = {
    "gallery": (draw_explained_images, [explained(IMAGE), explained(COLOURED)], "title"),
    "bars": (
        draw_feature_bars,
        ["a" * 40, "b"],
        SHARES[1:],
        SHARES[[0, 1, 1, 2]].reshape(2, 2),
        "",
    ),
    "deletion": (draw_deletion_curve, DELETION, "title"),
    "accuracy": (draw_accuracy_curves, [CURVE] * 6, "title", "size", 0.5),
    "layers": (draw_layers, LAYERS, "title"),
    "neighbours": (draw_neighbours, [NEIGHBOURS], "title"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_same_svg_twice(name):
    draw, *arguments = PICTURES[name]
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        draw(*arguments, file)
    first, second = (file.getvalue() for file in files)
    assert first == second
    assert first.rstrip().endswith(b"</svg>")


def test_a_path_gets_the_format_of_its_suffix(tmp_path):
    path = tmp_path / "layers.png"
    draw_layers(LAYERS, "title", path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("draw", "arguments", "message"),
    [
        (draw_explained_images, ([], ""), "at least one image"),
        (draw_neighbours, ([], ""), "at least one test image"),
        (draw_layers, ([], ""), "layers must hold at least one"),
        (draw_accuracy_curves, ([], "", "", 0.5), "curves must hold at least one"),
    ],
)
def test_nothing_to_draw_is_refused(draw, arguments, message):
    with pytest.raises(ValueError, match=message):
        draw(*arguments, io.BytesIO())
