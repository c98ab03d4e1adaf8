"""Where planted secrets stand among those that a model was never shown."""

import math
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain, save

_OTHERS, _CANARY = "#9db4c8", "#c8452f"


def draw_exposure(exposure: Any, target: Path | BufferedIOBase) -> None:
    """Draws the losses of the alternatives as a histogram and those of the canaries as lines.

    Args:
        exposure: has `losses`, `alternatives`, `bits` and `space`, such as
            `xentjax.audit.canaries.Exposure`.
        target: where to write.
    """
    figure = new_figure("Planted secrets among all others", size=(7.0, 4.2))
    panel = figure.subplots()
    everyone = np.concatenate([exposure.losses, exposure.alternatives])
    edges = np.linspace(everyone.min(), everyone.max() + 1e-6, 41)
    count = len(exposure.alternatives)
    panel.hist(
        exposure.alternatives,
        bins=edges,
        color=_OTHERS,
        label=f"{count:,} of {_power(exposure.space)} never planted",
    )
    for number, loss in enumerate(exposure.losses):
        name = f"{len(exposure.losses)} planted" if number == 0 else None
        panel.axvline(loss, color=_CANARY, linewidth=1.8, label=name)
    panel.set(xlabel="loss of the whole secret (nats)", ylabel="secrets")
    plain(panel)
    panel.set_ylim(0, panel.get_ylim()[1] * 1.05)
    most, least = float(exposure.bits.max()), float(exposure.bits.min())
    panel.set_title(
        f"exposure {least:.1f} to {most:.1f} bits, of {math.log2(exposure.space):.1f} at most",
        fontsize=10.5,
        loc="left",
    )
    figure.legend(
        *panel.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=2
    )
    save(figure, target)


def _power(number: int) -> str:
    exponent = round(math.log10(number))
    return f"$10^{{{exponent}}}$" if number == 10**exponent and exponent > 4 else f"{number:,}"
