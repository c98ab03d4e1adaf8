"""Every colour of the style sheet can be read on its ground: contrast of WCAG 2.1, level AA."""

import re
from importlib import resources

import pytest

STYLE = resources.files("xentjax.audit").joinpath("page.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", STYLE[STYLE.index(start) :].split("}")[0]))
    for start in (":root {", ":root {\n    --paper: #1")
)
HEAT = [int(part) for part in re.search(r"--heat: (\d+) (\d+) (\d+);", STYLE).groups()]
SHADES = re.findall(r"\.shade-(\d) \{ background: rgb\(var\(--heat\) / ([\d.]+)\)", STYLE)
READABLE = 4.5


def channels(colour):
    return [int(colour[at : at + 2], 16) for at in (1, 3, 5)]


def luminance(rgb):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (part / 255 for part in rgb)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast([0, 0, 0], [255, 255, 255]) == pytest.approx(21)
    assert contrast(channels("#777777"), [255, 255, 255]) == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["ink", "soft", "act", "watch", "good", "unmeasured"])
def test_words_and_verdicts_can_be_read(colours, name):
    for ground in ("paper", "card"):
        assert contrast(channels(colours[name]), channels(colours[ground])) >= READABLE


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read_on_every_shade_and_shades_grow(colours):
    assert [int(level) for level, _ in SHADES] == list(range(1, 10))
    card, before = channels(colours["card"]), 1.0
    for _, part in SHADES:
        blend = [float(part) * h + (1 - float(part)) * c for h, c in zip(HEAT, card, strict=True)]
        assert contrast(channels(colours["ink"]), blend) >= READABLE
        assert contrast(blend, card) > before
        before = contrast(blend, card)
