"""Pictures of runs, schedules and searches: plain records, drawn by matplotlib (extra `plot`)."""

from xentjax.plots.curves import Curves, draw_curves
from xentjax.plots.finder import draw_rate_curve
from xentjax.plots.schedules import draw_schedules
from xentjax.plots.sweep import draw_heat_map, draw_parallel_coordinates

__all__ = [
    "Curves",
    "draw_curves",
    "draw_heat_map",
    "draw_parallel_coordinates",
    "draw_rate_curve",
    "draw_schedules",
]
