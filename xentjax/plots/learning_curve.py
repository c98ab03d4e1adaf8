"""Pictures of learning curves: the loss over the size of the training data, and its forecast."""

from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain, save

_TRAIN, _HELD_OUT, _LAW = "#5b7f9e", "#c8452f", "#4a4a4a"


def draw_learning_curve(
    curve: Any,
    law: Any | None,
    target: Path | BufferedIOBase,
    *,
    title: str = "Loss over the size of the training data",
) -> None:
    """Draws held-out and training losses over size, every training a dot, and the law fitted.

    Args:
        curve: what has `sizes` [S], `losses` and `train_losses` [S, R] and `loss`, S numbers with
            `value`, `low` and `high`; such as `LearningCurve`.
        law: what gives losses for sizes and has `forecast_size` and `forecast`, such as
            `PowerLaw`; None draws none.
        target: the picture to write.
        title: above it.
    """
    figure = new_figure(title, size=(7.2, 4.2))
    panel = figure.subplots()
    sizes = np.asarray(curve.sizes)
    _draw_trainings(panel, sizes, curve.train_losses, _TRAIN, "on its own training rows")
    _draw_trainings(panel, sizes, curve.losses, _HELD_OUT, "on rows held out")
    # Student's interval of three trainings can reach below 0, where no loss is.
    low, high = ([max(getattr(each, end), 0) for each in curve.loss] for end in ("low", "high"))
    panel.fill_between(sizes, low, high, color=_HELD_OUT, alpha=0.15, lw=0)
    top = 1.15 * max(np.max(curve.losses), np.max(curve.train_losses))
    if law is not None:
        _draw_law(panel, law, sizes)
        top = max(top, min(law.forecast.high, 2 * top))
    panel.set_ylim(0, top if top > 0 else 1)
    panel.set_xscale("log")
    ticks = [*sizes.tolist(), *([] if law is None else [law.forecast_size])]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.set(xlabel="training rows", ylabel="loss (nats)")
    panel.legend(frameon=False, loc="upper right")
    plain(panel)
    save(figure, target)


def _draw_trainings(
    panel: Any, sizes: np.ndarray, losses: np.ndarray, colour: str, label: str
) -> None:
    panel.plot(sizes, np.mean(losses, axis=1), color=colour, lw=1.8, label=label)
    repeated = np.repeat(sizes, losses.shape[1])
    panel.plot(repeated, losses.reshape(-1), "o", color=colour, ms=4.5, alpha=0.7)


def _draw_law(panel: Any, law: Any, sizes: np.ndarray) -> None:
    along = np.geomspace(sizes[0], law.forecast_size, 100)
    panel.plot(along, law(along), color=_LAW, lw=1.2, ls=(0, (5, 3)), label="a + b · n⁻ᶜ")
    spread = [[law.forecast.value - law.forecast.low], [law.forecast.high - law.forecast.value]]
    panel.errorbar(
        [law.forecast_size],
        [law.forecast.value],
        yerr=spread,
        fmt="D",
        color=_LAW,
        ms=6,
        capsize=4,
        label="forecast for twice the data",
    )
