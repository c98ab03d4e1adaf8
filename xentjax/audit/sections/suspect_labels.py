"""The part about label errors: suspects of confident learning, and whether planted ones are found.

All rows of all splits are judged together by cross-validation. In a second labelling of the same
rows a share of the labels is moved on purpose: what of that is found says what the search is worth
on these data.
"""

import dataclasses

import jax
import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.cross_validation import out_of_fold_logits
from xentjax.audit.estimate import share
from xentjax.audit.label_errors import LabelErrors, find_label_errors, probabilities
from xentjax.audit.section import Grid, Measure, Picture, picture
from xentjax.audit.sections.bounds import above, below, judged, mild
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent
from xentjax.metrics import average_precision, bootstrap_interval
from xentjax.plots.suspects import draw_suspects

# The mean share of label errors in ten much-used test sets (Northcutt, Athalye, Mueller 2021).
_USUAL = 0.033
_PLANTED = 0.05
# A model that errs more often than this disbelieves many right labels too.
_ERRS = 0.2
_FEWEST_ROWS = 40
_SHOWN = 12


@dataclasses.dataclass(frozen=True)
class _Search:
    """Suspects among the labels given, and among labels of which some were moved on purpose."""

    labels: np.ndarray
    moved: np.ndarray
    given: LabelErrors
    planted: LabelErrors


def suspect_labels_part(
    subject: Classifier, *, seed: int, folds: int, repeats: int, steps: int
) -> Part:
    """How many labels are under suspicion, which, and whether the search can be trusted."""
    labels = np.concatenate([rows.labels for rows in _splits(subject).values()])
    features = np.concatenate([rows.features for rows in _splits(subject).values()])
    reason = _hindrance(labels, features)
    if reason:
        return Part(unmeasured=[f"Label errors: {reason}"])
    search = _search(subject, features, labels, seed, folds, repeats, steps)
    marked = search.given.both
    suspects = search.given.ranked(marked)
    measures, wrong = _measures(search, seed)
    n = len(labels)
    sentence = (
        f"{len(suspects)} of {n} labels ({percent(len(suspects) / n)}) are under suspicion; of "
        f"{search.moved.sum()} errors planted as a trial the same search found "
        f"{int(search.planted.both[search.moved].sum())}."
    )
    advice = []
    if len(suspects):
        advice.append(
            "Look at the suspects one by one, the first in the list first; correct what is wrong, "
            "in test too. A suspect may be right and merely hard."
        )
    if wrong > _ERRS:
        advice.append(
            f"The models of the search err on {percent(wrong)} of rows they have not seen, so many "
            "suspects will be hard and not wrong: a better model makes a better search."
        )
    return Part(
        sentence=sentence,
        measures=measures,
        grids=_grids(subject, search, suspects) if len(suspects) else [],
        pictures=_gallery(subject, features, search, suspects),
        advice=advice,
    )


def _splits(subject: Classifier):
    return {"train": subject.train, "validation": subject.validation, "test": subject.test}


def _hindrance(labels: np.ndarray, features: np.ndarray) -> str:
    """Why the search makes no sense here; empty where it does."""
    if len(labels) < _FEWEST_ROWS:
        return (
            f"{len(labels)} rows are too few to train models on a part of them; "
            f"{_FEWEST_ROWS} would do."
        )
    if len(np.unique(labels)) < 2:
        return "all rows have the same label; rows of another class are needed."
    if not np.isfinite(features).all():
        return "some features are NaN or infinite; fill them in or drop those rows."
    return ""


def _search(subject, features, labels, seed, folds, repeats, steps) -> _Search:
    rng = np.random.default_rng(seed)
    classes = len(subject.class_names)
    moved = np.zeros(len(labels), bool)
    moved[rng.choice(len(labels), max(2, round(_PLANTED * len(labels))), replace=False)] = True
    # To another class that occurs.
    known = np.unique(labels)
    places = np.searchsorted(known, labels)
    others = known[(places + rng.integers(1, len(known), len(labels))) % len(known)]
    labellings = np.stack([labels, np.where(moved, others, labels)]).astype(np.int64)
    logits = out_of_fold_logits(
        subject.make_model,
        features,
        labellings,
        folds=folds,
        repeats=repeats,
        seed=seed,
        steps=steps,
        batch_size=subject.batch_size,
        learning_rate=subject.learning_rate,
    )
    # A training that diverged says nothing of its rows: every class alike.
    logits = np.where(np.isfinite(logits).all(axis=-1, keepdims=True), logits, -np.log(classes))
    given, planted = (
        find_label_errors(probabilities(said), row)
        for said, row in zip(logits, labellings, strict=True)
    )
    return _Search(labels, moved, given, planted)


def _measures(search: _Search, seed: int) -> tuple[list[Measure], float]:
    n, marked = len(search.labels), int(search.given.both.sum())
    # The margin is below one half where another class is likelier than the one given.
    wrong = float((search.given.normalized_margin < 0.5).mean())
    # A model that errs often disbelieves many right labels too.
    bounds = mild(below(_USUAL)) if wrong > _ERRS else below(_USUAL)
    found = int(search.planted.both[search.moved].sum())
    ranking = bootstrap_interval(
        jax.random.key(seed),
        _precision,
        -search.planted.normalized_margin.astype(np.float32),
        search.moved,
        # Errors that the data had before are no false alarms of the trial.
        search.moved | ~search.given.both,
        resamples=300,
    )
    return [
        judged(
            "labels under suspicion",
            share(marked, n),
            bounds,
            unit="share",
            why="the mean of ten much-used data sets",
        ),
        judged(
            f"errors found of {search.moved.sum()} planted",
            share(found, int(search.moved.sum())),
            mild(above(0.5)),
            unit="share",
        ),
        judged(
            "average precision of the ranking on planted errors",
            (float(ranking.estimate), *_known(ranking.low, ranking.high)),
            mild(above(0.5)),
            why=f"{search.moved.mean():.2f} is guessing",
        ),
    ], wrong


def _precision(scores, moved, counted):
    return average_precision(scores, moved, where=counted)


def _known(low, high) -> tuple[float, ...]:
    """The interval, or none where a resample held no planted error."""
    found = float(low), float(high)
    return found if np.isfinite(found).all() else ()


def _grids(subject: Classifier, search: _Search, suspects: np.ndarray) -> list[Grid]:
    names, errors = subject.class_names, search.given
    sizes = [len(rows.labels) for rows in _splits(subject).values()]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    of = np.searchsorted(starts, suspects, side="right") - 1
    split_names = list(_splits(subject))
    rows = [
        [
            split_names[split],
            int(row - starts[split]),
            names[search.labels[row]],
            names[errors.suggested[row]],
            f"{100 * errors.self_confidence[row]:.1f} %",
        ]
        for row, split in zip(suspects[:_SHOWN], of, strict=False)
    ]
    numbers = ", ".join(
        f"{int((of == k).sum())} of {size} in {name}"
        for k, (name, size) in enumerate(zip(split_names, sizes, strict=True))
    )
    return [
        Grid(
            "Labels to look at",
            ["split", "row", "given", "rather", "chance of the given one"],
            rows,
            f"{min(len(suspects), _SHOWN)} of {len(suspects)} suspects, most suspicious first: "
            f"{numbers}.",
        )
    ]


def _gallery(
    subject: Classifier, features: np.ndarray, search: _Search, suspects: np.ndarray
) -> list[Picture]:
    shape = subject.image_shape
    if shape is None or not len(suspects) or features[0].size != shape[0] * shape[1]:
        return []
    shown = suspects[:_SHOWN]
    return [
        picture(
            "Labels to look at",
            "The most suspicious rows: above each the label it was given, below it the one that "
            "models trained without it find likeliest among the others.",
            draw_suspects,
            features[shown].reshape(len(shown), *shape),
            [subject.class_names[c] for c in search.labels[shown]],
            [subject.class_names[c] for c in search.given.suggested[shown]],
        )
    ]
