"""Pictures of membership attacks: the ROC where few may be accused, and the scores behind it."""

from collections.abc import Mapping
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np

from xentjax.plots.canvas import new_figure, plain, save

# In the order of the attacks: red, blue, green and grey differ in lightness too.
_COLOURS = ("#c8452f", "#2f6f9f", "#3f7d58", "#4a4a4a")
_STYLES = ("-", (0, (5, 2)), (0, (1, 1.3)), (0, (4, 1.5, 1, 1.5)))
_MEMBERS, _OTHERS, _REFERENCE = "#c8452f", "#9db4c8", "#4a4a4a"
_BINS = 40


def draw_membership_roc(attacks: Mapping[str, Any], target: Path | BufferedIOBase) -> None:
    """Draws the ROC of attacks on logarithmic axes, so that the rates that matter have room.

    The chance line is TPR = FPR; above it an attack finds members. Bars are the 95 % intervals at
    the operating points that could be measured.

    Args:
        attacks: name → what has `false_positive_rates`, `true_positive_rates`, `points`, `auc` and
            `nonmember_scores`, such as `xentjax.audit.membership.MembershipAttack`; up to four.
        target: the picture to write, or an open file, which gets SVG.

    Raises:
        ImportError: if matplotlib is missing.
        ValueError: if there are no attacks, or more than four.
    """
    if not 1 <= len(attacks) <= len(_COLOURS):
        raise ValueError(f"attacks must be 1 to {len(_COLOURS)}, got {len(attacks)}")
    figure = new_figure("How many members are found", size=(7.0, 4.4 + 0.2 * len(attacks)))
    panel = figure.subplots()
    smallest = min(1 / attack.nonmember_scores.size for attack in attacks.values())
    floor = float(np.clip(10.0 ** np.floor(np.log10(smallest)), 1e-4, 1e-2))
    panel.plot([floor, 1], [floor, 1], color=_REFERENCE, lw=1.1, ls=(0, (5, 3)), label="chance")
    for (name, attack), colour, style in zip(attacks.items(), _COLOURS, _STYLES, strict=False):
        _draw_curve(panel, name, attack, colour, style, floor)
    panel.set(xscale="log", yscale="log", xlim=(floor, 1), ylim=(floor, 1.15))
    panel.set(xlabel="share of non-members accused (FPR)", ylabel="share of members found (TPR)")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
        axis.set_minor_formatter(lambda *_: "")
    # Below: wherever curves run above chance they fill the one corner, and at chance the other.
    figure.legend(frameon=False, loc="outside lower center", fontsize=10)
    plain(panel)
    panel.set(xlim=(floor, 1))
    save(figure, target)


def draw_membership_scores(
    attack: Any, target: Path | BufferedIOBase, *, score: str = "score"
) -> None:
    """Draws the scores of members and of others over each other.

    Args:
        attack: what has `member_scores` and `nonmember_scores`.
        target: the picture to write, or an open file, which gets SVG.
        score: what the scores are, for the axis.

    Raises:
        ImportError: if matplotlib is missing.
    """
    inside, outside = attack.member_scores, attack.nonmember_scores
    everyone = np.concatenate([inside, outside])
    everyone = everyone[np.isfinite(everyone)]
    # The far tails would leave the middle a single bar; what lies beyond is put into the last ones.
    low, high = np.quantile(everyone, [0.02, 0.98]) if everyone.size else (0.0, 1.0)
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    figure = new_figure("Scores of members and of others", size=(7.0, 4.0))
    panel = figure.subplots()
    for name, scores, colour, fill in (
        (f"non-members ({outside.size:,})", outside, _OTHERS, True),
        (f"members ({inside.size:,})", inside, _MEMBERS, False),
    ):
        clipped = np.clip(scores, edges[0], edges[-1])
        shares = np.histogram(clipped, edges)[0] / scores.size
        panel.stairs(shares, edges, color=colour, fill=fill, lw=1.8, label=name)
    panel.set(xlabel=f"{score} (higher: taken for a member)", ylabel="share of rows")
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.legend(frameon=False, loc="best", fontsize=10)
    plain(panel)
    save(figure, target)


def _draw_curve(panel: Any, name: str, attack: Any, colour: str, style: Any, floor: float) -> None:
    label = f"{name}: AUC {attack.auc:.3f}"
    # A point at no false positives has no place on a logarithmic axis: the curve enters from the
    # left at the height that it has there.
    fpr = np.maximum(attack.false_positive_rates, floor)
    tpr = np.maximum(attack.true_positive_rates, floor / 10)
    panel.step(fpr, tpr, where="post", color=colour, ls=style, lw=1.9, label=label)
    for point in attack.points:
        if point.resolved:
            height = max(point.true_positive_rate, floor)
            ends = [[height - max(point.low, floor)], [max(point.high, floor) - height]]
            panel.errorbar(
                [max(point.false_positive_rate, floor)], [height], np.maximum(ends, 0),
                color=colour, marker="o", ms=5, capsize=3, lw=1.3,
            )  # fmt: skip
