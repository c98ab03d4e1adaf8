"""The small bar beside a measure: where its value and its 95 % interval lie, from zero on."""

import math
from typing import SupportsFloat

from xentjax.audit.markup import Markup, element
from xentjax.audit.section import Measure

_MARGIN = 1e-9
_SMALLEST, _LARGEST = 1e-12, 1e300


def interval_bar(measure: Measure) -> Markup:
    """A drawing of the value as a dot and the interval as a stroke, with both ends of its scale.

    It repeats what the numbers beside it say, so it is hidden from screen readers. A value that is
    not finite has no bar.
    """
    ends = bar_scale(measure)
    if ends is None:
        return Markup("")
    low, high = ends

    def place(value: SupportsFloat) -> str:
        value = float(value)
        return f"{100 * (min(max(value, low), high) - low) / (high - low):.2f}%"

    drawn = [_line("track", "0%", "100%")]
    if low < 0 < high:
        drawn.append(element("line", class_="zero", x1=place(0.0), x2=place(0.0), y1="1", y2="15"))
    if measure.low is not None and measure.high is not None:
        drawn.append(_line("span", place(measure.low), place(measure.high)))
    drawn.append(element("circle", class_="dot", cx=place(measure.value), cy="8", r="4"))
    scale = [element("span", _end_text(end, measure.unit)) for end in ends]
    return element(
        "span",
        element("svg", *drawn, width="100%", height="16"),
        element("span", *scale, class_="ends"),
        class_="bar",
        aria_hidden="true",
    )


def bar_scale(measure: Measure) -> tuple[float, float] | None:
    """The ends of the bar: zero, and the next of 1, 2, 5, 10, … that holds all; None if infinite.

    Example:
        >>> bar_scale(Measure("calibration error", 0.013, 0.008, 0.019, unit="share"))
        (0.0, 0.02)
        >>> bar_scale(Measure("gap", -0.3, -0.7, 0.4))
        (-1.0, 0.5)
    """
    numbers = [float(x) for x in (measure.value, measure.low, measure.high) if x is not None]
    if not all(abs(number) < _LARGEST for number in numbers):  # NaN is not below it either
        return None
    low, high = -_next_round(-min(0.0, *numbers)), _next_round(max(0.0, *numbers))
    return (low + 0.0, high) if low < high else (0.0, 1.0)


def _end_text(end: float, unit: str) -> str:
    """An end of the scale; it is a round number, so it takes few digits."""
    shown = f"{100 * end:g} %" if unit == "share" and end else f"{end:g}"
    return shown.replace("-", "−")


def _next_round(value: float) -> float:
    """The least of 1, 2, 5 · 10ⁿ that is not below a value; 0 of what is nearly 0."""
    if value < _SMALLEST:
        return 0.0
    power = math.floor(math.log10(value))
    for step in (1, 2, 5, 10):
        end = step * 10.0**power if power >= 0 else step / 10.0**-power
        if value <= end * (1 + _MARGIN):
            return end
    return 10.0 ** (power + 1)


def _line(kind: str, start: str, end: str) -> Markup:
    return element("line", class_=kind, x1=start, x2=end, y1="8", y2="8")
