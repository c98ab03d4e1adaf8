"""The first part of the section on overconfidence: confidence against accuracy, and its mending."""

import numpy as np

from xentjax.audit.calibration import Calibration, measure_calibration
from xentjax.audit.classifier import Classifier
from xentjax.audit.estimate import Estimate
from xentjax.audit.scaling import TemperatureScaling, fit_temperature, fit_vector_scaling
from xentjax.audit.section import Grid, Measure, picture
from xentjax.audit.sections.bounds import Bounds, below, judged
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent, with_interval
from xentjax.plots.reliability import draw_reliability

# Five points: who is told 90 % may rely on something between 85 % and 95 %.
BOUND = 0.05
# Too sure is worse than too unsure, which only costs handing over what was known.
OVERCONFIDENCE = Bounds(-BOUND, BOUND, act_above=BOUND)
ERROR = below(BOUND)


def confidence_part(subject: Classifier, *, seed: int) -> Part:
    """Whether confidence can be taken at its word, before and after scaling."""
    test, validation = subject.test, subject.validation
    before = measure_calibration(test.logits, test.labels, seed=seed)
    scaling = fit_temperature(validation.logits, validation.labels)
    vector = fit_vector_scaling(validation.logits, validation.labels)
    rows = [_table_row("as trained", before)]
    after = None
    if not scaling.at_bound:
        after = measure_calibration(scaling.apply(test.logits), test.labels, seed=seed)
        rows.append(_table_row(f"temperature {scaling.temperature:.2f}", after))
    helps = after is not None and _helps(before, after, scaling)
    by_vector = measure_calibration(vector.apply(test.logits), test.labels, seed=seed)
    rows.append(_table_row("vector scaling", by_vector))
    return Part(
        sentence=_sentence(before, after if helps else None, scaling),
        measures=_measures(before, after if helps else None),
        grids=[_scaling_grid(rows, scaling), _brier_grid(before)],
        pictures=[
            picture(
                "Reliability",
                _caption(before, after),
                draw_reliability,
                before.diagram,
                None if after is None else after.diagram,
            )
        ],
        advice=_advice(before, after if helps else None, scaling),
        unmeasured=_unmeasured(scaling),
    )


def _helps(before: Calibration, after: Calibration, scaling: TemperatureScaling) -> bool:
    """Whether the temperature is surely not 1, and the test rows agree."""
    differs = abs(scaling.temperature - 1) > 1.96 * scaling.standard_error
    return differs and after.nats < before.nats


def too_sure(gap: Estimate) -> bool:
    """Whether confidence surely promises more than the bound allows."""
    return OVERCONFIDENCE.verdict(gap.low, gap.high) == "act"


def _measures(before: Calibration, after: Calibration | None) -> list[Measure]:
    gap = before.overconfidence
    measures = [
        judged(
            "mean confidence minus accuracy on test",
            gap,
            OVERCONFIDENCE,
            unit="share",
            why="above 0 the model is too sure of itself, which is worse than too unsure",
        ),
        _error_measure("calibration error on test", before),
    ]
    if after is not None:
        name = "calibration error on test after temperature scaling"
        measures.append(_error_measure(name, after))
    return measures


def _error_measure(name: str, found: Calibration) -> Measure:
    why = f"chance alone stays below {percent(found.chance_error)}"
    return judged(name, found.error, ERROR, unit="share", why=why)


def _sentence(before: Calibration, after: Calibration | None, scaling: TemperatureScaling) -> str:
    text = (
        f"On {before.rows} test rows the model was {percent(before.confidence)} sure on average "
        f"and right in {percent(before.accuracy.value)}: {_direction(before.overconfidence)}. Its "
        f"calibration error is {with_interval(before.error)}."
    )
    if after is not None:
        text += (
            f" With all logits divided by {scaling.temperature:.2f}, which changes no decision, it "
            f"is {with_interval(after.error)}."
        )
    return text


def _direction(gap: Estimate) -> str:
    ends = f"95 % interval {100 * gap.low:+.1f} to {100 * gap.high:+.1f}"
    if gap.low > 0:
        return f"too sure by {100 * gap.value:.1f} points ({ends})"
    if gap.high < 0:
        return f"less sure than it could be by {-100 * gap.value:.1f} points ({ends})"
    return f"a difference of {100 * gap.value:+.1f} points, which can be chance ({ends})"


def _caption(before: Calibration, after: Calibration | None) -> str:
    fullest = int(before.diagram.count.argmax())
    text = (
        "On the dashed line the model is right as often as it says. Whiskers are 95 % intervals; "
        f"the fullest bin holds {before.diagram.count[fullest]} of {before.rows} rows, which say "
        f"{percent(before.diagram.confidence[fullest])} and are right in "
        f"{percent(before.diagram.accuracy[fullest])}."
    )
    return text if after is None else text + " Temperature scaling was fitted on validation rows."


def _table_row(name: str, found: Calibration) -> tuple[str, ...]:
    return (
        name,
        percent(found.confidence),
        percent(found.accuracy.value),
        with_interval(found.error),
        percent(found.expected_error),
        f"{found.nats:.4f}",
        f"{found.brier.score:.4f}",
    )


def _scaling_grid(rows: list[tuple[str, ...]], scaling: TemperatureScaling) -> Grid:
    note = (
        f"Scalings were fitted on {scaling.rows} validation rows, figures are of the test rows. "
        "The calibration error is the root mean square without the part of noise; ECE has it."
    )
    if not scaling.at_bound:
        note += f" The temperature has a standard error of {scaling.standard_error:.2f}."
    columns = ("logits", "confidence", "accuracy", "calibration error", "ECE", "nats", "Brier")
    return Grid("Before and after scaling, on test", columns, rows, note)


def _brier_grid(found: Calibration) -> Grid:
    brier = found.brier
    rows = [
        ("reliability", f"{brier.reliability:.4f}", "what miscalibration costs; 0 at best"),
        ("− resolution", f"{-brier.resolution:.4f}", "what telling rows apart gains"),
        ("+ uncertainty", f"{brier.uncertainty:.4f}", "of always saying the class frequencies"),
        ("+ spread within bins", f"{brier.within_bin_spread:.4f}", "of what was said"),
        (
            "− 2 × covariance within bins",
            f"{-2 * brier.within_bin_covariance:.4f}",
            "of what was said and what came",
        ),
        ("= Brier score", f"{brier.score:.4f}", "0 at best, 2 at worst"),
    ]
    return Grid("What the Brier score is made of, on test", ("part", "value", "meaning"), rows)


def _advice(
    before: Calibration, after: Calibration | None, scaling: TemperatureScaling
) -> list[str]:
    advice = []
    if after is not None:
        advice.append(
            f"Divide the logits by {scaling.temperature:.2f} before the softmax: it changes no "
            f"decision, and the test cross-entropy goes from {before.nats:.4f} to "
            f"{after.nats:.4f} nats."
        )
    if too_sure(before.overconfidence):
        advice.append(
            "Do not show these confidences to anyone as they are; train with early stopping, "
            "weight decay or label smoothing, and audit again."
        )
    # Half the width of an interval falls as 1/√rows.
    half = (before.overconfidence.high - before.overconfidence.low) / 2
    if half > BOUND:
        wanted = int(np.ceil(before.rows * (half / BOUND) ** 2 / 10) * 10)
        advice.append(
            f"Test on more rows: {before.rows} leave the difference of confidence and accuracy "
            f"uncertain by {100 * half:.0f} points either way; some {wanted} would settle 5."
        )
    return advice


def _unmeasured(scaling: TemperatureScaling) -> list[str]:
    if not scaling.at_bound:
        return []
    if scaling.temperature < 1:
        reason = f"all {scaling.rows} validation rows are right, or as good as"
    else:
        reason = f"on the {scaling.rows} validation rows the logits say nothing of the labels"
    return [
        f"Temperature scaling: {reason}, so no temperature is the best. Fit it on more validation "
        "rows, some of them right and some wrong."
    ]
