"""Figures as a reader wants them: a unit that fits, three digits, and – for what is not known."""

from rich.console import Console, RenderableType

from xentjax.timing.interval import Interval
from xentjax.timing.spread import Spread

UNKNOWN = "–"
PLAIN_WIDTH = 120


def plain_text(renderable: RenderableType) -> str:
    """What rich would draw, as text without colours, for `print` and logs."""
    console = Console(width=PLAIN_WIDTH, color_system=None)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get().rstrip("\n")


def seconds_text(seconds: float | None) -> str:
    """Seconds with three significant digits and a fitting unit.

    Example:
        >>> seconds_text(0.01234), seconds_text(None)
        ('12.3 ms', '–')
    """
    if seconds is None:
        return UNKNOWN
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if abs(seconds) >= size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def bytes_text(count: int | None, unknown: str = UNKNOWN) -> str:
    """Bytes in decimal units: 1 MB is 10⁶ bytes; `unknown` where there is no count.

    Example:
        >>> bytes_text(134_217_728), bytes_text(12), bytes_text(None)
        ('134 MB', '12 B', '–')
    """
    if count is None:
        return unknown
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{_three_digits(count / size)} {unit}"
    return f"{count} B"


def flops_text(count: int | float) -> str:
    """FLOPs in decimal units.

    Example:
        >>> flops_text(2 * 1024**3), flops_text(90)
        ('2.15 GFLOP', '90 FLOP')
    """
    return rate_text(count, "FLOP") if count >= 1000 else f"{count:.0f} FLOP"


def rate_text(rate: int | float | None, unit: str) -> str:
    """Work, or work a second, in decimal units.

    Example:
        >>> rate_text(1.5e12, "FLOP/s"), rate_text(12.3e9, "B/s"), rate_text(None, "B/s")
        ('1.50 TFLOP/s', '12.3 GB/s', '–')
    """
    if rate is None:
        return UNKNOWN
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if rate >= size:
            return f"{_three_digits(rate / size)} {prefix}{unit}"
    return f"{_three_digits(rate / 1e3)} k{unit}"


def interval_text(interval: Interval | None) -> str:
    """A 95 % interval of a ratio.

    Example:
        >>> interval_text(Interval(0.951, 1.02)), interval_text(Interval(0.01234, 0.2))
        ('0.95 … 1.02', '0.0123 … 0.20')
    """
    if interval is None:
        return UNKNOWN
    return f"{_hundredths(interval.low)} … {_hundredths(interval.high)}"


def ratio_text(ratio: Spread | None) -> str:
    """Median of a ratio ± the standard error of that median.

    Example:
        >>> ratio_text(Spread(median=1.05, iqr=0.4, count=100)), ratio_text(None)
        ('1.05 ± 0.04', '–')
    """
    return UNKNOWN if ratio is None else f"{ratio.median:.2f} ± {ratio.median_error:.2f}"


def median_text(ratio: Spread, interval: Interval | None) -> str:
    """Median of a ratio and its interval; where there is none, the error of the median.

    Example:
        >>> median_text(Spread(median=1.05, iqr=0.4, count=100), Interval(1.01, 1.1))
        '1.05 (1.01 … 1.10)'
    """
    if interval is None:
        return ratio_text(ratio)
    return f"{_hundredths(ratio.median)} ({interval_text(interval)})"


def _hundredths(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.3g}"


def _three_digits(value: float) -> str:
    # Rounding first: 99.96 has three digits as 100, not as 100.0.
    rounded = float(f"{value:.3g}")
    decimals = 0 if abs(rounded) >= 100 else 1 if abs(rounded) >= 10 else 2
    return f"{rounded:.{decimals}f}"
