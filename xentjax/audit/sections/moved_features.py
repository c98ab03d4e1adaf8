"""The part about shift: whether test rows come from where the training rows come from."""

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.section import Measure, picture
from xentjax.audit.sections.bounds import above, below, judged, mild
from xentjax.audit.sections.part import Part
from xentjax.audit.shift import (
    KolmogorovSmirnov,
    TwoSampleClassifier,
    kolmogorov_smirnov,
    two_sample_classifier,
)
from xentjax.plots.shift import draw_shift

# An AUC of 0.6 is a gap of 0.36 standard deviations in the best direction: Φ(0.36/√2) = 0.6.
_AUC = 0.6
_P_VALUE = 0.05
_FEWEST_ROWS = 20
_ADVICE = (
    "Find out how test rows were chosen: other sources, other times or sorted rows make such "
    "shifts. If the model will meet rows like those of test, train on some of them; if not, "
    "split again at random."
)


def moved_features_part(subject: Classifier, *, seed: int) -> Part:
    """Whether train and test differ, in any feature or all together."""
    train, test = (
        rows.features.reshape(len(rows.features), int(np.prod(rows.features.shape[1:])))
        for rows in (subject.train, subject.test)
    )
    if min(len(train), len(test)) < _FEWEST_ROWS:
        return Part(
            unmeasured=[
                f"Shift from train to test: needs {_FEWEST_ROWS} rows of each, and there are "
                f"{len(train)} and {len(test)}. Hold more rows out."
            ]
        )
    if not (np.isfinite(train).all() and np.isfinite(test).all()):
        return Part(
            unmeasured=[
                "Shift from train to test: some features are NaN or infinite. Fill them in or "
                "drop those rows."
            ]
        )
    together = two_sample_classifier(train, test, seed=seed)
    each = kolmogorov_smirnov(train, test)
    names = _feature_names(subject, train.shape[1])
    measures = _measures(together, each, names)
    auc = f"AUC {together.auc:.2f}, where 0.5 is guessing"
    if not _apart(together) and each.adjusted.min() >= _P_VALUE:
        return Part(
            f"Test rows look like training rows: a linear model cannot tell them apart ({auc}).",
            measures,
        )
    return Part(
        f"Test rows differ from training rows: {int((each.adjusted < _P_VALUE).sum())} of "
        f"{len(names)} features differ by more than chance, and a linear model that tells them "
        f"apart has {auc}.",
        measures,
        pictures=[
            picture(
                "Features that differ most between train and test",
                "The largest gap between the distributions of a feature in train and in test; "
                "those beyond chance, all features considered, are marked.",
                draw_shift,
                each.distances,
                each.adjusted,
                names,
            )
        ],
        advice=[_ADVICE],
    )


def _apart(together: TwoSampleClassifier) -> bool:
    return together.p_value <= _P_VALUE and together.low > 0.5


def _measures(
    together: TwoSampleClassifier, each: KolmogorovSmirnov, names: list[str]
) -> list[Measure]:
    at = int(each.distances.argmax())
    return [
        judged(
            "AUC of a linear model that tells test from train",
            (together.auc, together.low, together.high),
            below(_AUC) if together.p_value <= _P_VALUE else mild(below(_AUC)),
            why=f"with permuted rows it is {together.null.min():.2f} to {together.null.max():.2f}",
        ),
        judged(
            "its p-value, by permuted rows",
            together.p_value,
            mild(above(_P_VALUE)),
            why="a shift can be sure and small",
        ),
        Measure(
            f"largest gap of one feature's distributions ({names[at]})",
            float(each.distances[at]),
            good="near 0",
        ),
        judged(
            f"its p-value, corrected for {len(names)} features",
            float(each.adjusted[at]),
            mild(above(_P_VALUE)),
        ),
    ]


def _feature_names(subject: Classifier, features: int) -> list[str]:
    if subject.image_shape is not None and features == np.prod(subject.image_shape):
        width = subject.image_shape[1]
        return [f"pixel ({k // width}, {k % width})" for k in range(features)]
    return [f"feature {k}" for k in range(features)]
