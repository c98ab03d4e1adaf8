"""Attention as a heat map, with the text on both axes."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import literal, new_figure, save

_SPOKEN = {"\n": "↵", " ": "␣", "\t": "⇥"}


def draw_attention(
    shares: Any, pieces: Sequence[str], title: str, target: Path | BufferedIOBase
) -> None:
    """Draws which earlier piece of text each position draws on.

    Args:
        shares: [T, T], row t what position t takes of each.
        pieces: T pieces of text; blanks and line breaks are shown by signs.
        title: above the picture.
        target: where to write.
    """
    from matplotlib.colors import PowerNorm

    time = len(pieces)
    shares = np.asarray(shares)
    # The first rows have few tokens to choose from; scaled to them, all later rows would be pale.
    most = float(shares[time // 4 :].max())
    ahead = np.triu(np.ones((time, time), bool), 1)
    figure = new_figure(title, size=(7.0, 6.2))
    panel = figure.subplots()
    # Rollout leaves most of a row on few tokens: a root shows the rest too.
    drawn = panel.imshow(
        np.ma.masked_array(shares, ahead), cmap="YlGnBu", norm=PowerNorm(0.5, vmin=0, vmax=most)
    )
    names = [
        _SPOKEN.get(piece, literal(piece, longest=12) if piece.isprintable() else "·")
        for piece in pieces
    ]
    # Fewer names where there is no room for all.
    every = 1 + (time - 1) // 56
    size = 10 if time <= 32 else 7.5
    places = range(0, time, every)
    panel.set_xticks(places, [names[place] for place in places], fontsize=size)
    panel.set_yticks(places, [names[place] for place in places], fontsize=size)
    panel.tick_params(length=0, pad=2)
    panel.xaxis.tick_top()
    panel.set(xlabel="draws on this token", ylabel="position (read downwards)")
    panel.xaxis.set_label_position("top")
    panel.spines[:].set_visible(False)
    figure.colorbar(
        drawn, ax=panel, shrink=0.8, format=lambda value, _: f"{value:.0%}", extend="max"
    )
    save(figure, target)
