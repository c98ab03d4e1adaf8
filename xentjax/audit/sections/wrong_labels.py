"""What wrong training labels add to the section on robustness."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.corruption import label_noise_curve
from xentjax.audit.sections.bounds import judged
from xentjax.audit.sections.lost import LOST
from xentjax.audit.sections.part import Part
from xentjax.audit.sections.perturbations import noise_picture
from xentjax.audit.sections.wording import round_percent, sampled
from xentjax.metrics.intervals import bootstrap_interval

_JUDGED = 0.2  # labels wrong, as in careless crowd work


def label_part(subject: Classifier, shares: Sequence[float], trainings: int, seed: int) -> Part:
    """Trains models of the same kind on labels of which a share is wrong."""
    if len(shares) < 2:
        return Part(unmeasured=["Wrong labels: skipped; give two label shares or more."])
    train, test = subject.train, subject.test
    curve = label_noise_curve(
        subject.make_model, train.features, train.labels, test.features, test.labels, shares,
        classes=len(subject.class_names), trainings=trainings, seed=seed, steps=subject.steps,
        batch_size=subject.batch_size, learning_rate=subject.learning_rate,
    )  # fmt: skip
    at = int(np.abs(curve.sizes - _JUDGED).argmin())
    lost = bootstrap_interval(
        jax.random.key(seed), jnp.mean, (curve.right[0] - curve.right[at]).astype(np.float32)
    )
    share, low, high = (float(value) for value in (lost.estimate, lost.low, lost.high))
    name = f"test accuracy lost to {round_percent(curve.sizes[at])} of wrong training labels"
    measure = judged(name, (share, low, high), LOST, unit="share")
    drawn = noise_picture(
        "Accuracy by share of wrong training labels",
        f"share of training labels that are wrong ({trainings} trainings each)",
        curve,
        test.labels,
        sampled(len(test.labels), len(test.labels)),
    )
    return Part(
        f"Trained with {round_percent(curve.sizes[at])} of the labels wrong, it would lose "
        f"{100 * share:.1f} points of test accuracy ({100 * low:.1f} to {100 * high:.1f}).",
        [measure],
        pictures=[drawn],
        advice=[]
        if measure.verdict == "good"
        else [
            "The model may learn wrong labels by heart: check the labels, stop earlier, or "
            "train with a loss that forgives them (generalized cross-entropy, label smoothing)."
        ],
    )
