"""How a language model's loss grows as more and more of what it reads is replaced at random."""

from collections.abc import Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from xentjax.plots.canvas import new_figure, plain, save

_LOSS, _REFERENCE = "#c8452f", "#4a4a4a"


def draw_replacement(
    shares: Sequence[float], losses: Sequence[Any], unigram: float, target: Path | BufferedIOBase
) -> None:
    """Draws the loss over the share of tokens replaced, with its intervals.

    Args:
        shares: of tokens replaced, in [0, 1].
        losses: each with value, low and high, in nats per token.
        unigram: the loss of a model without context, in nats per token.
        target: where to write.
    """
    figure = new_figure("Reading with errors", size=(7.0, 4.2))
    panel = figure.subplots()
    panel.fill_between(
        shares, [x.low for x in losses], [x.high for x in losses], color=_LOSS, alpha=0.2, lw=0
    )
    panel.plot(shares, [x.value for x in losses], color=_LOSS, marker="o", linewidth=1.8)
    panel.axhline(unigram, color=_REFERENCE, linewidth=1.2, linestyle=(0, (5, 3)))
    panel.annotate(
        f"a model without context {unigram:.2f}",
        xy=(0.01, unigram),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        color=_REFERENCE,
    )
    panel.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set(xlabel="input tokens replaced at random", ylabel="loss on test (nats per token)")
    panel.set_ylim(0, None)
    plain(panel)
    save(figure, target)
