"""The pictures of the language audit are written for ordinary and for odd records."""

import dataclasses
import io
from collections import namedtuple

import numpy as np
import pytest

from xentjax.plots.attention import draw_attention
from xentjax.plots.exposure import draw_exposure
from xentjax.plots.extraction import draw_extraction
from xentjax.plots.replacement import draw_replacement

Mean = namedtuple("Mean", "value low high")


@dataclasses.dataclass
class Row:
    prompt_length: int
    mean: float

    def mean_copied(self):
        return Mean(self.mean, self.mean - 1, self.mean + 1)


@dataclasses.dataclass
class Exposed:
    losses: np.ndarray
    alternatives: np.ndarray
    bits: np.ndarray
    space: int


def is_svg(draw, *arguments):
    file = io.BytesIO()
    draw(*arguments, file)
    return b"<svg" in file.getvalue() and file.getvalue().rstrip().endswith(b"</svg>")


@pytest.mark.parametrize("natural", [None, 12.0])
@pytest.mark.parametrize("widths", [(8,), (8, 16, 32)])
def test_extraction(widths, natural):
    found = {name: [Row(w, 10 + w / 4) for w in widths] for name in ("training", "test")}
    assert is_svg(draw_extraction, found, natural, 50)


@pytest.mark.parametrize(("count", "space"), [(1, 10**9), (8, 300)])
def test_exposure(count, space):
    rng = np.random.default_rng(0)
    record = Exposed(np.full(count, 3.0), rng.normal(20, 2, 300), np.full(count, 8.2), space)
    assert is_svg(draw_exposure, record)
    same = Exposed(np.ones(1), np.ones(5), np.zeros(1), 5)
    assert is_svg(draw_exposure, same)


@pytest.mark.parametrize("pieces", [list("a\n \t$\x00_"), ["a"], list("x" * 64)])
def test_attention(pieces):
    shares = np.tril(np.ones((len(pieces), len(pieces))))
    assert is_svg(draw_attention, shares / shares.sum(1, keepdims=True), pieces, "Rollout")


def test_replacement():
    rates = [Mean(1.0, 0.9, 1.1), Mean(2.0, 1.8, 2.2)]
    assert is_svg(draw_replacement, [0.0, 0.5], rates, 3.1)
