"""A part of the section on overconfidence: how sure the model is of rows not of its kind."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.out_of_distribution import (
    Detection,
    detect,
    energy_score,
    margin_score,
    max_logit_score,
    max_softmax_score,
    shuffled_features,
    uniform_features,
)
from xentjax.audit.section import Grid, Measure
from xentjax.audit.sections.bounds import above, judged, mild
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent

_MOST_ROWS = 1000
_FEWEST_FEATURES = 8  # in fewer, an order of its own leaves a row much as it was
_SCORES: Mapping[str, Callable[..., np.ndarray]] = {
    "confidence": max_softmax_score,
    "energy": energy_score,
    "largest logit": max_logit_score,
    "margin": margin_score,
}
# A row of the data is surer than a stranger in nine of ten pairs.
# Never "act": whether strangers come at all depends on where the model is used.
_TOLD = mild(above(0.9))


def strangers_part(subject: Classifier, *, seed: int) -> Part:
    """Whether confidence tells test rows from shuffled ones and from noise."""
    made, unmeasured = _strangers(subject.test.features[:_MOST_ROWS], seed)
    found: dict[str, dict[str, Detection]] = {}
    confidence = {}
    for name, features in made.items():
        logits = np.asarray(subject.predict(jnp.asarray(features)))
        if not np.isfinite(logits).all():
            unmeasured.append(f"Confidence on {name}: the model gives logits that are not finite.")
            continue
        found[name] = {score: _detection(subject, logits, of) for score, of in _SCORES.items()}
        confidence[name] = float(np.exp(max_softmax_score(logits)).mean())
    return Part(
        sentence=_sentence(confidence),
        measures=[_measure(name, scores["confidence"]) for name, scores in found.items()],
        grids=[_grid(found, confidence)] if found else [],
        advice=_advice(found),
        unmeasured=unmeasured,
    )


def _strangers(features: np.ndarray, seed: int) -> tuple[dict[str, np.ndarray], list[str]]:
    """Rows that are none of the data, and what could not be made."""
    made, unmeasured = {}, []
    if not np.issubdtype(features.dtype, np.number) or not np.isfinite(features).all():
        return {}, ["Confidence on noise: the features are not all finite numbers."]
    if features[0].size >= _FEWEST_FEATURES:
        made["shuffled rows"] = shuffled_features(features, seed=seed)
    else:
        unmeasured.append(
            f"Confidence on shuffled rows: {features[0].size} features are too few for an order "
            "to matter. Try rows of another source."
        )
    if (features.max(axis=0) > features.min(axis=0)).any():
        made["uniform noise"] = uniform_features(features, seed=seed)
    else:
        unmeasured.append("Confidence on noise: the test rows are all the same.")
    return made, unmeasured


def _detection(subject: Classifier, logits: np.ndarray, of: Callable[..., np.ndarray]) -> Detection:
    return detect(of(subject.test.logits), of(logits), calibration=of(subject.validation.logits))


def _measure(name: str, found: Detection) -> Measure:
    return judged(
        f"test rows told from {name} by confidence (AUROC)",
        found.auroc,
        _TOLD,
        why="½ is guessing, below it the model is surer of them than of the data",
    )


def _told(found: Detection) -> bool:
    return _TOLD.verdict(found.auroc.low, found.auroc.high) == "good"


def _sentence(confidence: Mapping[str, float]) -> str:
    if not confidence:
        return ""
    said = " and ".join(f"{percent(value)} sure of {name}" for name, value in confidence.items())
    return f"The model was {said}, which hold nothing to be sure of."


def _grid(found: Mapping[str, Mapping[str, Detection]], confidence: Mapping[str, float]) -> Grid:
    rows = []
    for name, scores in found.items():
        for score, detection in scores.items():
            area, alarm = detection.auroc, detection.false_alarm
            rows.append(
                (
                    name,
                    score,
                    f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})",
                    f"{percent(alarm.value)} ({100 * alarm.low:.0f} to {100 * alarm.high:.0f})",
                )
            )
    said = ", ".join(f"{percent(value)} on {name}" for name, value in confidence.items())
    return Grid(
        "Telling test rows from strangers",
        ("strangers", "score", "AUROC", "pass a threshold that keeps 95 % of rows"),
        rows,
        f"Mean confidence is {said}. The thresholds are from validation rows. Real strangers are "
        "nearer to the data than these, and harder to tell.",
    )


def _advice(found: Mapping[str, Mapping[str, Detection]]) -> list[str]:
    poor = [name for name, scores in found.items() if not _told(scores["confidence"])]
    if not poor:
        return []
    mean = {
        score: float(np.mean([found[name][score].auroc.value for name in poor]))
        for score in _SCORES
    }
    best = max(mean, key=lambda score: mean[score])
    text = (
        f"Check that a row is of the kind the model was trained on before asking it: its "
        f"confidence does not tell {' and '.join(poor)} reliably."
    )
    if mean[best] >= mean["confidence"] + 0.02:
        text += f" The {best} tells them better (AUROC {mean[best]:.2f})."
    return [text]
