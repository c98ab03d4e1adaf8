"""Overconfidence of a classifier: can its confidence be taken at its word?"""

from collections.abc import Callable

import numpy as np

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.heads import CALIBRATION
from xentjax.audit.section import Section
from xentjax.audit.sections.confidence import confidence_part
from xentjax.audit.sections.handover import handover_part
from xentjax.audit.sections.part import joined
from xentjax.audit.sections.prediction_sets import sets_part
from xentjax.audit.sections.strangers import strangers_part


def calibration_section(
    subject: Classifier,
    *,
    seed: int = 0,
    alpha: float = 0.05,
    progress: Callable[[str], None] | None = None,
) -> Section:
    """Measures overconfidence, what mends it, and what to do with rows the model is unsure of.

    Temperatures, thresholds and conformal quantiles are fitted on validation rows and reported on
    test rows. The verdict is that of confidence against accuracy (bound: five points), of promises
    broken on test, of mistakes that do not come where confidence is low, and of confidence that
    does not tell test rows from noise.

    Args:
        subject: the classifier.
        seed: of bootstraps and noise.
        alpha: how often prediction sets may miss the right answer, in (0, 1).
        progress: is told what is measured next.

    Returns:
        A `Section`; "unmeasured" where there are no rows, or logits that are not finite.

    Raises:
        ValueError: if alpha is out of range, or labels do not fit the logits.
    """
    problems = [
        f"{name}: {problem}"
        for name, rows in (("test", subject.test), ("validation", subject.validation))
        if (problem := _problem(rows))
    ]
    if problems:
        return Section(
            *CALIBRATION,
            verdict="unmeasured",
            finding="Nothing could be measured: " + "; ".join(problems) + ".",
            unmeasured=[
                f"Overconfidence: {problem}. Every part needs validation rows, to fit, and test "
                "rows, to report, with finite logits."
                for problem in problems
            ],
        )
    tell = progress or (lambda _: None)
    tell("confidence against accuracy, and scaling")
    parts = [confidence_part(subject, seed=seed)]
    tell("what to hand over")
    parts.append(handover_part(subject, seed=seed))
    tell("prediction sets")
    parts.append(sets_part(subject, alpha=alpha))
    tell("rows of another kind")
    parts.append(strangers_part(subject, seed=seed))
    return joined(CALIBRATION, parts)


def _problem(rows: Rows) -> str:
    if not len(rows.labels):
        return "there are no rows"
    if not np.isfinite(rows.logits).all():
        return "the model gives logits that are not finite numbers, as after a training diverged"
    return ""
