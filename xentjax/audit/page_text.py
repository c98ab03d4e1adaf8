"""Coloured text on the page: each piece on a ground the stronger, the higher its number."""

import math
from typing import SupportsFloat

from xentjax.audit.figures import figure_text
from xentjax.audit.markup import Markup, element, prose
from xentjax.audit.section import ColouredText

_SHADES = 9  # as many as the style sheet has, besides none


def coloured_text(text: ColouredText) -> Markup:
    """The text, a legend and a caption; each piece tells its number where a pointer rests on it."""
    pieces = [
        element(
            "span",
            piece,
            class_=_class(shade(number, text.low, text.high)),
            title=figure_text(number),
        )
        for piece, number in text.pieces
    ]
    swatches = [element("span", class_=_class(level)) for level in range(_SHADES + 1)]
    legend = element(
        "p",
        element("span", figure_text(text.low)),
        element("span", *swatches, class_="swatches", aria_hidden="true"),
        element("span", figure_text(text.high)),
        class_="legend",
    )
    return element(
        "div",
        element("h3", text.title),
        legend,
        element("p", *pieces, class_="pieces"),
        element("p", prose(text.caption), class_="note"),
        class_="coloured",
    )


def shade(number: SupportsFloat, low: SupportsFloat, high: SupportsFloat) -> int:
    """The shade of a number, 0 for none to 9; none where it is not a number.

    Example:
        >>> [shade(number, 0.0, 2.0) for number in (-1.0, 0.0, 1.0, 2.0, 5.0)]
        [0, 0, 4, 9, 9]
    """
    number, low, high = float(number), float(low), float(high)
    if math.isnan(number) or not 0 < high - low < math.inf:
        return 0
    part = (min(max(number, low), high) - low) / (high - low)
    return math.floor(part * _SHADES + 0.4999)


def _class(level: int) -> str | None:
    return f"shade-{level}" if level else None
