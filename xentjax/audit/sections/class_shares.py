"""The part about class counts: imbalance, rare classes, label shift between splits."""

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.imbalance import class_balance, class_counts, recall_half_widths, share_test
from xentjax.audit.section import Grid, Measure, picture
from xentjax.audit.sections.bounds import above, below, judged, mild, none
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import listed
from xentjax.plots.class_counts import draw_class_counts

# Beyond it accuracy is mostly that of the large class: guessing it is right 10 times in 11.
_RATIO = 10.0
# A recall of 90 % that could as well be 75 % is not known; 17 rows are enough.
_HALF_WIDTH = 0.15
# Splits are compared once; 1 in 100 is called different by chance.
_P_VALUE = 0.01
_MOST_CLASSES = 20


def class_shares_part(subject: Classifier, *, seed: int) -> Part:
    """Whether classes are even, frequent enough to be judged, and alike in all splits."""
    classes = len(subject.class_names)
    splits = {"train": subject.train, "validation": subject.validation, "test": subject.test}
    counts = {name: class_counts(rows.labels, classes) for name, rows in splits.items()}
    widths = recall_half_widths(counts["test"])
    rare = [subject.class_names[c] for c in np.flatnonzero(widths >= _HALF_WIDTH)]
    balance, sentence, advice = _balance(subject, seed)
    shares = share_test(np.stack(list(counts.values())), seed=seed)
    measures = [
        *balance,
        judged("classes too rare in test to judge", len(rare), mild(none())),
        judged("p-value: splits share their class shares", shares.p_value, mild(above(_P_VALUE))),
    ]
    if rare:
        advice.append(
            f"Collect more test rows of {listed(rare)}: with so few, the recall of a class is not "
            f"known to ± {100 * _HALF_WIDTH:.0f} points."
        )
    if shares.p_value < _P_VALUE:
        advice.append(
            "Split again, stratified by class: the splits differ in their class shares by more "
            "than chance, so figures on test do not carry over."
        )
    return Part(
        sentence=sentence,
        measures=measures,
        grids=[_counts_grid(subject, counts, widths)],
        pictures=[
            picture(
                "Class counts",
                "How the rows of each split are spread over the classes; bars of one class should "
                "be about as high.",
                draw_class_counts,
                counts,
                subject.class_names,
            )
        ],
        advice=advice,
    )


def _balance(subject: Classifier, seed: int) -> tuple[list[Measure], str, list[str]]:
    """Measures, sentence and advice about the training rows."""
    names, labels = subject.class_names, subject.train.labels
    found = class_balance(labels, len(names), seed=seed)
    empty = [names[c] for c in np.flatnonzero(found.counts == 0)]
    measures = [
        judged(
            "effective number of classes in train",
            (found.effective_classes, found.effective_low, found.effective_high),
            mild(above(len(names) / 2)),
            why=f"{len(names)} where all are even",
        )
    ]
    if empty:
        measures.append(judged("classes without training rows", len(empty), none()))
        return (
            measures,
            f"No training row shows {listed(empty)}: the model cannot have learned it.",
            [f"Add training rows of {listed(empty)}, or take the class out of the answers."],
        )
    uneven = judged(
        "largest class over smallest, in train",
        (found.ratio, found.ratio_low, found.ratio_high),
        below(_RATIO),
    )
    measures.append(uneven)
    largest, smallest = names[found.counts.argmax()], names[found.counts.argmin()]
    sentence = f"The largest class has {found.ratio:.1f} times the training rows of the smallest."
    if uneven.verdict == "good":
        return measures, sentence, []
    return (
        measures,
        f"Classes are uneven: {largest} has {found.ratio:.0f} times the training rows of "
        f"{smallest}.",
        [
            "Judge by the recall of each class and by balanced accuracy, not by accuracy alone; "
            "collect rows of the small classes, or weight them (class-balanced or logit-adjusted "
            "loss)."
        ],
    )


def _counts_grid(subject: Classifier, counts: dict[str, np.ndarray], widths: np.ndarray) -> Grid:
    order = np.arange(len(widths))
    note = "Recall known to: half the 95 % interval of a recall of 90 % on so many test rows."
    if len(order) > _MOST_CLASSES:
        order = np.argsort(counts["train"], kind="stable")[:_MOST_CLASSES]
        note = f"The {_MOST_CLASSES} classes with fewest training rows. {note}"
    rows = [
        [
            subject.class_names[c],
            *(int(row[c]) for row in counts.values()),
            f"± {100 * widths[c]:.0f} points",
        ]
        for c in order
    ]
    return Grid("Rows of each class", ["class", *counts, "recall known to"], rows, note)
