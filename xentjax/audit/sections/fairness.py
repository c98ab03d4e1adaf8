"""The section on fairness: whom the model serves worse than the rest."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.estimate import Estimate
from xentjax.audit.fairness import FairnessGaps, Gap, fairness_gaps
from xentjax.audit.groups import GroupRates, group_rates
from xentjax.audit.heads import FAIRNESS
from xentjax.audit.section import Grid, Measure, Section, Verdict
from xentjax.audit.sections.bounds import Bounds, below, judged, mild
from xentjax.audit.sections.by_class import absent_classes, class_recall
from xentjax.audit.sections.comparison import LEVEL, TOLERATED, draw_rates
from xentjax.audit.sections.part import Part, joined
from xentjax.audit.sections.wording import percent

_FEW = 30  # rows of a group, below which its rates say little


class _Grouping(NamedTuple):
    """One grouping of the test rows, measured."""

    name: str
    rates: GroupRates
    gaps: FairnessGaps
    overall: float


def fairness_section(
    subject: Classifier,
    *,
    seed: int = 0,
    favourable: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Compares recall between classes, and error and selection rates between groups, on test.

    Args:
        subject: the classifier; its `groups` name groupings of the test rows. Rows whose group is
            None or NaN are left out of that grouping.
        seed: of resamples and shuffles.
        favourable: the class that is good to be given; None averages over all classes.
        progress: told what is being done.

    Returns:
        The section.
    """
    labels, logits = subject.test.labels, subject.test.logits
    if not len(labels):
        return _nothing("test has no rows; hold some out")
    predictions = logits.argmax(-1)
    parts, unmeasured = [], []
    by_class = class_recall(predictions, labels, subject.class_names)
    if by_class is None:
        unmeasured.append(
            "Recall by class: test has rows of one class only; hold out some of each."
        )
    else:
        parts.append(by_class)
        unmeasured += absent_classes(labels, subject.class_names)
    alpha = LEVEL / max(1, 2 * len(subject.groups))
    for name, groups in subject.groups.items():
        if progress is not None:
            progress(f"fairness: {name}")
        known = ~np.array([x is None or x != x for x in np.asarray(groups).tolist()], bool)
        groups = np.asarray(groups)[known]
        if len(np.unique(groups.astype(str))) < 2:
            unmeasured.append(
                f"Groups by {name}: fewer than two groups have test rows; hold out rows of each."
            )
            continue
        if not known.all():
            unmeasured.append(f"Groups by {name}: {np.sum(~known)} rows without one; name theirs.")
        given = predictions[known], labels[known], groups
        found = _measure(name, *given, logits.shape[1], favourable, seed)
        parts.append(_by_group(found, subject.class_names, favourable, alpha))
    if not subject.groups:
        unmeasured.append(
            "Groups of people, places or devices: the data name none. Give the subject `groups`, "
            "a name for each test row; groups made from the features, such as those of "
            "`xentjax.audit.grouping`, are a stand-in and no answer."
        )
    if not parts:
        return _nothing(*unmeasured)
    return joined(FAIRNESS, [*parts, Part(unmeasured=unmeasured)])


def _nothing(*reasons: str) -> Section:
    finding = "Nothing could be compared."
    return Section(*FAIRNESS, "unmeasured", finding, unmeasured=list(reasons))


def _measure(
    name: str,
    predictions: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    classes: int,
    favourable: int | None,
    seed: int,
) -> _Grouping:
    rates = group_rates(predictions, labels, groups, classes=classes)
    gaps = fairness_gaps(
        predictions, labels, groups, classes=classes, positive=favourable, seed=seed
    )
    return _Grouping(name, rates, gaps, float(np.mean(predictions == labels)))


def _by_group(
    found: _Grouping, class_names: tuple[str, ...], favourable: int | None, alpha: float
) -> Part:
    rates, gaps = found.rates, found.gaps
    at = int(np.nanargmin(rates.accuracy.value))
    of = "averaged over classes" if favourable is None else f"for {class_names[favourable]}"
    measures = _gap_measures(found, of, favourable, alpha)
    sentence = (
        f"By {found.name}, the group “{rates.groups[at]}” fares worst with "
        f"{percent(rates.accuracy.value[at])} right; "
        f"{_apart('accuracies', gaps.accuracy_difference)}, "
        f"{_apart('error rates', gaps.equalized_odds_difference)}."
    )
    drawn = draw_rates(
        f"Accuracy by {found.name}",
        sentence,
        rates.groups,
        rates.counts,
        rates.accuracy,
        found.overall,
        "accuracy",
    )
    grids = (_group_grid(found, favourable), _gap_grid(found))
    part = Part(sentence, measures, grids, (drawn,))
    return dataclasses.replace(part, advice=_group_advice(found, part.verdict, rates.groups[at]))


def _gap_measures(
    found: _Grouping, of: str, favourable: int | None, alpha: float
) -> tuple[Measure, ...]:
    rates, gaps = found.rates, found.gaps
    parity = gaps.demographic_parity_difference
    # Groups that differ in truth are given classes unequally by a perfect model too.
    base = _base_gap(rates, favourable)
    told: list[tuple[str, Gap, Bounds, str]] = [
        (
            name,
            gap,
            _bounds(gap, alpha),
            f"shuffled groups are so far apart with p = {gap.p_value:.2g}",
        )
        for name, gap in (
            ("gap in accuracy", gaps.accuracy_difference),
            (f"gap in error rates (equalized odds), {of}", gaps.equalized_odds_difference),
        )
    ]
    told.append(
        (
            f"gap in how often a class is given (demographic parity), {of}",
            parity,
            mild(below(TOLERATED + base)),
            f"the gap in the truth is {percent(base)}",
        )
    )
    return tuple(
        judged(f"{label}, by {found.name}", gap.found, bounds, unit="share", why=why)
        for label, gap, bounds, why in told
        if not np.isnan(gap.found.value)
    )


def _apart(what: str, gap: Gap) -> str:
    if np.isnan(gap.found.value):
        return f"{what} of groups cannot be compared"
    # The words follow the test and not the gap, which is above 0 by chance alone.
    sure = "more than chance gives" if gap.p_value <= LEVEL else "chance may give as much"
    return (
        f"{what} of groups are up to {percent(gap.found.value)} apart ({percent(gap.found.low)} to "
        f"{percent(gap.found.high)}; p = {gap.p_value:.2g}, {sure})"
    )


def _bounds(gap: Gap, alpha: float) -> Bounds:
    """Act needs both: an interval beyond the bound, and shuffles that do not reach it."""
    bounds = below(TOLERATED)
    return bounds if gap.p_value <= alpha else mild(bounds)


def _base_gap(rates: GroupRates, favourable: int | None) -> float:
    gaps = np.nanmax(rates.base.value, axis=0) - np.nanmin(rates.base.value, axis=0)
    return float(gaps.mean() if favourable is None else gaps[favourable])


def _group_advice(found: _Grouping, verdict: Verdict, name: str) -> tuple[str, ...]:
    few = [str(g) for g, n in zip(found.rates.groups, found.rates.counts, strict=True) if n < _FEW]
    more = (f"Hold out more rows of {', '.join(few[:5])}: fewer than {_FEW} say little.",)
    if verdict == "act":
        return (
            f"Look at the errors on {name} by {found.name}, and collect more training rows of it.",
            *(more if few else ()),
        )
    return more if few and verdict == "watch" else ()


def _group_grid(found: _Grouping, favourable: int | None) -> Grid:
    rates = found.rates
    shown = {"accuracy": rates.accuracy.value}
    if favourable is None:
        shown["mean recall"] = np.array([_known_mean(row) for row in rates.recall.value])
    else:
        for name in ("base", "selection", "recall", "false_positive", "precision"):
            shown[name.replace("_", " ")] = getattr(rates, name).value[:, favourable]
    columns = [[_percent(x) for x in values] for values in shown.values()]
    rows = [
        [name, int(count), f"{_percent(low)} to {_percent(high)}", *cells]
        for name, count, low, high, *cells in zip(
            rates.groups,
            rates.counts,
            rates.accuracy.low,
            rates.accuracy.high,
            *columns,
            strict=True,
        )
    ]
    return Grid(
        f"Groups by {found.name}",
        ["group", "rows", "accuracy, 95 %", *shown],
        rows,
        "A dash: the group has no row that the rate would be a share of.",
    )


def _gap_grid(found: _Grouping) -> Grid:
    rows = [
        [
            field.replace("_", " "),
            f"{gap.found.value:.3f}",
            _span(gap.found),
            f"{gap.chance:.3f}",
            f"{gap.p_value:.2g}",
        ]
        for field, gap in _fields(found.gaps).items()
        if not np.isnan(gap.found.value)
    ]
    return Grid(
        f"Gaps between groups by {found.name}",
        ["gap", "found", "95 % interval", "chance", "p"],
        rows,
        "Chance: what the worst 5 % of shuffles of the group names go beyond; p: how often they "
        "give as bad a gap. The largest gap among groups is above 0 by chance alone.",
    )


def _fields(gaps: FairnessGaps) -> Mapping[str, Gap]:
    return {field.name: getattr(gaps, field.name) for field in dataclasses.fields(gaps)}


def _span(found: Estimate) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else percent(value)


def _known_mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
