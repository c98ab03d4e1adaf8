"""The section on overfitting: does the model know the subject, or its training rows by heart."""

import dataclasses
from collections.abc import Callable

import numpy as np

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.estimate import Estimate
from xentjax.audit.fit_state import FitThresholds, FitVerdict, fit_verdict, reference_scale, skill
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.overfitting import (
    Generalization,
    Outcomes,
    References,
    generalization,
    outcomes,
    reference_losses,
)
from xentjax.audit.passages import passage_outcomes
from xentjax.audit.section import Grid, Measure, Picture, Section, Verdict, picture, worst
from xentjax.audit.sections.more_data import with_learning_curve, with_longer_training
from xentjax.jobs.baselines import unigram_nats
from xentjax.plots.gaps import draw_gaps

_KEY, _TITLE = "overfitting", "Overfitting"
_QUESTION = "Has the model learned the subject, too little of it, or its training data by heart?"
_SPLITS = ("train", "validation", "test")
_BOUNDS = FitThresholds()
# Below this share of the reference loss gone in training a model has hardly begun.
_LITTLE_SKILL = 0.1


@dataclasses.dataclass(frozen=True)
class _Words:
    """What the examples and the reference are called."""

    unit: str
    reference: str


_ROWS = _Words("rows", "always answering with the class frequencies")
_TEXT = _Words("passages", "knowing only how often each token occurs")


def overfitting_section(
    subject: Classifier,
    *,
    seed: int = 0,
    curve_repeats: int = 3,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Scores a classifier by split, reads under- or overfitting, and asks what data would bring.

    Trains anew: a learning curve of five sizes, and, where the model seems underfit, one training
    of four times the steps.

    Args:
        subject: the classifier.
        seed: of resamples and trainings.
        curve_repeats: trainings for each size of the learning curve; below 2 there is no curve.
        progress: told what is being done.

    Returns:
        The section.
    """
    tell = progress or _keep_quiet
    parts = [getattr(subject, name) for name in _SPLITS]
    refusal = _refusal(parts)
    if refusal is not None:
        return refusal
    tell("overfitting: scores by split")
    scored = [outcomes(part.logits, part.labels) for part in parts]
    broken = _broken(scored)
    if broken is not None:
        return broken
    references = reference_losses(subject.train.labels, classes=subject.train.logits.shape[1])
    found = generalization(*scored, references=references, seed=seed)
    verdict = fit_verdict(found)
    section = _section(found, verdict, _ROWS)
    if _poor(found):
        tell("overfitting: a longer training")
        least = _BOUNDS.loss_gap * reference_scale(references)
        section = with_longer_training(section, subject, scored[1:], least=least, seed=seed)
    tell("overfitting: learning curve")
    return with_learning_curve(section, subject, repeats=curve_repeats, seed=seed)


def language_overfitting_section(
    subject: LanguageModel,
    *,
    seed: int = 0,
    most_passages: int = 64,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Scores a language model on passages of each split and reads under- or overfitting.

    Args:
        subject: the language model.
        seed: of the resamples.
        most_passages: of each split; the evenly spaced ones that are scored.
        progress: told what is being done.

    Returns:
        The section.
    """
    tell = progress or _keep_quiet
    short = [name for name in _SPLITS if len(subject.tokens[name]) < 2]
    if short:
        return _unmeasured(f"{short[0]} has fewer than two tokens", "give a longer text")
    scored = []
    for name in _SPLITS:
        tell(f"overfitting: passages of {name}")
        scored.append(
            passage_outcomes(
                subject.model, subject.tokens[name], block=subject.block, most=most_passages
            )
        )
    broken = _broken(scored)
    if broken is not None:
        return broken
    train, classes = subject.tokens["train"], subject.tokenizer.vocab_size
    unigram = unigram_nats(train, train, classes=classes)
    found = generalization(
        *scored, references=References(float(np.log(classes)), unigram), seed=seed
    )
    section = _section(found, fit_verdict(found, unit=_TEXT.unit), _TEXT)
    curve = (
        "Learning curve: a language model is too long to train again for it; train on half of the "
        "text with the same options and compare the losses on test."
    )
    return dataclasses.replace(section, unmeasured=[curve])


def _keep_quiet(_: str) -> None:
    """What is being done goes unsaid."""


def _refusal(parts: list[Rows]) -> Section | None:
    """Why there is nothing to measure, or None."""
    for name, part in zip(_SPLITS, parts, strict=True):
        if not len(part.labels):
            return _unmeasured(f"{name} has no rows", "split the data into three parts with rows")
    if parts[0].logits.shape[1] < 2:
        return _unmeasured("there is a single class", "give data with at least two")
    return None


def _unmeasured(reason: str, remedy: str) -> Section:
    finding = f"Not measured, because {reason}."
    return Section(
        _KEY,
        _TITLE,
        _QUESTION,
        "unmeasured",
        finding,
        unmeasured=[f"All of it: {reason}; {remedy}."],
    )


def _broken(scored: list[Outcomes]) -> Section | None:
    """Losses that are infinite or no numbers have no mean; they are the finding."""
    bad = {
        name: int(np.sum(~np.isfinite(split.losses)))
        for name, split in zip(_SPLITS, scored, strict=True)
    }
    if not sum(bad.values()):
        return None
    where = ", ".join(f"{count} in {name}" for name, count in bad.items() if count)
    return Section(
        _KEY,
        _TITLE,
        _QUESTION,
        "act",
        f"The loss is infinite or not a number for some examples: {where}. The model gives the "
        "truth probability 0 there, or its scores are broken.",
        advice=["Look for NaN and infinity in the features, the parameters and the logits."],
        unmeasured=["Gaps and intervals: a mean needs finite losses; mend the scores first."],
    )


def _section(found: Generalization, verdict: FitVerdict, words: _Words) -> Section:
    """What can be said without training anew."""
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
        f"{reference_scale(found.references):.3g}. Accuracy: {train.accuracy.value:.1%} in "
        f"training, {test.accuracy.value:.1%} on test."
    )
    return Section(
        _KEY,
        _TITLE,
        _QUESTION,
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


def _measures(found: Generalization, words: _Words) -> list[Measure]:
    scale = reference_scale(found.references)
    test = found.splits[2].loss
    learned = skill(found)
    negative = Estimate(-learned.value, -learned.high, -learned.low)
    return [
        Measure(
            "loss gap, test − training",
            *found.loss_gap,
            "nats",
            f"below {_BOUNDS.loss_gap * scale:.3g}, a tenth of the loss of {words.reference}",
            _side(found.loss_gap, _BOUNDS.loss_gap * scale),
        ),
        Measure(
            "accuracy gap, training − test",
            *found.accuracy_gap,
            "share",
            f"below {_BOUNDS.accuracy_gap:.0%}",
            _side(found.accuracy_gap, _BOUNDS.accuracy_gap),
        ),
        Measure(
            "test loss", *test, "nats", f"below {scale:.3g}, {words.reference}", _side(test, scale)
        ),
        Measure(
            "share of the reference loss gone in training",
            *learned,
            "share",
            f"above {_BOUNDS.skill:.0%}",
            _side(negative, -_BOUNDS.skill),
        ),
    ]


def _side(found: Estimate, bound: float) -> Verdict:
    """Good wholly below the bound, act wholly above it, watch astride."""
    if found.high <= bound:
        return "good"
    return "act" if found.low > bound else "watch"


def _split_grid(found: Generalization, words: _Words) -> Grid:
    return Grid(
        "By split",
        ["split", words.unit, "loss (nats)", "95 % interval", "accuracy", "95 % interval"],
        [
            [
                s.name,
                s.rows,
                f"{s.loss.value:.3g}",
                _interval(s.loss),
                f"{s.accuracy.value:.1%}",
                f"{s.accuracy.low:.1%} to {s.accuracy.high:.1%}",
            ]
            for s in found.splits
        ],
        f"Guessing every class alike costs {found.references.uniform:.3g} nats, {words.reference} "
        f"{found.references.prior:.3g}. Validation chose the parameters, so it is a little too "
        "kind to the model; test is not.",
    )


def _gap_picture(found: Generalization, words: _Words) -> Picture:
    marks = [("frequencies only", found.references.prior), ("all alike", found.references.uniform)]
    if abs(marks[0][1] - marks[1][1]) < 0.01 * marks[1][1]:
        marks = marks[:1]
    losses = ", ".join(f"{s.name} {s.loss.value:.3g}" for s in found.splits)
    caption = (
        f"Mean loss ({losses}) and accuracy of each split with 95 % intervals over {words.unit}. "
        "Overfitting shows as training far to the left of test."
    )
    return picture("Loss and accuracy by split", caption, draw_gaps, found.splits, marks)


def _advice(state: str, words: _Words) -> list[str]:
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


def _poor(found: Generalization) -> bool:
    return skill(found).low < _BOUNDS.skill


def _nats(found: Estimate) -> str:
    return f"{found.value:.3g} nats"


def _interval(found: Estimate) -> str:
    return f"{found.low:.3g} to {found.high:.3g}"
