"""Figures as a reader wants them: a unit that fits, three digits, and – for what is not known."""

from xentjax.timing.spread import Spread

UNKNOWN = "–"


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


def bytes_text(count: int | None) -> str:
    """Bytes in decimal units: 1 MB is 10⁶ bytes.

    Example:
        >>> bytes_text(134_217_728), bytes_text(12), bytes_text(None)
        ('134 MB', '12 B', '–')
    """
    if count is None:
        return UNKNOWN
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{_three_digits(count / size)} {unit}"
    return f"{count} B"


def ratio_text(ratio: Spread | None) -> str:
    """Median of a ratio ± the standard error of that median.

    Example:
        >>> ratio_text(Spread(median=1.05, iqr=0.4, count=100)), ratio_text(None)
        ('1.05 ± 0.04', '–')
    """
    return UNKNOWN if ratio is None else f"{ratio.median:.2f} ± {ratio.median_error:.2f}"


def _three_digits(value: float) -> str:
    # Rounding first: 99.96 has three digits as 100, not as 100.0.
    rounded = float(f"{value:.3g}")
    decimals = 0 if abs(rounded) >= 100 else 1 if abs(rounded) >= 10 else 2
    return f"{rounded:.{decimals}f}"
