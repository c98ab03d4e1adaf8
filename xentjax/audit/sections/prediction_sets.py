"""A part of the section on overconfidence: sets of answers that hold the right one."""

import math

from xentjax.audit.classifier import Classifier
from xentjax.audit.conformal import ConformalPredictor, fit_aps, fit_classwise_aps, fit_raps
from xentjax.audit.coverage import SetCoverage, Shares, chance_of_coverage, set_coverage
from xentjax.audit.section import Grid, Picture, picture
from xentjax.audit.sections.bounds import Bounds, above, judged
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import listed, percent, round_percent, with_interval
from xentjax.plots.conformal import draw_prediction_sets

_BROKEN = 2  # times the mistakes that were promised
# By the beta-binomial law of exchangeable rows, one-sided.
_RARE = 0.025
_FEWEST = 10  # test rows, for the share covered to tell anything


def sets_part(subject: Classifier, *, alpha: float) -> Part:
    """Conformal sets from validation rows, counted on test rows."""
    validation, test = subject.validation, subject.test
    fitted = {
        "adaptive (APS)": fit_aps(validation.logits, validation.labels, alpha=alpha),
        "regularized (RAPS)": fit_raps(
            validation.logits, validation.labels, alpha=alpha, penalty=0.1, free=1
        ),
        "class by class": fit_classwise_aps(validation.logits, validation.labels, alpha=alpha),
    }
    found = {
        name: set_coverage(predictor.sets(test.logits), test.labels)
        for name, predictor in fitted.items()
    }
    plain, coverage = fitted["adaptive (APS)"], found["adaptive (APS)"]
    promised, grid = 1 - alpha, _sets_grid(fitted, found, alpha)
    short = _short_classes(fitted["class by class"], subject.class_names, alpha)
    if plain.unbounded:
        reason = (
            f"Sets that hold the answer: {plain.rows[0]} validation rows are too few to promise "
            f"{round_percent(promised)}; it takes {math.ceil(1 / alpha) - 1} or more."
        )
        return Part(unmeasured=[reason])
    chance = chance_of_coverage(
        coverage.covered, coverage.rows, calibration_rows=int(plain.rows[0]), alpha=alpha
    )
    return Part(
        sentence=(
            f"Sets of {coverage.mean_size:.2f} answers on average, promised to hold the right one "
            f"in {round_percent(promised)}, held it in {percent(coverage.coverage.value)} of the "
            "test rows."
        ),
        measures=[
            judged(
                f"sets promised to hold the answer in {round_percent(promised)}, on test",
                coverage.coverage,
                # A kept promise has the promised share as its mean, so that half of all kept ones
                # lie below it.
                above(1 - _BROKEN * alpha),
                unit="share",
                why="twice the mistakes promised",
            ),
            judged(
                "p-value: so few sets, or fewer, hold the answer",
                chance,
                Bounds(above=_RARE, act_below=0.005),
                why="rows like those of validation give less in one of forty tests",
            ),
        ],
        grids=[grid],
        pictures=[_sets_picture(coverage, subject.class_names, promised)],
        advice=_sets_advice(chance),
        unmeasured=short,
    )


def _sets_picture(coverage: SetCoverage, class_names: tuple[str, ...], promised: float) -> Picture:
    return picture(
        "Prediction sets",
        f"Left: how many answers the sets hold, {coverage.mean_size:.2f} on average. "
        "Right: how often they hold the right one, class by class, with 95 % intervals.",
        draw_prediction_sets,
        coverage,
        class_names,
        promised,
    )


def _sets_advice(chance: float) -> list[str]:
    if chance > _RARE:
        return []
    return [
        "The test rows are not like the validation rows, or promises of coverage would hold: see "
        "the shift between splits in the section on data."
    ]


def _sets_grid(
    fitted: dict[str, ConformalPredictor], found: dict[str, SetCoverage], alpha: float
) -> Grid:
    rows = []
    for name, coverage in found.items():
        by_class, by_size = coverage.by_class, coverage.by_size
        rows.append(
            (
                name,
                with_interval(coverage.coverage),
                f"{coverage.mean_size:.2f}",
                _worst(by_class),
                _worst(by_size),
                len(fitted[name].unbounded),
            )
        )
    return Grid(
        f"Sets that hold the right answer in {round_percent(1 - alpha)}",
        ("sets", "held it on test", "answers", "worst class", "worst size", "classes too rare"),
        rows,
        "Thresholds are from validation rows. The worst class and the worst size of a set are "
        f"among those with {_FEWEST} test rows or more. A class too rare to promise anything about "
        "belongs to every set of the last line.",
    )


def _worst(found: Shares) -> str:
    held = found.count >= _FEWEST
    return percent(float(found.value[held].min())) if held.any() else "–"


def _short_classes(
    predictor: ConformalPredictor, names: tuple[str, ...], alpha: float
) -> list[str]:
    if not predictor.unbounded:
        return []
    rare = listed([names[c] for c in predictor.unbounded])
    return [
        f"A promise class by class: too few validation rows of {rare}; it takes "
        f"{math.ceil(1 / alpha) - 1} of each."
    ]
