"""Cases of the losses for long-tailed classes."""

from functools import partial

import jax.numpy as jnp

from bench.cases.case import LossCase, labelled
from xentjax.losses.longtail import ldam_loss, logit_adjusted_cross_entropy

_COUNTS = jnp.array([100.0, 10.0, 1.0])

CASES: dict[str, LossCase] = {
    "logit-adjusted": LossCase(
        partial(logit_adjusted_cross_entropy, class_counts=_COUNTS), labelled, size=(65536, 3)
    ),
    "LDAM": LossCase(
        # With the paper's scale of 30 the contract's random logits would all be certain.
        partial(ldam_loss, class_counts=_COUNTS, scale=3.0),
        labelled,
        size=(65536, 3),
    ),
}
