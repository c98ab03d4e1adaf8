"""The state of a fit: underfit, overfit or neither, by clear rules over intervals.

A rule speaks only where a whole interval lies on one side of its bound. `overfit` is asked first:
a model can be poor on its training rows and still have learned some of them by heart, and the
second is what a low loss hides.
"""

import dataclasses
from typing import Literal, TypeAlias

from xentjax.audit.estimate import Estimate
from xentjax.audit.overfitting import Generalization, References, split_size

FitState: TypeAlias = Literal["overfit", "underfit", "fits", "unclear"]
_Side: TypeAlias = Literal["above", "below", "astride"]


@dataclasses.dataclass(frozen=True)
class FitThresholds:
    """Where `fit_verdict` draws its lines.

    Attributes:
        loss_gap: the largest gap of the loss, as a share of the reference loss: a model that gives
            back a tenth of all there was to learn pays for what it has by heart.
        accuracy_gap: the largest gap of the accuracy.
        skill: the least share of the reference loss that must be gone on the training rows.
        rows: with fewer in train or test the bootstrap of a mean loss is too narrow, and rules
            about losses do not speak.
    """

    loss_gap: float = 0.1
    accuracy_gap: float = 0.05
    skill: float = 0.5
    rows: int = 30


@dataclasses.dataclass(frozen=True)
class FitVerdict:
    """Underfit, overfit or neither.

    Attributes:
        state: "overfit" or "underfit" where an interval lies wholly beyond its bound, "fits" where
            all lie wholly within, "unclear" else.
        reasons: one sentence a rule that decided, with its numbers.
    """

    state: FitState
    reasons: tuple[str, ...]


def reference_scale(references: References) -> float:
    """The loss to measure gaps by: the prior's, or log C where training knows a single class.

    Example:
        >>> reference_scale(References(uniform=0.7, prior=0.6))
        0.6
    """
    return references.prior if references.prior > 0 else references.uniform


def skill(found: Generalization) -> Estimate:
    """The share of the reference loss that is gone on the training rows: 1 − loss / reference.

    1 is a loss of 0, 0 is no better than always answering with the class frequencies.

    Raises:
        ValueError: the reference loss is 0, as with a single class.
    """
    scale = reference_scale(found.references)
    if not scale > 0:
        raise ValueError("references: with a single class there is nothing to learn, got 0 nats")
    loss = found.splits[0].loss
    return Estimate(*(1 - x / scale for x in (loss.value, loss.high, loss.low)))


def fit_verdict(
    found: Generalization, *, thresholds: FitThresholds | None = None, unit: str = "rows"
) -> FitVerdict:
    r"""Reads the state of a fit from the intervals.

    With the reference loss r (the entropy of the class frequencies):

    1. overfit, if the loss gap lies wholly above 0.1 r or the accuracy gap wholly above 0.05;
    2. else underfit, if the skill 1 − loss_train / r lies wholly below 0.5;
    3. else fits, if all three lie wholly within their bounds;
    4. else unclear: an interval straddles its bound, or a split has fewer than 30 rows.

    Prefer it to a look at two learning curves; it does not tell underfitting from data whose
    labels are noise, for which a longer training is the test.

    Args:
        found: from `generalization`.
        thresholds: other bounds than these.
        unit: what the reasons call the examples.

    Returns:
        `FitVerdict`.

    Raises:
        ValueError: the reference loss is 0.

    Example:
        >>> import numpy as np
        >>> from xentjax.audit.overfitting import Outcomes, generalization
        >>> right, wrong = Outcomes(np.zeros(50), np.ones(50, bool)), Outcomes(
        ...     np.ones(50), np.zeros(50, bool))
        >>> found = generalization(right, wrong, wrong, references=References(1.0, 1.0))
        >>> fit_verdict(found).state  # a gap of 1 nat where 0.1 is tolerated
        'overfit'
    """
    bounds = FitThresholds() if thresholds is None else thresholds
    loss_bound = bounds.loss_gap * reference_scale(found.references)
    train_rows, _, test_rows = (split.rows for split in found.splits)
    learned = skill(found)
    known = min(train_rows, test_rows) >= bounds.rows
    loss_gap = _side(found.loss_gap, loss_bound) if known else "astride"
    accuracy_gap = _side(found.accuracy_gap, bounds.accuracy_gap)
    skilled = _side(learned, bounds.skill) if train_rows >= bounds.rows else "astride"
    loss_text = (
        f"the loss is {_words(found.loss_gap)} nats higher on test than on training {unit}; up to "
        f"{loss_bound:.3f} is tolerated, {bounds.loss_gap:.0%} of the reference loss"
    )
    accuracy_text = (
        f"the accuracy is {_words(found.accuracy_gap)} lower on test than on training {unit}; up to "
        f"{bounds.accuracy_gap:g} is tolerated"
    )
    skill_text = (
        f"of the reference loss a share of {_words(learned)} is gone on the training {unit}; at "
        f"least {bounds.skill:g} is wanted"
    )
    spoken = {
        "overfit": [
            text
            for side, text in ((loss_gap, loss_text), (accuracy_gap, accuracy_text))
            if side == "above"
        ],
        "underfit": [skill_text] if skilled == "below" else [],
    }
    if spoken["overfit"]:
        return FitVerdict("overfit", tuple(spoken["overfit"] + spoken["underfit"]))
    if spoken["underfit"]:
        return FitVerdict("underfit", tuple(spoken["underfit"]))
    open_questions = _open(found, bounds, unit, (loss_gap, accuracy_gap, skilled))
    if open_questions:
        return FitVerdict("unclear", open_questions)
    return FitVerdict("fits", (loss_text, accuracy_text, skill_text))


def _side(found: Estimate, bound: float) -> _Side:
    if found.low > bound:
        return "above"
    return "below" if found.high < bound else "astride"


def _open(
    found: Generalization, bounds: FitThresholds, unit: str, sides: tuple[_Side, ...]
) -> tuple[str, ...]:
    """What could not be told, each with the rows that would settle it."""
    loss_bound = bounds.loss_gap * reference_scale(found.references)
    train, _, test = found.splits
    few = [s for s in (train, test) if s.rows < bounds.rows]
    reasons = [
        f"{split.name} has {split.rows} {unit}; below {bounds.rows} the interval of a mean loss is "
        "not to be believed"
        for split in few
    ]
    cases = (
        ("loss gap", found.loss_gap, loss_bound, test),
        ("accuracy gap", found.accuracy_gap, bounds.accuracy_gap, test),
        ("skill in training", skill(found), bounds.skill, train),
    )
    for (name, estimate, bound, split), side in zip(cases, sides, strict=True):
        if side == "astride" and _side(estimate, bound) == "astride":
            size = split_size(estimate, split.rows, bound=bound)
            # A number that sits on its bound is told from it by no split one could collect.
            settled = (
                f"about {size.rows_needed} {unit} of {split.name} instead of {split.rows} would tell"
                if size.rows_needed is not None and size.rows_needed <= 1000 * split.rows
                else "it sits on the bound"
            )
            reasons.append(f"the {name}, {_words(estimate)}, straddles {bound:.3f}: {settled}")
    return tuple(reasons)


def _words(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
