"""The state of a fit: underfit, overfit or neither, by clear rules over intervals.

A rule speaks only where a whole interval lies on one side of its bound. `overfit` is asked first:
a model can be poor on its training rows and still have learned some of them by heart, and the
second is what a low loss hides.
"""

import dataclasses
from typing import Literal, NamedTuple, TypeAlias

from xentjax.audit.estimate import Estimate
from xentjax.audit.overfitting import Generalization, References, SplitScores, split_size

FitState: TypeAlias = Literal["overfit", "underfit", "fits", "unclear"]


@dataclasses.dataclass(frozen=True)
class FitThresholds:
    """Where `fit_verdict` draws its lines.

    Attributes:
        loss_gap: the largest gap of the loss, as a share of the reference loss: a model that gives
            back a tenth of all there was to learn pays for what it has by heart.
        accuracy_gap: the largest gap of the accuracy.
        skill: the least share of the reference loss that must be gone on the training rows.
        rows: with fewer in a split the bootstrap of its mean loss is too narrow: with fewer in
            test the loss gap breaks no rule, with fewer in train the skill does not.
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
    rules = _rules(found, bounds, unit)
    broken = [rule for rule in rules if rule.stands == "broken"]
    if broken:
        # The overfitting rules come first.
        return FitVerdict(broken[0].state, tuple(rule.text for rule in broken))
    few = tuple(
        f"{split.name} has {split.rows} {unit}; below {bounds.rows} the interval of a mean loss is "
        "not to be believed"
        for split in (found.splits[0], found.splits[2])
        if split.rows < bounds.rows
    )
    unsettled = tuple(
        _unsettled(rule, unit)
        for rule in rules
        if rule.stands == "open" and rule.found.low <= rule.bound <= rule.found.high
    )
    if few or unsettled:
        return FitVerdict("unclear", few + unsettled)
    return FitVerdict("fits", tuple(rule.text for rule in rules))


class _Rule(NamedTuple):
    """One question to the intervals: the state it speaks for, and how it stands."""

    state: FitState
    name: str
    text: str
    found: Estimate
    bound: float
    split: SplitScores  # whose rows decide how wide the interval is
    stands: Literal["broken", "kept", "open"]


def _rules(found: Generalization, bounds: FitThresholds, unit: str) -> list[_Rule]:
    train, _, test = found.splits
    loss_bound = bounds.loss_gap * reference_scale(found.references)
    learned = skill(found)
    return [
        _Rule(
            "overfit",
            "loss gap",
            f"the loss is {_words(found.loss_gap)} nats higher on test than in training; up to "
            f"{loss_bound:.3f} is tolerated, {bounds.loss_gap:.0%} of the reference loss",
            found.loss_gap,
            loss_bound,
            test,
            _stands(found.loss_gap, loss_bound, trusted=test.rows >= bounds.rows),
        ),
        _Rule(
            "overfit",
            "accuracy gap",
            f"the accuracy is {_words(found.accuracy_gap)} lower on test than in training; up to "
            f"{bounds.accuracy_gap:g} is tolerated",
            found.accuracy_gap,
            bounds.accuracy_gap,
            test,
            _stands(
                found.accuracy_gap,
                bounds.accuracy_gap,
                trusted=found.counted or test.rows >= bounds.rows,
            ),
        ),
        _Rule(
            "underfit",
            "skill in training",
            f"of the reference loss a share of {_words(learned)} is gone on the training {unit}; "
            f"at least {bounds.skill:g} is wanted",
            learned,
            bounds.skill,
            train,
            _stands(
                Estimate(-learned.value, -learned.high, -learned.low),
                -bounds.skill,
                trusted=train.rows >= bounds.rows,
            ),
        ),
    ]


def _stands(found: Estimate, most: float, *, trusted: bool) -> Literal["broken", "kept", "open"]:
    """Whether the whole interval is above what is allowed, none of it, or part of it."""
    if found.high < most:
        return "kept"
    return "broken" if trusted and found.low > most else "open"


def _unsettled(rule: _Rule, unit: str) -> str:
    size = split_size(rule.found, rule.split.rows, bound=rule.bound)
    text = f"the {rule.name}, {_words(rule.found)}, is not told from {rule.bound:.3f}"
    # A number that sits on its bound is told from it by no split that one could collect.
    if size.enough or size.rows_needed is None or size.rows_needed > 1000 * rule.split.rows:
        return text
    return (
        f"{text}: about {size.rows_needed} {unit} of {rule.split.name} would be needed, there are "
        f"{rule.split.rows}"
    )


def _words(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
