"""Names that come with the data become letters of a picture, whatever they hold."""

import io
import xml.etree.ElementTree
from types import SimpleNamespace

import numpy as np
import pytest

from xentjax.plots.attention import draw_attention
from xentjax.plots.attribution import draw_feature_bars
from xentjax.plots.canvas import literal
from xentjax.plots.class_counts import draw_class_counts
from xentjax.plots.groups import draw_groups
from xentjax.plots.neighbours import Neighbours, draw_neighbours
from xentjax.plots.shift import draw_shift
from xentjax.plots.suspects import draw_suspects

# A formula that does not parse; what XML forbids, alone or paired; the end of a comment; a
# surrogate without its other half.
NAMES = [r"$\frac{$", "$$", "a\x00b", "\x1b[31m", "--><script>", "\ud800", "\uffff", "\r\n"]
IMAGES = np.zeros((len(NAMES), 2, 2))
IMAGES[:, 0, 0] = 1
ONES = np.ones(len(NAMES))
DRAWINGS = {
    "counts": (draw_class_counts, {"test": ONES.astype(int)}, NAMES),
    "groups": (
        draw_groups, NAMES, [1] * len(NAMES), SimpleNamespace(value=ONES, low=ONES, high=ONES), 1.0
    ),
    "suspects": (draw_suspects, IMAGES, NAMES, NAMES[::-1]),
    "features": (draw_feature_bars, NAMES, ONES, np.stack([ONES, ONES], 1), "title $"),
    "shift": (draw_shift, ONES, 0 * ONES, NAMES),
    "attention": (draw_attention, np.eye(len(NAMES)), NAMES, "title $$"),
    "neighbours": (
        draw_neighbours, [Neighbours(n, IMAGES[0], [IMAGES[0]], [n], [True]) for n in NAMES], "t"
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("draw", "arguments"), [(d, a) for d, *a in DRAWINGS.values()], ids=DRAWINGS
)
def test_a_picture_is_well_formed_whatever_names_hold(draw, arguments):
    file = io.BytesIO()
    draw(*arguments, file)
    drawn = xml.etree.ElementTree.fromstring(file.getvalue())
    assert drawn.tag.endswith("svg")
    assert not [each for each in drawn.iter() if "script" in str(each.tag)]


def test_letters_that_the_font_does_not_have_become_numbers_that_tell_them_apart():
    assert literal("日本") == "U+65E5U+672C" != literal("中国")
    assert literal("é ½ →") == "é ½ →"


def test_a_name_of_four_hundred_letters_leaves_room_for_the_picture():
    # Warnings are errors here: no glyph is missing, and the layout finds room.
    for draw, *arguments in DRAWINGS.values():
        named = [
            ["日本" * 200 if isinstance(name, str) else name for name in each]
            if isinstance(each, list) and isinstance(each[0], str)
            else each
            for each in arguments
        ]
        draw(*named, io.BytesIO())
