"""A part of the section on overconfidence: which rows to decide, and which to hand over."""

import math

from xentjax.audit.class_scores import read_class_scores
from xentjax.audit.classifier import Classifier
from xentjax.audit.section import Grid, Measure, picture
from xentjax.audit.sections.bounds import above, below, judged
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent, round_percent, with_interval
from xentjax.audit.selective import (
    ConfidenceThreshold,
    RiskCoverage,
    Selection,
    choose_threshold,
    risk_coverage,
    select,
)
from xentjax.plots.selective import draw_risk_coverage

_PROMISES = (0.99, 0.98, 0.95, 0.9)
_BROKEN = 2  # times the mistakes that were promised


def handover_part(subject: Classifier, *, seed: int) -> Part:
    """Whether mistakes are where confidence is low, and a threshold that keeps a promise."""
    validation = read_class_scores(subject.validation.logits, subject.validation.labels)
    test = read_class_scores(subject.test.logits, subject.test.labels)
    curve = risk_coverage(test.log_confidence, test.correct, seed=seed)
    tried = []
    for accuracy in _PROMISES:
        threshold = choose_threshold(
            validation.log_confidence, validation.correct, accuracy=accuracy
        )
        tried.append((threshold, select(threshold, test.log_confidence, test.correct)))
    kept = [(threshold, found) for threshold, found in tried if threshold.proven]
    best = kept[0] if kept else None
    mistakes = int((~test.correct).sum())
    chosen = None
    if best is not None and best[1].decided:
        chosen = (best[1].coverage.value, 1 - best[1].accuracy.value)
    return Part(
        sentence=_handover_sentence(best),
        measures=_handover_measures(curve, mistakes, best),
        grids=[_promise_grid(tried)],
        pictures=[
            picture("Handing over", _handover_caption(curve), draw_risk_coverage, curve, chosen)
        ],
        advice=_handover_advice(best),
        unmeasured=_handover_unmeasured(tried, mistakes),
    )


def _handover_measures(
    curve: RiskCoverage,
    mistakes: int,
    best: tuple[ConfidenceThreshold, Selection] | None,
) -> list[Measure]:
    measures = []
    if mistakes:
        measures.append(
            judged(
                "mistakes left, averaged over all shares handed over (AURC)",
                curve.area,
                below(float(curve.risk[-1])),
                unit="share",
                why="the error rate, which a random order would give",
            )
        )
    if best is not None and best[1].decided:
        threshold, found = best
        measures.append(
            judged(
                f"accuracy on test where the model is at least {_sure(threshold)} sure",
                found.accuracy,
                # A promise is proven at its edge, so that a test straddles it even where it holds.
                above(1 - _BROKEN * (1 - threshold.accuracy)),
                unit="share",
                why=f"{round_percent(threshold.accuracy)} was promised on validation rows, and "
                "twice the mistakes would break it",
            )
        )
    return measures


def _handover_sentence(best: tuple[ConfidenceThreshold, Selection] | None) -> str:
    if best is None or not best[1].decided:
        return ""
    threshold, found = best
    return (
        f"Where it is at least {_sure(threshold)} sure, on {percent(found.coverage.value)} of the "
        f"test rows, it was right in {percent(found.accuracy.value)}; "
        f"{round_percent(threshold.accuracy)} was proven on validation rows."
    )


def _handover_caption(curve: RiskCoverage) -> str:
    most = max(1, round(0.8 * len(curve.risk)))
    return (
        f"With all rows decided {percent(curve.risk[-1])} are mistakes; with the surest "
        f"{percent(curve.coverage[most - 1])} decided, {percent(curve.risk[most - 1])} of those. "
        "The dashed line is a model that does not know when it does not know."
    )


def _promise_grid(tried: list[tuple[ConfidenceThreshold, Selection]]) -> Grid:
    rows = [
        (
            round_percent(threshold.accuracy),
            f"at least {_sure(threshold)}" if threshold.proven else "none proven",
            with_interval(found.coverage) if threshold.proven else "–",
            with_interval(found.accuracy) if found.decided else "–",
            threshold.rows_needed,
        )
        for threshold, found in tried
    ]
    return Grid(
        "When to hand over to a human",
        ("right in", "confidence", "decides on test", "right on test", "rows needed"),
        rows,
        f"Thresholds were proven on {tried[0][0].rows} validation rows, each promise by itself at "
        "95 %. “Rows needed” is how many must be right, without a mistake, to prove it at all.",
    )


def _handover_advice(best: tuple[ConfidenceThreshold, Selection] | None) -> list[str]:
    if best is None or best[1].coverage.value in (0.0, 1.0):
        return []
    threshold, found = best
    return [
        f"Let the model decide where it is at least {_sure(threshold)} sure and hand the other "
        f"{percent(1 - found.coverage.value)} of rows to a human."
    ]


def _handover_unmeasured(
    tried: list[tuple[ConfidenceThreshold, Selection]], mistakes: int
) -> list[str]:
    texts = []
    if not mistakes:
        texts.append(
            "Whether mistakes come where confidence is low: the test rows hold no mistake. It "
            "takes more rows, or harder ones."
        )
    loosest = tried[-1][0]
    if not loosest.proven and loosest.rows < loosest.rows_needed:
        texts.append(
            f"A threshold for handing over: {loosest.rows} validation rows cannot prove even "
            f"{round_percent(loosest.accuracy)} accuracy; it takes {loosest.rows_needed} or more."
        )
    elif not loosest.proven:
        texts.append(
            "A threshold for handing over: mistakes among the rows the model is surest of leave "
            f"no threshold with {round_percent(loosest.accuracy)} accuracy. It takes a better "
            "model, or more validation rows."
        )
    return texts


def _sure(threshold: ConfidenceThreshold) -> str:
    """The threshold in percent, with as many digits as tell it from 100 %."""
    missing = -math.expm1(threshold.confidence)
    digits = 1 if missing <= 0 else max(1, min(8, 1 - math.floor(math.log10(100 * missing))))
    return f"{100 * math.exp(threshold.confidence):.{digits}f} %"
