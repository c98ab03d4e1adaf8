"""What changed rows add to the section on robustness: attacks, their null, and noise."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from xentjax.audit.attack_curves import (
    AttackCurve,
    GradientMasking,
    attack_curve,
    gradient_masking,
)
from xentjax.audit.attacks import fgsm, pgd, random_signs
from xentjax.audit.classifier import Classifier
from xentjax.audit.corruption import NoiseCurve, input_noise_curve
from xentjax.audit.section import Measure, Picture, picture
from xentjax.audit.sections.bounds import judged, mild, none
from xentjax.audit.sections.lost import LOST
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.wording import percent, round_percent, sampled
from xentjax.plots.robustness import AccuracyCurve, draw_accuracy_curves

# Shares of each feature's range. The last one spans it: no honest accuracy survives that.
_ATTACKS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 1.0)
_JUDGED_ATTACK = 2  # 1 % of the range: below what an eye or a ruler sees
_NOISE = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4)
_JUDGED_NOISE = 2  # 5 % of the range: an ordinary sensor


class Probed(NamedTuple):
    """Rows of the test split, the range of the features, and in words which rows they are."""

    features: np.ndarray
    labels: np.ndarray
    low: np.ndarray
    high: np.ndarray
    said: str


def probed_rows(subject: Classifier, rows: int, seed: int) -> Probed:
    """Some test rows, and the range of the training features."""
    order = np.random.default_rng(seed).permutation(len(subject.test.labels))[:rows]
    train = subject.train.features
    low, high = train.min(axis=0), train.max(axis=0)
    if subject.image_shape is not None:
        # All pixels share one scale, whether or not ink was ever seen there.
        low, high = np.full_like(low, train.min()), np.full_like(high, train.max())
    said = sampled(len(order), len(subject.test.labels))
    return Probed(subject.test.features[order], subject.test.labels[order], low, high, said)


def _chance(labels: np.ndarray) -> float:
    return float(np.bincount(labels).max() / len(labels))


def attack_part(subject: Classifier, probed: Probed, seed: int) -> Part:
    """Accuracy under the worst changes, with chance beside it."""
    rows, labels, low, high, said = probed
    key = jax.random.key(seed)
    limits = {"low": low, "high": high}
    attacks = {
        "many steps (PGD)": partial(pgd, key=key, **limits),
        "one step (FGSM)": partial(fgsm, **limits),
        "random, best of 21": partial(random_signs, key=key, draws=21, **limits),
    }
    curves = {
        name: attack_curve(subject.predict, rows, labels, _ATTACKS, attack, scale=high - low)
        for name, attack in attacks.items()
    }
    strong, weak, null = curves.values()
    signs = gradient_masking(
        subject.predict, rows, labels, one_step=weak, many_steps=strong, null=null, seed=seed
    )
    if not strong.right[0].any():
        return Part(unmeasured=["Attacks: no answer is right to begin with."])
    drawn = picture(
        "Accuracy under attack",
        f"Accuracy on {said}, when every feature may move by a share of its range. PGD leaves "
        f"{percent(strong.accuracy[_JUDGED_ATTACK])} at 1 %; random moves of the same size leave "
        f"{percent(null.accuracy[_JUDGED_ATTACK])}.",
        draw_accuracy_curves,
        [AccuracyCurve(n, c.epsilons, c.accuracy, c.low, c.high) for n, c in curves.items()],
        "Accuracy under attack",
        "largest change of a feature, share of its range",
        _chance(labels),
    )
    lost = strong.flipped(_JUDGED_ATTACK)
    measure = judged(
        "right answers lost to an attack of 1 % of the range", lost, LOST, unit="share"
    )
    return Part(
        f"On {said}, changing every feature by at most 1 % of its range, in the worst direction, "
        f"turns {percent(lost[0])} of the right answers wrong (95 %: {percent(lost[1])} to "
        f"{percent(lost[2])}); random changes of that size turn "
        f"{percent(null.flipped(_JUDGED_ATTACK)[0])}. {_half_lost(strong)}",
        [measure, *_masking_measures(signs)],
        pictures=[drawn],
        advice=_attack_advice(measure, signs),
    )


def _half_lost(curve: AttackCurve) -> str:
    for number, size in enumerate(curve.epsilons):
        if curve.flipped(number)[0] >= 0.5:
            return f"An attack of {round_percent(size)} of the range turns half of them or more."
    return "No attack tried turns half of them."


def _masking_measures(signs: GradientMasking) -> list[Measure]:
    if not signs.suspected:
        return []
    return [
        judged(
            "answers that outlive a change of the whole range",
            signs.survivors,
            mild(none()),
            unit="share",
            why="more means that the attack was blind",
        )
    ]


def _attack_advice(measure: Measure, signs: GradientMasking) -> list[str]:
    advice = []
    if signs.suspected:
        advice.append(
            "The attack found no gradients to follow (rounding, thresholds, or a model that does "
            "not react): accuracy under attack is an upper bound here. Attack without gradients "
            "before you trust it."
        )
    if measure.verdict != "good":
        advice.append(
            "If anyone gains from a wrong answer, train on attacked rows (adversarial training) "
            "and check inputs before the model; if nobody does, the noise curve matters more."
        )
    return advice


def noise_part(subject: Classifier, probed: Probed, seed: int) -> Part:
    """Accuracy under Gaussian noise."""
    rows, labels, low, high, said = probed
    curve = input_noise_curve(
        subject.predict, rows, labels, _NOISE,
        key=jax.random.key(seed), scale=high - low, low=low, high=high,
    )  # fmt: skip
    lost = curve.flipped(_JUDGED_NOISE)
    if np.isnan(lost[0]):
        return Part(unmeasured=["Noise: no answer is right to begin with."])
    measure = judged("right answers lost to noise of 5 % of the range", lost, LOST, unit="share")
    drawn = noise_picture(
        "Accuracy under noise",
        "standard deviation of the noise, share of the range",
        curve,
        labels,
        said,
    )
    return Part(
        f"Ordinary noise of 5 % of the range turns {percent(lost[0])} wrong ({percent(lost[1])} to "
        f"{percent(lost[2])}).",
        [measure],
        pictures=[drawn],
        advice=[]
        if measure.verdict == "good"
        else ["Add noise of the size you expect to the training rows, and measure again."],
    )


def noise_picture(
    title: str, xlabel: str, curve: NoiseCurve, labels: np.ndarray, rows: str
) -> Picture:
    """A noise curve with its single repetitions; `rows` says of which rows."""
    points = curve.repetitions
    return picture(
        title,
        f"On {rows} accuracy goes from {percent(curve.accuracy[0])} to "
        f"{percent(curve.accuracy[-1])} at the right end; the band is the 95 % interval of these "
        "rows, points are single repetitions.",
        draw_accuracy_curves,
        [AccuracyCurve("accuracy", curve.sizes, curve.accuracy, curve.low, curve.high, points)],
        title,
        xlabel,
        _chance(labels),
    )
