"""How much a language model recites, by the length of the prompt."""

from collections.abc import Mapping, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import Any

from xentjax.plots.canvas import new_figure, plain, save

# Colours and markers that differ without colour too.
_LOOKS = (("#c8452f", "o", "-"), ("#2f6f9f", "s", "--"), ("#3f7d58", "^", "-."))
_NATURAL = "#4a4a4a"


def draw_extraction(
    found: Mapping[str, Sequence[Any]],
    natural: float | None,
    length: int,
    target: Path | BufferedIOBase,
) -> None:
    """Draws the mean copied span over the prompt's length, one line a source of prompts.

    Args:
        found: name of the source → what has `prompt_length` and `mean_copied()`, which gives
            value, low and high, such as `xentjax.audit.extraction.Extraction`.
        natural: the mean span that unseen text shares with the training text anyway, or None.
        length: tokens that the model wrote.
        target: where to write.
    """
    figure = new_figure("Copied from the training text", size=(7.0, 4.2))
    panel = figure.subplots()
    widths = [each.prompt_length for each in next(iter(found.values()))]
    for number, (name, rows) in enumerate(found.items()):
        colour, marker, line = _LOOKS[number % len(_LOOKS)]
        means = [each.mean_copied() for each in rows]
        values = [mean.value for mean in means]
        below = [max(0.0, mean.value - mean.low) for mean in means]
        above = [max(0.0, mean.high - mean.value) for mean in means]
        # Beside each other, so that no interval hides another.
        places = [place + 0.06 * (number - (len(found) - 1) / 2) for place in range(len(widths))]
        panel.errorbar(
            places, values, yerr=[below, above], color=colour, marker=marker, linestyle=line,
            capsize=4, linewidth=1.8, label=name,
        )  # fmt: skip
    if natural is not None:
        panel.axhline(
            natural, color=_NATURAL, linewidth=1.3, linestyle=(0, (5, 3)), label="true test text"
        )  # fmt: skip
    panel.set_xticks(range(len(widths)), [str(width) for width in widths])
    panel.set(
        xlabel="tokens of the prompt",
        ylabel=f"longest copied span\n(mean, of {length} tokens)",
        ylim=(0, length * 1.02),
    )
    plain(panel)
    panel.set_xlim(-0.3, len(widths) - 0.7)
    figure.legend(
        *panel.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3
    )
    save(figure, target)
