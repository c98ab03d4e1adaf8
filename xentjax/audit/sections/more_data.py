"""The part of the section on overfitting that trains anew: what more steps and more data bring."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.cohort import train_cohort
from xentjax.audit.estimate import Estimate, percentiles
from xentjax.audit.learning_curve import LearningCurve, train_learning_curve
from xentjax.audit.overfitting import Outcomes, outcomes
from xentjax.audit.power_law import PowerLaw, fit_power_law
from xentjax.audit.section import Grid, Measure, Section, picture, worst
from xentjax.audit.sections.bounds import below, judged
from xentjax.audit.sections.wording import percent
from xentjax.metrics.intervals import bootstrap_interval
from xentjax.plots.learning_curve import draw_learning_curve

_LONGER = 4  # times the steps, to see whether an underfit model was stopped early
# Doubling the data costs work; it should take away this share of the loss, surely.
_LEAST_GAIN = 0.05


def with_longer_training(
    section: Section,
    subject: Classifier,
    held_out: Sequence[Outcomes],
    *,
    least: float,
    seed: int,
) -> Section:
    """Adds what a longer training would gain on held-out rows, to tell underfitting from noise.

    Args:
        section: so far.
        subject: the classifier.
        held_out: its outcomes on validation and test.
        least: nats a row that are worth the longer training.
        seed: of the training and the resamples.
    """
    gain = _longer(subject, held_out, seed)
    if not np.isfinite(gain.value):
        text = "Longer training: it diverged; try it with a smaller learning rate."
        return dataclasses.replace(section, unmeasured=[*section.unmeasured, text])
    measure = judged(
        f"nats a held-out row that {_LONGER} times the steps take away",
        gain,
        below(least),
        unit="nats",
        why="else training was stopped too early",
    )
    early = measure.verdict == "act"
    if early:
        added = (
            f" A training of {_LONGER} times the steps loses {gain.value:.3g} nats less on "
            "held-out rows: this one was stopped too early."
        )
    else:
        added = (
            f" Training {_LONGER} times as long changes the held-out loss by {-gain.value:+.3g} "
            "nats: the steps are not what is missing."
        )
    return dataclasses.replace(
        section,
        verdict=worst([section.verdict, measure.verdict]),
        finding=section.finding + added,
        measures=[*section.measures, measure],
        advice=[f"Train for {_LONGER} times the steps or more.", *section.advice]
        if early
        else section.advice,
    )


def with_learning_curve(
    section: Section, subject: Classifier, *, repeats: int, seed: int
) -> Section:
    """Adds the learning curve and its forecast, or why there is none.

    Args:
        section: so far.
        subject: the classifier.
        repeats: trainings a size.
        seed: of the trainings and the resamples.
    """
    rows = len(subject.train.labels)
    if repeats < 2 or rows < 2:
        text = (
            "Learning curve: there is a single row; give at least two."
            if rows < 2
            else f"Learning curve: an interval takes two trainings a size, and {repeats} was asked "
            "for, as --quick does; run without it, or give curve_repeats=3."
        )
        return dataclasses.replace(section, unmeasured=[*section.unmeasured, text])
    curve = _curve(subject, repeats, seed)
    if not (np.isfinite(curve.losses).all() and np.isfinite(curve.train_losses).all()):
        text = "Learning curve: a training diverged; try it with a smaller learning rate."
        return dataclasses.replace(section, unmeasured=[*section.unmeasured, text])
    law = _law(curve, seed)
    unmeasured, measures = list(section.unmeasured), list(section.measures)
    if law is None:
        unmeasured.append(
            f"Forecast for more data: {len(curve.sizes)} sizes with losses above 0, four are "
            "needed; give more training rows."
        )
    else:
        measures += _forecast_measures(law, curve)
    return dataclasses.replace(
        section,
        finding=section.finding + ("" if law is None else _forecast_sentence(law)),
        measures=measures,
        grids=[*section.grids, _curve_grid(curve)],
        pictures=[*section.pictures, _curve_picture(curve, law)],
        unmeasured=unmeasured,
    )


def _curve(subject: Classifier, repeats: int, seed: int) -> LearningCurve:
    # Models of the curve have chosen nothing by validation: it is as unseen as test.
    held_out = [subject.validation, subject.test]
    return train_learning_curve(
        subject.make_model,
        subject.train.features,
        subject.train.labels,
        np.concatenate([part.features for part in held_out]),
        np.concatenate([part.labels for part in held_out]),
        steps=subject.steps,
        repeats=repeats,
        batch_size=subject.batch_size,
        learning_rate=subject.learning_rate,
        seed=seed,
    )


def _law(curve: LearningCurve, seed: int) -> PowerLaw | None:
    if len(curve.sizes) < 4 or not np.all(curve.losses > 0):
        return None
    return fit_power_law(curve.sizes, curve.losses, least_gain=_LEAST_GAIN, seed=seed)


def _forecast_measures(law: PowerLaw, curve: LearningCurve) -> list[Measure]:
    return [
        Measure("loss with all training rows, trained anew", *curve.loss[-1], "nats", "near 0"),
        Measure(f"forecast of the loss with {law.forecast_size} rows", *law.forecast, "nats"),
        Measure("share of the loss that twice the data would take away", *law.gain, "share"),
    ]


def _forecast_sentence(law: PowerLaw) -> str:
    span = f"{percent(law.gain.value)} ({percent(law.gain.low)} to {percent(law.gain.high)})"
    if law.falling:
        return (
            f" The learning curve still falls: twice the data would take away {span} of the loss."
        )
    if law.gain.high < _LEAST_GAIN:
        return f" The learning curve is flat: twice the data would take away {span} of the loss."
    return (
        f" Whether more data would help is not clear: twice as much might take away {span} of the "
        "loss."
    )


def _curve_grid(curve: LearningCurve) -> Grid:
    return Grid(
        "By size of the training data",
        ["training rows", "held-out loss", "95 % interval", "accuracy", "training loss"],
        [
            [
                int(n),
                f"{loss.value:.3g}",
                f"{max(loss.low, 0):.3g} to {loss.high:.3g}",
                percent(hits.value),
                f"{own.mean():.3g}",
            ]
            for n, loss, hits, own in zip(
                curve.sizes, curve.loss, curve.accuracy, curve.train_losses, strict=True
            )
        ],
        f"{curve.losses.shape[1]} trainings a size, each with as many steps as the audited model, "
        "scored on validation and test together, in nats. Intervals are over trainings.",
    )


def _curve_picture(curve: LearningCurve, law: PowerLaw | None):
    ends = f"{curve.loss[0].value:.3g} at {curve.sizes[0]} rows to {curve.loss[-1].value:.3g} at "
    caption = (
        f"Held-out loss falls from {ends}{curve.sizes[-1]}."
        if curve.loss[-1].value < curve.loss[0].value
        else f"Held-out loss goes from {ends}{curve.sizes[-1]}."
    ) + " Dots are single trainings, the band is their 95 % interval."
    if law is not None:
        caption += " The dashed law is a guess beyond the data: read its bar, not its point."
    return picture(
        "Loss over the size of the training data", caption, draw_learning_curve, curve, law
    )


def _longer(subject: Classifier, held_out: Sequence[Outcomes], seed: int) -> Estimate:
    """How much less a longer training loses on each held-out row than the subject, in the mean."""
    train = subject.train
    cohort = train_cohort(
        subject.make_model,
        train.features,
        train.labels,
        members=np.ones((1, len(train.labels)), bool),
        steps=_LONGER * subject.steps,
        batch_size=subject.batch_size,
        learning_rate=subject.learning_rate,
        seed=seed,
    )
    parts = [subject.validation, subject.test]
    gains = [
        before.losses - outcomes(cohort.logits(part.features)[0], part.labels).losses
        for before, part in zip(held_out, parts, strict=True)
    ]
    gain = np.concatenate(gains)
    found = bootstrap_interval(jax.random.key(seed), jnp.mean, jnp.asarray(gain, jnp.float32))
    return percentiles(float(gain.mean()), np.asarray(found.resampled, np.float64))
