"""Figures: numbers as text, with as many digits as their interval leaves them."""

import math
import numbers
from typing import Any, SupportsFloat

from xentjax.audit.section import Measure

_TIMES = {"share": 100.0}
_MOST_DECIMALS = 4


def figure_text(value: SupportsFloat, unit: str = "", *, decimals: int | None = None) -> str:
    """A number with its unit; shares are in percent.

    Args:
        value: the number.
        unit: "share", "nats", … or "" for a plain number.
        decimals: digits after the point; by default three digits count.

    Example:
        >>> figure_text(0.9741, "share"), figure_text(0.0642, "nats"), figure_text(1259.0)
        ('97.4 %', '0.0642 nats', '1,259')
    """
    shown = _number(float(value) * _TIMES.get(unit, 1.0), decimals)
    return f"{shown} {'%' if unit == 'share' else unit}".rstrip()


def interval_text(measure: Measure) -> str:
    """The interval of a measure, or nothing where it has none.

    Example:
        >>> interval_text(Measure("accuracy", 0.974, 0.95, 0.987, unit="share"))
        '95.0 to 98.7 %'
    """
    if measure.low is None or measure.high is None:
        return ""
    decimals = measure_decimals(measure)
    low = figure_text(measure.low, measure.unit, decimals=decimals)
    high = figure_text(measure.high, measure.unit, decimals=decimals)
    # The unit is said once, with the high end.
    return f"{low.split(' ')[0]} to {high}"


def measure_text(measure: Measure) -> str:
    """The value of a measure, as exact as its interval.

    Example:
        >>> measure_text(Measure("accuracy", 0.974, 0.95, 0.987, unit="share"))
        '97.4 %'
    """
    return figure_text(measure.value, measure.unit, decimals=measure_decimals(measure))


def measure_decimals(measure: Measure) -> int | None:
    """Decimals that show two digits of the interval's half width; None where it has none."""
    if measure.low is None or measure.high is None:
        return None
    half = abs(measure.high - measure.low) / 2 * _TIMES.get(measure.unit, 1.0)
    if not 0 < half < math.inf:
        return None
    return min(max(0, 1 - math.floor(math.log10(half))), _MOST_DECIMALS)


def cell_text(cell: Any) -> str:
    """What a cell of a table shows: texts as they are, numbers with three digits that count."""
    if cell is None:
        return "–"
    if is_number(cell):
        whole = isinstance(cell, numbers.Integral)
        return f"{int(cell):,}" if whole and abs(int(cell)) >= 10_000 else _plain(cell, whole)
    return str(cell)


def is_number(cell: Any) -> bool:
    """Whether a cell is a number; True and False are words."""
    return isinstance(cell, numbers.Real) and not isinstance(cell, bool)


def _plain(cell: Any, whole: bool) -> str:
    return str(int(cell)) if whole else figure_text(float(cell))


def _number(value: float, decimals: int | None) -> str:
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if decimals is None:
        if value == 0:
            return "0"
        magnitude = math.floor(math.log10(abs(value)))
        if magnitude < -_MOST_DECIMALS or magnitude > 12:
            return f"{value:.2e}".replace("-", "−")
        decimals = min(max(0, 2 - magnitude), _MOST_DECIMALS + 2)
    # Rounded first, so that −0.0001 is no "−0.00".
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")
