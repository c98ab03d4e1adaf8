"""The part about duplicates: test rows that train holds too, copies, contradicting copies."""

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.duplicates import (
    Leaks,
    chance_share,
    conflicts,
    exact_groups,
    find_leaks,
    intrinsic_dimension,
    near_threshold,
    nearest_neighbours,
)
from xentjax.audit.estimate import share
from xentjax.audit.section import Grid, Measure
from xentjax.audit.sections.bounds import below, judged, mild, none
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent
from xentjax.data import standardize
from xentjax.metrics import wilson_interval

_FRACTION = 0.1  # of the median distance between neighbours: nearer is a near duplicate
_COUNTED = "counted in these very rows, so without interval"
# One row in a hundred moves an accuracy by a point at the most.
_SHARE = 0.01
_SHOWN = 10


def leaks_part(subject: Classifier) -> Part:
    """Whether the splits are free of each other, and train of copies."""
    features = {
        "train": subject.train.features,
        "validation": subject.validation.features,
        "test": subject.test.features,
    }
    broken = [name for name, rows in features.items() if not np.isfinite(rows).all()]
    if broken:
        return Part(
            unmeasured=[
                f"Duplicates and leaks: features of {' and '.join(broken)} have NaN or infinite "
                "values, so distances mean nothing. Fill them in or drop those rows."
            ]
        )
    scaled = _scaled(features, pixels=subject.image_shape is not None)
    neighbours = nearest_neighbours(scaled["train"], k=2)
    near = neighbours.distances[:, 0]
    chance = chance_share(_FRACTION, intrinsic_dimension(neighbours))
    # Where rows come near by chance alone, only exact copies are evidence.
    judged_near = chance <= _SHARE / 10
    threshold = near_threshold(near, fraction=_FRACTION) if judged_near else 0.0
    found = find_leaks(scaled["test"], scaled["train"], threshold=threshold)
    copies = int((near <= threshold).sum())
    leaked, advice, sentence = _leak_measures(subject, found, copies)
    unmeasured = []
    if not judged_near:
        unmeasured.append(
            "Near duplicates: rows of these data come as near by chance "
            f"({_chance_text(chance)}), so only exact copies are counted. Compare the sources of "
            "the rows instead."
        )
    same, more_advice, more = _copy_measures(subject, copies)
    held = find_leaks(scaled["validation"], scaled["train"], threshold=threshold).near
    return Part(
        sentence=" ".join([sentence, *more]),
        measures=[*leaked, *same],
        grids=_grids(subject, found, int(held.sum())),
        advice=[*advice, *more_advice],
        unmeasured=unmeasured,
    )


def _scaled(features: dict[str, np.ndarray], pixels: bool) -> dict[str, np.ndarray]:
    """Rows [N, F] of one scale: that of the training rows; pixels share theirs already."""
    flat = {
        name: rows.reshape(len(rows), int(np.prod(rows.shape[1:]))).astype(np.float64)
        for name, rows in features.items()
    }
    if pixels:
        return flat
    scale = standardize(flat["train"])
    return {name: scale.apply(rows) for name, rows in flat.items()}


def _leak_measures(
    subject: Classifier, found: Leaks, copies: int
) -> tuple[list[Measure], list[str], str]:
    n, leaks = len(found.near), int(found.near.sum())
    among_train = float(wilson_interval(copies, len(subject.train.labels)).high)
    found_share = share(leaks, n)
    held = judged(
        "test rows that train holds too",
        # None in these very rows is none: an interval would ask for more rows without end.
        found_share if leaks else 0.0,
        # Where rows repeat as often within train, it is a trait of the data and no accident.
        none(act=max(_SHARE, among_train)),
        unit="share",
        why="" if leaks else _COUNTED,
    )
    if not leaks:
        return [held], [], f"None of {n} test rows occurs in train, exactly or nearly."
    right = subject.test.logits.argmax(axis=1) == subject.test.labels
    with_leaks, without = right.mean(), right[~found.near]
    measures = [held, _accuracy("accuracy on all test rows", right)]
    sentence = (
        f"{leaks} of {n} test rows ({percent(leaks / n)}) are also in train, {found.exact.sum()} "
        f"of them exactly: on those, test measures memory."
    )
    if len(without):
        measures.append(_accuracy("accuracy without the leaked rows", without))
        sentence += (
            f" Accuracy is {percent(with_leaks)} with them and {percent(without.mean())} without."
        )
    advice = [
        "Take the leaked rows out of train or test, and look at how they came into both (the same "
        "source twice, augmentation or oversampling before the split)."
    ]
    if among_train >= found_share.low:
        advice.append(
            "Rows repeat about as often within train, so it may be in the nature of these data; "
            "if copies have one source, remove them before splitting."
        )
    return measures, advice, sentence


def _accuracy(name: str, right: np.ndarray) -> Measure:
    interval = wilson_interval(int(right.sum()), len(right))
    return Measure(
        name, float(right.mean()), float(interval.low), float(interval.high), "share", good="alike"
    )


def _copy_measures(subject: Classifier, copies: int) -> tuple[list[Measure], list[str], list[str]]:
    """Copies within train, and copies anywhere with different labels: measures, advice, words."""
    rows = (subject.train, subject.validation, subject.test)
    n = len(subject.train.labels)
    everything = exact_groups(np.concatenate([each.features for each in rows]))
    torn = conflicts(everything, np.concatenate([each.labels for each in rows]))
    number = sum(map(len, torn))
    measures = [
        judged(
            "training rows with a copy in train",
            copies / n,
            mild(below(_SHARE)),
            unit="share",
            why=_COUNTED,
        ),
        judged(
            "rows whose exact copies have other labels",
            number / len(everything),
            none(act=_SHARE),
            unit="share",
            why=_COUNTED,
        ),
    ]
    advice, said = [], []
    if measures[0].verdict != "good":
        said.append(f"{copies} of {n} training rows ({percent(copies / n)}) have a copy in train.")
        advice.append("Copies in train weigh double: remove them, or see that they are meant.")
    if number:
        said.append(f"{number} rows have exact copies that carry another label.")
        advice.append(
            f"{number} rows have exact copies with another label: at most one is right, or the "
            "features do not tell these classes apart."
        )
    return measures, advice, said


def _grids(subject: Classifier, found: Leaks, validation: int) -> list[Grid]:
    rows = np.flatnonzero(found.near)
    rows = rows[np.argsort(found.distances[rows], kind="stable")]
    names = subject.class_names
    note = (
        f"Validation rows that train holds too: {validation} of {len(subject.validation.labels)}."
    )
    if not len(rows):
        return []
    table = [
        [
            int(row),
            int(found.twins[row]),
            "exact" if found.exact[row] else f"{found.distances[row]:.3g}",
            names[subject.test.labels[row]],
            names[subject.train.labels[found.twins[row]]],
        ]
        for row in rows[:_SHOWN]
    ]
    title = "Test rows and their twins in train"
    if len(rows) > _SHOWN:
        note = f"{_SHOWN} of {len(rows)}. {note}"
    return [
        Grid(title, ["test row", "train row", "distance", "test label", "train label"], table, note)
    ]


def _chance_text(chance: float) -> str:
    return "how often is unknown" if np.isnan(chance) else f"{percent(chance)} of them"
