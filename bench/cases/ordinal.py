"""Cases of the losses for ordered classes."""

import numpy as np

from bench.cases.case import LossCase, normal
from xentjax.losses.ordinal import coral_loss, corn_loss

_NO_CLASS = {"leave_out": {"masked_class": "a logit is a threshold between classes, not a class"}}


def _graded(rng: np.random.Generator, n: int, thresholds: int) -> tuple[np.ndarray, ...]:
    """Logits [n, K − 1] and labels in [0, K)."""
    return normal(rng, n, thresholds), rng.integers(thresholds + 1, size=n, dtype=np.int32)


CASES: dict[str, LossCase] = {
    "CORAL": LossCase(coral_loss, _graded, _NO_CLASS, size=(65536, 9)),
    "CORN": LossCase(corn_loss, _graded, _NO_CLASS, size=(65536, 9)),
}
