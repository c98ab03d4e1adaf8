"""Clauses about `weights`: they multiply the losses, and a mean divides by their sum."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from xentjax.testing.rounding import rounding
from xentjax.testing.subject import Subject
from xentjax.testing.violation import require


def weights(subject: Subject) -> str | None:
    """Losses under weights w are w times the losses, in value and gradient; a weight may be 0."""
    if "weights" not in subject.keywords:
        return "the loss takes no `weights`"
    w, u = subject.example_weights(), subject.cotangent()
    with require("weights", subject.example) as demand:
        losses, slope = subject.programs.pull_back(subject.example.arrays(), u)
        _, weighed_slope = subject.programs.pull_back(subject.example.arrays(), u * w)
        weighed = w * np.asarray(losses)
        both = subject.pull_back_both_ways(subject.example, u, weights=jnp.asarray(w))
        for how, (got, gradients) in both.items():
            what = f"the losses under weights, {how}, against weights times losses"
            demand.close(what, got, weighed, _bound(subject, losses))
            what = f"the gradient under weights, {how}, against that of weights times losses"
            demand.close(what, gradients, weighed_slope, _bound(subject, slope))
    return None


def weighted_mean(subject: Subject) -> str | None:
    """`reduction="mean"` under weights w is Σ w·loss / Σ w, in value and gradient."""
    missing = {"weights", "reduction"} - subject.keywords
    if missing:
        return f"the loss takes no {' and no '.join(f'`{name}`' for name in sorted(missing))}"
    w, one = subject.example_weights(), np.ones((), np.float32)
    share = w / w.sum()
    inputs = subject.example.arrays()
    with require("weighted_mean", subject.example) as demand:
        losses, slope = subject.programs.pull_back(inputs, share)
        mean = np.sum(share * np.asarray(losses))
        got, gradients = subject.programs.pull_back(
            inputs, one, weights=jnp.asarray(w), reduction="mean"
        )
        what = "the mean under weights, against the weighted average of the losses"
        demand.close(what, got, mean, _bound(subject, losses))
        what = "the gradient of the mean under weights, against that of the weighted average"
        demand.close(what, gradients, slope, _bound(subject, slope))
    return None


def _bound(subject: Subject, wanted: Any) -> float:
    # Weights below 2 at most double the rounding of each side; shares of a mean add up to 1.
    return 2 * rounding(np.float32, subject.event_size, subject.example.magnitude(), wanted)
