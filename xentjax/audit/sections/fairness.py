"""The section on fairness: whom the model serves worse than the rest."""

import dataclasses
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.estimate import Estimate
from xentjax.audit.fairness import FairnessGaps, Gap, fairness_gaps
from xentjax.audit.groups import GroupRates, Rate, group_rates
from xentjax.audit.section import Grid, Measure, Picture, Section, Verdict, picture, worst
from xentjax.metrics.intervals import wilson_interval
from xentjax.plots.groups import draw_groups

_KEY, _TITLE = "fairness", "Unequal treatment"
_QUESTION = "Is there a class or a group of rows that the model serves worse than the rest?"
# Ten points: a difference that people notice in one's answers to them.
_TOLERATED = 0.1
_LEVEL = 0.05
_FEW = 30  # rows of a group, below which its rates say little
_MOST_DRAWN = 20


class _Grouping(NamedTuple):
    """One grouping of the test rows, measured."""

    name: str
    rates: GroupRates
    gaps: FairnessGaps
    overall: float


@dataclasses.dataclass(frozen=True)
class _Part:
    """What one comparison contributes to the section."""

    sentence: str
    measures: tuple[Measure, ...]
    grids: tuple[Grid, ...] = ()
    pictures: tuple[Picture, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        return worst([each.verdict for each in self.measures])


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
    by_class = _by_class(predictions, labels, subject.class_names)
    if by_class is None:
        unmeasured.append(
            "Recall by class: test has rows of one class only; hold out some of each."
        )
    else:
        parts.append(by_class)
        unmeasured += _absent(labels, subject.class_names)
    alpha = _LEVEL / max(1, 2 * len(subject.groups))
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
    return Section(
        _KEY,
        _TITLE,
        _QUESTION,
        worst([part.verdict for part in parts]),
        " ".join(part.sentence for part in parts),
        measures=[each for part in parts for each in part.measures],
        grids=[each for part in parts for each in part.grids],
        pictures=[each for part in parts for each in part.pictures],
        advice=list(dict.fromkeys(each for part in parts for each in part.advice)),
        unmeasured=unmeasured,
    )


def _nothing(*reasons: str) -> Section:
    finding = "Nothing could be compared."
    return Section(_KEY, _TITLE, _QUESTION, "unmeasured", finding, unmeasured=list(reasons))


def _absent(labels: np.ndarray, class_names: tuple[str, ...]) -> list[str]:
    absent = [name for i, name in enumerate(class_names) if not np.any(labels == i)]
    if not absent:
        return []
    return [f"Recall of {', '.join(absent)}: no test rows of it; hold some out."]


def _by_class(
    predictions: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
) -> _Part | None:
    """Recall of every class, the worst against all rows."""
    present = np.unique(labels)
    if len(present) < 2:
        return None
    counts = np.array([np.sum(labels == c) for c in present])
    hits = np.array([np.sum((labels == c) & (predictions == c)) for c in present])
    # The worst of C is picked after the fact: the intervals hold for all classes at once.
    ends = wilson_interval(hits, counts, confidence=1 - _LEVEL / len(present))
    low, high = (np.asarray(end, np.float64) for end in ends)
    recall, overall = hits / counts, float(np.mean(predictions == labels))
    at = int(recall.argmin())
    bound = overall - _TOLERATED
    verdict: Verdict = "good" if low[at] >= bound else "act" if high[at] < bound else "watch"
    name = class_names[present[at]]
    if recall[at] == recall.max():
        sentence = f"All classes have the same recall, {overall:.1%}."
    else:
        sentence = (
            f"Of the classes, {name} is recognised least: {recall[at]:.1%} "
            f"({low[at]:.1%} to {high[at]:.1%}) of its {counts[at]} test rows, where "
            f"{overall:.1%} of all rows are right."
        )
    rate = Rate(recall, low, high)
    names = [class_names[c] for c in present]
    caption = f"{sentence} Intervals hold at 95 % for all classes together."
    measure = Measure(
        f"recall of the worst class, {name}",
        float(recall[at]),
        float(low[at]),
        float(high[at]),
        "share",
        f"above {max(bound, 0):.0%}: within {_TOLERATED:.0%} of all rows",
        verdict,
    )
    advice = () if verdict == "good" else _class_advice(name, verdict)
    drawn = _draw("Recall by class", caption, names, counts, rate, overall, "recall")
    return _Part(sentence, (measure,), (), (drawn,), advice)


def _class_advice(name: str, verdict: Verdict) -> tuple[str, ...]:
    if verdict == "watch":
        return (f"Hold out more rows of {name} to learn how well it is recognised.",)
    return (
        f"Look at the rows of {name} that are missed: are they rare, ambiguous or mislabelled?",
        f"Collect more training rows of {name}, or weigh it more in the loss.",
    )


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
) -> _Part:
    rates, gaps = found.rates, found.gaps
    at = int(np.nanargmin(rates.accuracy.value))
    of = "averaged over classes" if favourable is None else f"for {class_names[favourable]}"
    measures = tuple(
        Measure(f"{label}, by {found.name}", *gap.found, "share", good, verdict)
        for label, gap, good, verdict in (
            (
                "gap in accuracy",
                gaps.accuracy_difference,
                f"below {_TOLERATED:.0%}",
                _judge(gaps.accuracy_difference, alpha),
            ),
            (
                f"gap in error rates (equalized odds), {of}",
                gaps.equalized_odds_difference,
                f"below {_TOLERATED:.0%}",
                _judge(gaps.equalized_odds_difference, alpha),
            ),
            (
                f"gap in how often a class is given (demographic parity), {of}",
                gaps.demographic_parity_difference,
                f"near {_base_gap(rates, favourable):.1%}, the gap in the truth",
                _judge_parity(gaps.demographic_parity_difference, rates, favourable, alpha),
            ),
        )
        if not np.isnan(gap.found.value)
    )
    sentence = (
        f"By {found.name}, the group “{rates.groups[at]}” fares worst with "
        f"{rates.accuracy.value[at]:.1%} right; {_apart('accuracies', gaps.accuracy_difference)}"
        f", {_apart('error rates', gaps.equalized_odds_difference)}."
    )
    drawn = _draw(
        f"Accuracy by {found.name}",
        sentence,
        rates.groups,
        rates.counts,
        rates.accuracy,
        found.overall,
        "accuracy",
    )
    part = _Part(sentence, measures, (_group_grid(found, favourable), _gap_grid(found)), (drawn,))
    return dataclasses.replace(part, advice=_group_advice(found, part.verdict, rates.groups[at]))


def _apart(what: str, gap: Gap) -> str:
    if np.isnan(gap.found.value):
        return f"{what} of groups cannot be compared"
    # The words follow the test and not the gap, which is above 0 by chance alone.
    sure = "more than chance gives" if gap.p_value <= _LEVEL else "chance may give as much"
    return (
        f"{what} of groups are up to {gap.found.value:.1%} apart ({gap.found.low:.1%} to "
        f"{gap.found.high:.1%}; p = {gap.p_value:.2g}, {sure})"
    )


def _judge(gap: Gap, alpha: float) -> Verdict:
    """Act needs both: an interval beyond the bound, and shuffles that do not reach it."""
    if gap.found.high <= _TOLERATED:
        return "good"
    return "act" if gap.found.low > _TOLERATED and gap.p_value <= alpha else "watch"


def _judge_parity(gap: Gap, rates: GroupRates, favourable: int | None, alpha: float) -> Verdict:
    """Groups that differ in truth are given classes unequally by a perfect model too."""
    allowed = _TOLERATED + _base_gap(rates, favourable)
    return "watch" if gap.found.low > allowed and gap.p_value <= alpha else "good"


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


def _draw(title, caption, names, counts, rate, overall, label) -> Picture:
    """The groups with the lowest rates, as many as fit."""
    values = np.nan_to_num(np.asarray(rate.value, float), nan=np.inf)
    kept = np.sort(np.argsort(values, kind="stable")[:_MOST_DRAWN])
    if len(kept) < len(names):
        caption += f" Of {len(names)} the {len(kept)} lowest are drawn."
    shown = SimpleNamespace(**{end: np.asarray(getattr(rate, end))[kept] for end in Rate._fields})
    arguments = [names[i] for i in kept], [int(counts[i]) for i in kept], shown, overall

    def draw(*drawn) -> None:
        draw_groups(*drawn, title=title, label=label)

    return picture(title, caption, draw, *arguments)


def _span(found: Estimate) -> str:
    return f"{found.low:.3f} to {found.high:.3f}"


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.1%}"


def _known_mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
