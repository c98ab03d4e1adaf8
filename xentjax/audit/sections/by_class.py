"""The part of the section on fairness that every classifier has: recall, class by class."""

from collections.abc import Sequence

import numpy as np

from xentjax.audit.groups import Rate
from xentjax.audit.section import Verdict
from xentjax.audit.sections.bounds import above, judged
from xentjax.audit.sections.comparison import LEVEL, TOLERATED, draw_rates
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import listed, percent
from xentjax.metrics.intervals import wilson_interval


def class_recall(
    predictions: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> Part | None:
    """Recall of every class, the worst against all rows."""
    present = np.unique(labels)
    if len(present) < 2:
        return None
    counts = np.array([np.sum(labels == c) for c in present])
    hits = np.array([np.sum((labels == c) & (predictions == c)) for c in present])
    # The worst of C is picked after the fact: the intervals hold for all classes at once.
    ends = wilson_interval(hits, counts, confidence=1 - LEVEL / len(present))
    low, high = (np.asarray(end, np.float64) for end in ends)
    recall, overall = hits / counts, float(np.mean(predictions == labels))
    # Of classes alike in recall the one of most rows: what is known best.
    at = int(np.lexsort((-counts, recall))[0])
    lowest = [class_names[int(c)] for c in present[recall == recall[at]]]
    name = listed(lowest)
    if recall[at] == recall.max():
        sentence = f"All classes have the same recall, {percent(overall)}."
    else:
        sentence = (
            f"Of the classes, {name} {'is' if len(lowest) == 1 else 'are'} recognised least: "
            f"{percent(recall[at])} ({percent(low[at])} to {percent(high[at])}) of "
            f"{'its' if len(lowest) == 1 else 'the'} {counts[at]} test rows"
            f"{f' of {class_names[int(present[at])]}' if len(lowest) > 1 else ''}, where "
            f"{percent(overall)} of all rows are right."
        )
    rate = Rate(recall, low, high)
    names = [class_names[int(c)] for c in present]
    caption = f"{sentence} Intervals hold at 95 % for all classes together."
    measure = judged(
        f"recall of the worst class, {name}",
        (recall[at], low[at], high[at]),
        above(overall - TOLERATED),
        unit="share",
        why=f"within {100 * TOLERATED:.0f} points of all rows",
    )
    advice = () if measure.verdict == "good" else _class_advice(name, measure.verdict)
    drawn = draw_rates("Recall by class", caption, names, counts, rate, overall, "recall")
    return Part(sentence, [measure], pictures=[drawn], advice=advice)


def _class_advice(name: str, verdict: Verdict | None) -> tuple[str, ...]:
    if verdict == "watch":
        return (f"Hold out more rows of {name}: so few do not tell the recall.",)
    return (
        f"Look at the rows of {name} that are missed: are they rare, ambiguous or mislabelled?",
        f"Collect more training rows of {name}, or weigh it more in the loss.",
    )


def absent_classes(labels: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Names the classes without test rows, of which nothing is known."""
    absent = [name for i, name in enumerate(class_names) if not np.any(labels == i)]
    if not absent:
        return []
    return [f"Recall of {', '.join(absent)}: no test rows of it; hold some out."]
