"""The section on overfitting: does the model know the subject, or its training rows by heart."""

import dataclasses
from collections.abc import Callable

import numpy as np

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.fit_state import FitThresholds, fit_verdict, reference_scale, skill
from xentjax.audit.heads import OVERFITTING
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.overfitting import (
    Generalization,
    References,
    generalization,
    outcomes,
    reference_losses,
)
from xentjax.audit.passage_scores import passage_outcomes
from xentjax.audit.section import Section, worst
from xentjax.audit.sections.more_data import with_learning_curve, with_longer_training
from xentjax.audit.sections.new_text import new_text_part
from xentjax.audit.sections.split_scores import Words, split_section
from xentjax.jobs.baselines import unigram_nats

_SPLITS = ("train", "validation", "test")
_BOUNDS = FitThresholds()
_ROWS = Words("rows", "always answering with the class frequencies")
_TEXT = Words("passages", "knowing only how often each token occurs")


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
    broken = _broken([part.logits.sum(axis=1) for part in parts])
    if broken is not None:
        return broken
    scored = [outcomes(part.logits, part.labels) for part in parts]
    references = reference_losses(subject.train.labels, classes=subject.train.logits.shape[1])
    found = generalization(*scored, references=references, seed=seed)
    section = split_section(found, fit_verdict(found), _ROWS, OVERFITTING)
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
    broken = _broken([split.losses for split in scored])
    if broken is not None:
        return broken
    train, classes = subject.tokens["train"], subject.tokenizer.vocab_size
    unigram = unigram_nats(train, train, classes=classes)
    found = generalization(
        *scored, references=References(float(np.log(classes)), unigram), seed=seed
    )
    verdict = fit_verdict(found, unit=_TEXT.unit)
    section = split_section(found, verdict, _TEXT, OVERFITTING)
    curve = (
        "Learning curve: a language model is too long to train again for it; train on half of the "
        "text with the same options and compare the losses on test."
    )
    tell("overfitting: text that train does not have")
    bound = _BOUNDS.loss_gap * reference_scale(found.references)
    new = new_text_part(subject, bound=bound, seed=seed)
    said = [section.finding, new.sentence]
    # What is worse is said first.
    if new.verdict in ("act", "watch"):
        said.reverse()
    return dataclasses.replace(
        section,
        verdict=worst([section.verdict, new.verdict]),
        finding=" ".join(said).strip(),
        measures=[*section.measures, *new.measures],
        advice=[*section.advice, *new.advice],
        unmeasured=[*new.unmeasured, curve],
    )


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
        *OVERFITTING,
        "unmeasured",
        finding,
        unmeasured=[f"All of it: {reason}; {remedy}."],
    )


def _broken(scores: list[np.ndarray]) -> Section | None:
    """Scores that are infinite or no numbers have no mean; they are the finding."""
    bad = {
        name: int(np.sum(~np.isfinite(split))) for name, split in zip(_SPLITS, scores, strict=True)
    }
    if not sum(bad.values()):
        return None
    where = ", ".join(f"{count} in {name}" for name, count in bad.items() if count)
    return Section(
        *OVERFITTING,
        "act",
        f"The loss is infinite or not a number for some examples: {where}. The model gives the "
        "truth probability 0 there, or its scores are broken.",
        advice=["Look for NaN and infinity in the features, the parameters and the logits."],
        unmeasured=["Gaps and intervals: a mean needs finite losses; mend the scores first."],
    )


def _poor(found: Generalization) -> bool:
    return skill(found).low < _BOUNDS.skill
