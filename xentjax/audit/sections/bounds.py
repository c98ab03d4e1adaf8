"""Bounds: what of a number is good, where "act" begins, and the verdict that follows from both.

Every judged measure of the report is made by `judged`. Its `good` says the bounds in words, so
that a reader can check the verdict by the interval, and a test does.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import SupportsFloat

from xentjax.audit.section import Measure, Verdict

# The least number above 0: what is below it is none.
_LEAST = math.ulp(0.0)


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The numbers that are good, and those to act on; what lies between is to be watched.

    Attributes:
        above: good numbers are above it.
        below: and below this.
        act_below: "act" begins below it; at `above` where no harder bound is given.
        act_above: "act" begins above it; at `below` where no harder bound is given.
        praised: whether it can be good at all: not where the sample is too small for praise.
    """

    above: float = -math.inf
    below: float = math.inf
    act_below: float = -math.inf
    act_above: float = math.inf
    praised: bool = True

    def verdict(self, low: float, high: float) -> Verdict:
        """How an interval stands; NaN is within nothing and beyond nothing.

        Args:
            low: lower end.
            high: upper end; a number without interval is both.

        Example:
            >>> ends = (0.0, 0.04), (0.0, 1.0), (0.3, 0.4)
            >>> [below(0.05, act=0.2).verdict(*each) for each in ends]
            ['good', 'watch', 'act']
        """
        if low > self.act_above or high < self.act_below:
            return "act"
        return "good" if self.praised and self.above < low and high < self.below else "watch"

    def words(self, unit: str = "") -> str:
        """The bounds for the reader, such as "below 5 %; act above 20 %".

        Args:
            unit: of the measure; "share" is shown in percent.

        Example:
            >>> below(0.05, act=0.2).words("share"), mild(above(0.9)).words()
            ('below 5 %; act above 20 %', 'above 0.9; never act')
        """
        said = [self._good_words(unit)]
        beyond = [
            f"{side} {_number(bound, unit)}"
            for side, bound in (("below", self.act_below), ("above", self.act_above))
            if math.isfinite(bound)
        ]
        if not beyond:
            said.append("never act")
        elif (self.act_below, self.act_above) != _beyond(self.above, self.below):
            said.append(f"act {' or '.join(beyond)}")
        return "; ".join(said if self.praised else [*said, "never good"])

    def _good_words(self, unit: str) -> str:
        if self.below == _LEAST:
            return "none"
        if math.isinf(self.above):
            return f"below {_number(self.below, unit)}"
        if math.isinf(self.below):
            return f"above {_number(self.above, unit)}"
        return f"between {_number(self.above, unit)} and {_number(self.below, unit)}"


def below(bound: float, *, act: float | None = None) -> Bounds:
    """Good below a bound, and "act" above it or above a harder one."""
    return Bounds(below=bound, act_above=bound if act is None else act)


def above(bound: float) -> Bounds:
    """Good above a bound, and "act" below it."""
    return Bounds(above=bound, act_below=bound)


def between(low: float, high: float, *, act: tuple[float, float] | None = None) -> Bounds:
    """Good between two bounds, and "act" beyond them or beyond harder ones."""
    return Bounds(low, high, *(act or (low, high)))


def none(*, act: float = 0.0) -> Bounds:
    """Good where there is none at all, and "act" above a bound."""
    return Bounds(below=_LEAST, act_above=act)


def mild(bounds: Bounds) -> Bounds:
    """The same, but never "act": for what is no harm by itself, or not sure to be one."""
    return dataclasses.replace(bounds, act_below=-math.inf, act_above=math.inf)


def unpraised(bounds: Bounds) -> Bounds:
    """The same, but never good: for a sample so small that its interval is too narrow."""
    return dataclasses.replace(bounds, praised=False)


def judged(
    name: str,
    found: SupportsFloat | Sequence[SupportsFloat],
    bounds: Bounds,
    *,
    unit: str = "",
    why: str = "",
) -> Measure:
    """A measure with the verdict that its interval and its bounds give.

    Args:
        name: what it measures.
        found: the number, or the number with the ends of its 95 % interval.
        bounds: what is good, and what is to act on.
        unit: as that of a `Measure`.
        why: said behind the bounds; not beginning with "act" or "never".

    Example:
        >>> judged("lost", (0.3, 0.25, 0.35), below(0.05, act=0.2), unit="share").verdict
        'act'
        >>> judged("p-value", 0.3, mild(above(0.01))).verdict  # without interval: the number
        'good'
    """
    value, *ends = [float(x) for x in (found if isinstance(found, Sequence) else [found])]
    low, high = ends or (value, value)
    return Measure(
        name,
        value,
        *ends,
        unit=unit,
        good="; ".join(part for part in (bounds.words(unit), why) if part),
        verdict=bounds.verdict(low, high),
    )


def _beyond(low: float, high: float) -> tuple[float, float]:
    """Where "act" begins if no harder bound is given; nothing at all is more than none."""
    return low, 0.0 if high == _LEAST else high


def _number(value: float, unit: str) -> str:
    shown = f"{100 * value:.3g} %" if unit == "share" else f"{value:.3g}"
    return shown.replace("-", "−")
