"""The section on explanations: what an answer hangs on, and whether they can be believed."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.faithfulness import DeletionCurve, deletion_curve, rank_agreement
from xentjax.audit.heads import ATTRIBUTION
from xentjax.audit.saliency import IntegratedGradients, integrated_gradients
from xentjax.audit.section import Grid, Measure, Section, picture
from xentjax.audit.sections.bounds import Bounds, above, below, judged
from xentjax.audit.sections.explanations import (
    OCCLUDED_FEATURES,
    Explained,
    explained_rows,
    explanation_pictures,
    other_maps,
)
from xentjax.audit.sections.influential_rows import (
    influence_grid,
    influence_picture,
    influential_rows,
)
from xentjax.audit.sections.part import Part, joined
from xentjax.audit.sections.wording import sampled
from xentjax.metrics.intervals import bootstrap_interval
from xentjax.plots.attribution import draw_deletion_curve
from xentjax.train.architecture import split_model

# Below this a bootstrap over rows is too narrow to carry a verdict.
_ROWS_FOR_A_VERDICT = 20
_NODES = 64
# Attributions of a trained and an untrained model that order features this alike (Spearman) show
# the input more than the model.
_ALIKE = 0.5


def attribution_section(
    subject: Classifier,
    *,
    model: Any = None,
    feature_names: Sequence[str] | None = None,
    rows: int = 64,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Explains answers on test rows and tests the explanations.

    Args:
        subject: the classifier.
        model: the trained nnx model in evaluation mode, for the influence of training examples.
        feature_names: of the columns of a table, for its bars.
        rows: of the test split that are explained, at most.
        seed: of the choice of rows, noise and the untrained model.
        progress: called with what is being done.

    Returns:
        The section; its verdict is that of the tests of integrated gradients.

    Raises:
        ValueError: if rows is below 1, or feature_names are not one a feature.
    """
    tell = progress or (lambda _: None)
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    if len(subject.test.labels) == 0 or not np.issubdtype(subject.test.features.dtype, np.floating):
        return _unmeasured("there are no test rows, or their features are not floating point")
    chosen = explained_rows(subject, rows, seed)
    tell("attributions of test rows")
    explained = _explained_part(subject, chosen, feature_names, seed, tell)
    tell("influence of training rows")
    return joined(ATTRIBUTION, [explained, _influence_part(subject, model, seed)])


def _explained_part(
    subject: Classifier,
    chosen: Explained,
    feature_names: Sequence[str] | None,
    seed: int,
    tell: Callable[[str], None],
) -> Part:
    """What the answers hang on by several methods, and whether integrated gradients are right."""
    found = integrated_gradients(
        subject.predict, chosen.features, chosen.answers, baseline=chosen.baseline, nodes=_NODES
    )
    maps = {"integrated": found.attributions, **other_maps(subject, chosen, seed)}
    tell("testing the attributions")
    curves = {
        name: deletion_curve(
            subject.predict, chosen.features, chosen.answers, each, fill=chosen.baseline, seed=seed
        )
        for name, each in maps.items()
    }
    random = _of_an_untrained_model(subject, chosen, seed)
    measures, missing = _measures(curves["integrated"], found, random, len(chosen.labels), seed)
    if "occlusion" not in maps:
        missing.append(f"Occlusion: more than {OCCLUDED_FEATURES} features, one pass each.")
    return Part(
        _finding(measures, sampled(len(chosen.labels), len(subject.test.labels))),
        measures,
        grids=[_method_grid(curves)],
        pictures=[
            *explanation_pictures(subject, chosen, maps, feature_names, seed),
            picture(
                "Is the explanation better than chance?",
                "The lower the solid line runs under the dashed one, the better the explanation.",
                draw_deletion_curve,
                curves["integrated"],
                "Features taken away",
            ),
        ],
        advice=_advice(measures),
        unmeasured=missing,
    )


def _influence_part(subject: Classifier, model: Any, seed: int) -> Part:
    """The training rows that answers rest on."""
    if model is None:
        return Part(
            unmeasured=[
                "Influence of training examples: the model itself was not given. Pass model= (the "
                "trained flax.nnx model) to see which training rows an answer rests on."
            ]
        )
    found = influential_rows(subject, model, seed)
    drawn = [] if subject.image_shape is None else [influence_picture(subject, found)]
    return Part(grids=[influence_grid(subject, found)], pictures=drawn)


def _unmeasured(reason: str) -> Section:
    text = f"Nothing was explained: {reason}."
    return Section(*ATTRIBUTION, "unmeasured", text, unmeasured=[text])


def _of_an_untrained_model(subject: Classifier, chosen: Explained, seed: int) -> np.ndarray:
    parts = split_model(subject.make_model(jax.random.key(seed + 1)))

    def predict(x):
        return parts.architecture.merge(parts.params, parts.rest, training=False, key=None)(x)

    return integrated_gradients(
        predict, chosen.features, chosen.answers, baseline=chosen.baseline, nodes=_NODES
    ).attributions


def _measures(
    curve: DeletionCurve,
    found: IntegratedGradients,
    random: np.ndarray,
    rows: int,
    seed: int,
) -> tuple[list[Measure], list[str]]:
    missing = []
    if rows < _ROWS_FOR_A_VERDICT:
        missing.append(
            f"A verdict: {rows} test rows are too few for intervals that can be trusted; hold out "
            f"{_ROWS_FOR_A_VERDICT} or more, and explain as many (rows=)."
        )
    measures = [
        _measure(
            "points of probability lost beyond chance, most attributed features first",
            (curve.advantage, curve.low, curve.high),
            above(0.0),
            "share",
            rows,
        )
    ]
    alike = rank_agreement(found.attributions, random, seed=seed)
    if np.isnan(alike.mean):
        missing.append(
            "Comparison with an untrained model: the attributions are the same for all features "
            "of every row, so there is no order to compare."
        )
    else:
        name = "likeness to the attributions of an untrained model (Spearman)"
        found_alike = (alike.mean, alike.low, alike.high)
        measures.append(_measure(name, found_alike, below(_ALIKE), "", rows))
    return [*measures, _gap_measure(found, rows, seed)], missing


def _measure(name: str, found: Sequence[float], bounds: Bounds, unit: str, rows: int) -> Measure:
    """Judged where rows are enough for the interval to be believed."""
    measure = judged(name, found, bounds, unit=unit)
    if rows >= _ROWS_FOR_A_VERDICT:
        return measure
    return dataclasses.replace(measure, verdict="unmeasured")


def _gap_measure(found: IntegratedGradients, rows: int, seed: int) -> Measure:
    size = np.abs(found.scores - found.baseline_scores)
    # A score that hardly moved has nothing to attribute: its gap is measured against the rest.
    shares = np.abs(found.gap) / np.maximum(size, max(float(size.mean()), 1e-6))
    gap = bootstrap_interval(jax.random.key(seed), jnp.mean, shares)
    return _measure(
        f"part of the score that the attributions miss ({_NODES} nodes)",
        [float(end) for end in (gap.estimate, gap.low, gap.high)],
        below(0.05, act=0.2),
        "share",
        rows,
    )


def _finding(measures: Sequence[Measure], rows: str) -> str:
    lost = measures[0]
    text = (
        f"On {rows}, taking away the features that integrated gradients call most "
        f"important costs the model's answer {100 * lost.value:.0f} points of probability more "
        f"than taking away random ones (95 %: {100 * (lost.low or 0):.0f} to "
        f"{100 * (lost.high or 0):.0f})."
    )
    if lost.verdict == "good":
        text += " The pictures point at what the model uses."
    elif lost.verdict == "act":
        text += " The pictures do not point at what the model uses: do not show them as reasons."
    else:
        text += " That is not enough to call the pictures reasons."
    alike = [measure for measure in measures if "untrained" in measure.name]
    if alike:
        text += (
            f" Their likeness to those of an untrained model is {alike[0].value:.2f} on a scale "
            "where 1 is the same order."
        )
    return text


def _advice(measures: Sequence[Measure]) -> list[str]:
    advice = [
        "Read a picture as what this model's answer hangs on, never as a cause in the world.",
        "Look at the rows that are wrong: marks at edges, frames or labels show a shortcut.",
    ]
    if measures[0].verdict in ("act", "watch"):
        advice.insert(
            0,
            "Do not base decisions on these maps. Compare the methods in the table, try another "
            "baseline, and prefer occlusion, which asks the model itself.",
        )
    if any("untrained" in m.name and m.verdict in ("act", "watch") for m in measures):
        advice.insert(
            0,
            "The maps follow the input as much as the model. Use a method that depends more on "
            "the parameters (plain gradients, SmoothGrad), or show differences between classes.",
        )
    if measures[-1].verdict in ("act", "watch"):
        advice.append("Raise the number of nodes until the missed part of the score is below 5 %.")
    return advice


def _method_grid(curves: dict[str, DeletionCurve]) -> Grid:
    lines = [
        [name, f"{100 * c.advantage:.1f}", f"{100 * c.low:.1f} to {100 * c.high:.1f}"]
        for name, c in curves.items()
    ]
    return Grid(
        "Methods against chance",
        ["method", "points lost beyond chance", "95 % interval"],
        lines,
        "Mean over the curve of features taken away; 0 is an explanation no better than chance.",
    )
