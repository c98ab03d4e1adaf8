"""A comparison as tables for the terminal: how the runs went, and what the programs are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from xentjax.timing.figures import (
    UNKNOWN,
    bytes_text,
    flops_text,
    median_text,
    rate_text,
    ratio_text,
    seconds_text,
)
from xentjax.timing.floor import DeviceRates

if TYPE_CHECKING:
    from xentjax.timing.comparison import Comparison

BELOW_FLOOR = (
    "runs below its floor, so the floor does not fit it: it may read only a part of its inputs, "
    "find them in cache, or multiply in a narrower dtype"
)

_Column = tuple[str, Sequence[str]]


def run_table(comparison: Comparison, title: str | None) -> Table:
    """One line a contestant: run time, ratios with their uncertainty, verdict."""
    entries, names = comparison.measurements, comparison.names
    floors = [entry.floor for entry in entries]
    floor_name = next((floor.name for floor in floors if floor), "floor")
    columns: list[_Column] = [
        ("contestant", names),
        ("median", [seconds_text(entry.median_seconds) for entry in entries]),
        ("IQR", [seconds_text(entry.iqr_seconds) for entry in entries]),
        (f"× {comparison.baseline}", [_ratio(comparison, name) for name in names]),
        ("verdict", [_verdict(comparison, name) for name in names]),
        (f"× {floor_name}", [ratio_text(floor and floor.ratio) for floor in floors]),
        ("bound by", [(floor and floor.bound) or UNKNOWN for floor in floors]),
    ]
    rates = next((floor.rates for floor in floors if floor and floor.rates), None)
    return _table(columns, title, _caption(comparison, rates))


def program_table(comparison: Comparison, title: str | None) -> Table:
    """One line a contestant: work, achieved rates, memory and time to build."""
    entries = comparison.measurements
    works = [entry.work for entry in entries]
    memories = [entry.memory for entry in entries]
    builds = [entry.compilation for entry in entries]
    flops = [work.flops if work else None for work in works]
    columns: list[_Column] = [
        ("contestant", comparison.names),
        ("products", [UNKNOWN if count is None else flops_text(count) for count in flops]),
        ("achieved", [rate_text(entry.flops_per_second, "FLOP/s") for entry in entries]),
        ("moved", [bytes_text(work and work.bytes) for work in works]),
        ("achieved", [rate_text(entry.bytes_per_second, "B/s") for entry in entries]),
        ("temp", [bytes_text(memory and memory.temp_bytes) for memory in memories]),
        ("out", [bytes_text(memory and memory.output_bytes) for memory in memories]),
        ("peak", [bytes_text(entry.peak_bytes) for entry in entries]),
        ("build", [seconds_text(build and build.seconds) for build in builds]),
    ]
    return _table(columns, title, None)


def notes(comparison: Comparison) -> list[Text]:
    """What a reader must know beside the figures: caveats, and why a figure is missing."""
    lines = []
    for entry in comparison.measurements:
        lines += entry.caveats
        if entry.floor is not None and entry.floor.is_beaten:
            lines.append(f"{entry.name!r} {BELOW_FLOOR}")
        if entry.work is not None:
            lines += [f"{entry.name!r}: {why}" for why in entry.work.unknown]
    if any(entry.copies > 1 for entry in comparison.measurements):
        lines.append("inputs were copied and rotated, so that runs read from memory, not cache")
    return [Text(f"! {line}") for line in dict.fromkeys(lines)]


def _table(columns: Sequence[_Column], title: str | None, caption: str | None) -> Table:
    shown = [(header, cells) for header, cells in columns if set(cells) != {UNKNOWN}]
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    for header, _ in shown:
        justify = "left" if header in ("contestant", "verdict") else "right"
        table.add_column(header, justify=justify, no_wrap=header != "verdict")
    for row in zip(*(cells for _, cells in shown), strict=True):
        table.add_row(*row)
    return table


def _ratio(comparison: Comparison, name: str) -> str:
    return median_text(comparison.ratio(name), comparison.interval(name))


def _verdict(comparison: Comparison, name: str) -> str:
    return "baseline" if name == comparison.baseline else comparison.verdict(name)


def _caption(comparison: Comparison, rates: DeviceRates | None) -> str:
    caption = str(comparison.environment)
    if rates is None:
        return caption
    copy = rate_text(rates.bytes_per_second, "B/s")
    product = rate_text(rates.flops_per_second, "FLOP/s")
    return f"{caption}\nroofline: copy {copy}, {rates.dtype} product {product}"
