"""The part of the section on overfitting that compares the splits, in words and pictures."""

import dataclasses

from xentjax.audit.estimate import Estimate
from xentjax.audit.fit_state import FitThresholds, FitVerdict, reference_scale, skill
from xentjax.audit.heads import Head
from xentjax.audit.overfitting import Generalization
from xentjax.audit.section import Grid, Measure, Picture, Section, Verdict, picture, worst
from xentjax.audit.sections.bounds import Bounds, above, below, judged, mild, unpraised
from xentjax.audit.sections.wording import percent
from xentjax.plots.gaps import draw_gaps

_BOUNDS = FitThresholds()
# Below this share of the reference loss gone in training a model has hardly begun.
_LITTLE_SKILL = 0.1


@dataclasses.dataclass(frozen=True)
class Words:
    """What the examples and the reference are called."""

    unit: str
    reference: str


def split_section(found: Generalization, verdict: FitVerdict, words: Words, head: Head) -> Section:
    """What can be said without training anew.

    Args:
        found: scores by split.
        verdict: read from them.
        words: what examples and reference are called.
        head: key, title and question of the section.
    """
    train, _, test = found.splits
    measures = _measures(found, words)
    gap = f"{_nats(found.loss_gap)} ({_interval(found.loss_gap)})"
    state: dict[str, tuple[Verdict, str]] = {
        "fits": ("good", "The model does on new data nearly what it does on its training data"),
        "overfit": ("act", "The model does clearly worse on new data than on its training data"),
        "underfit": ("watch", "The model has learned little of what its training data hold"),
        "unclear": ("watch", "Neither over- nor underfitting is shown, but not all could be told"),
    }
    stands, sentence = state[verdict.state]
    if verdict.state == "underfit" and skill(found).high < _LITTLE_SKILL:
        stands = "act"
    finding = (
        f"{sentence}: the loss is {_nats(train.loss)} in training and {_nats(test.loss)} on test, "
        f"a gap of {gap}, where {words.reference} would cost "
        f"{reference_scale(found.references):.3g}. Accuracy: {percent(train.accuracy.value)} in "
        f"training, {percent(test.accuracy.value)} on test."
    )
    return Section(
        *head,
        worst([stands, *(each.verdict for each in measures if each.name == "test loss")]),
        finding,
        measures=measures,
        grids=[
            _split_grid(found, words),
            Grid("Why this verdict", ["reason"], [[reason] for reason in verdict.reasons]),
        ],
        pictures=[_gap_picture(found, words)],
        advice=_advice(verdict.state, words),
    )


def _measures(found: Generalization, words: Words) -> list[Measure]:
    scale = reference_scale(found.references)
    test = found.splits[2].loss
    # Below so many rows the bootstrap is too narrow to be believed.
    many = found.splits[2].rows >= _BOUNDS.rows
    return [
        judged(
            "loss gap, test − training",
            found.loss_gap,
            _trusted(below(_BOUNDS.loss_gap * scale), many),
            unit="nats",
            why=f"a tenth of the loss of {words.reference}",
        ),
        judged(
            "accuracy gap, training − test",
            found.accuracy_gap,
            _trusted(below(_BOUNDS.accuracy_gap), many or found.counted),
            unit="share",
        ),
        judged(
            "test loss",
            test,
            _trusted(below(scale), many),
            unit="nats",
            why=f"that of {words.reference}",
        ),
        judged(
            "share of the reference loss gone in training",
            skill(found),
            _trusted(above(_BOUNDS.skill), found.splits[0].rows >= _BOUNDS.rows),
            unit="share",
        ),
    ]


def _trusted(bounds: Bounds, many: bool) -> Bounds:
    """Neither praise nor alarm where rows are few."""
    return bounds if many else unpraised(mild(bounds))


def _split_grid(found: Generalization, words: Words) -> Grid:
    return Grid(
        "By split",
        ["split", words.unit, "loss (nats)", "95 % interval", "accuracy", "95 % interval"],
        [
            [
                s.name,
                s.rows,
                f"{s.loss.value:.3g}",
                _interval(s.loss),
                percent(s.accuracy.value),
                f"{percent(s.accuracy.low)} to {percent(s.accuracy.high)}",
            ]
            for s in found.splits
        ],
        f"Guessing all answers alike costs {found.references.uniform:.3g} nats, {words.reference} "
        f"{found.references.prior:.3g}. Validation chose the parameters, so it is a little too "
        "kind to the model; test is not.",
    )


def _gap_picture(found: Generalization, words: Words) -> Picture:
    marks = [("frequencies only", found.references.prior), ("all alike", found.references.uniform)]
    if abs(marks[0][1] - marks[1][1]) < 0.01 * marks[1][1]:
        marks = marks[:1]
    losses = ", ".join(f"{s.name} {s.loss.value:.3g}" for s in found.splits)
    caption = (
        f"Mean loss ({losses}) and accuracy of each split with 95 % intervals over {words.unit}. "
        "Overfitting shows as training far to the left of test."
    )
    return picture("Loss and accuracy by split", caption, _draw(words.unit), found.splits, marks)


def _draw(unit: str):
    return lambda splits, marks, file: draw_gaps(splits, marks, file, counted=unit)


def _advice(state: str, words: Words) -> list[str]:
    return {
        "fits": [],
        "overfit": [
            "Stop earlier, at the best validation loss.",
            "Regularize: dropout, weight decay, augmentation, or a smaller model.",
            "Collect more training data, if the learning curve still falls.",
        ],
        "underfit": [
            "Try a larger learning rate and a larger model: the training loss should fall first.",
            "If neither helps, suspect the labels: noise cannot be learned.",
        ],
        "unclear": [f"Hold out more {words.unit} for test: the table of reasons says how many."],
    }[state]


def _nats(found: Estimate) -> str:
    return f"{found.value:.3g} nats"


def _interval(found: Estimate) -> str:
    return f"{found.low:.3g} to {found.high:.3g}"
