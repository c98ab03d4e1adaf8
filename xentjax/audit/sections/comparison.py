"""Comparisons: what one way of dividing the rows contributes to the section on fairness."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np

from xentjax.audit.groups import Rate
from xentjax.audit.section import Picture, picture
from xentjax.plots.groups import draw_groups

# Ten points: a difference that people notice in the answers they get.
TOLERATED = 0.1
LEVEL = 0.05
_MOST_DRAWN = 20


def draw_rates(
    title: str,
    caption: str,
    names: Sequence[str],
    counts: np.ndarray,
    rate: Rate,
    overall: float,
    label: str,
) -> Picture:
    """A dot and an interval for each group; of many groups those with the lowest rates."""
    values = np.nan_to_num(np.asarray(rate.value, float), nan=np.inf)
    kept = np.sort(np.argsort(values, kind="stable")[:_MOST_DRAWN])
    if len(kept) < len(names):
        caption += f" Of {len(names)} the {len(kept)} lowest are drawn."
    shown = SimpleNamespace(**{end: np.asarray(getattr(rate, end))[kept] for end in Rate._fields})
    arguments = [names[i] for i in kept], [int(counts[i]) for i in kept], shown, overall

    def draw(*drawn) -> None:
        draw_groups(*drawn, title=title, label=label)

    return picture(title, caption, draw, *arguments)
