"""Cases of the losses robust to label noise."""

from functools import partial

import jax.numpy as jnp

from bench.cases.case import LossCase, labelled
from xentjax.losses.bootstrapping import bootstrapped_cross_entropy
from xentjax.losses.noise import forward_corrected_cross_entropy
from xentjax.losses.robust import generalized_cross_entropy, symmetric_cross_entropy

_TIES = "the hard target jumps where classes tie, as at zero logits; its own test has both"
_NOISE = jnp.array([[0.8, 0.2, 0.0], [0.0, 0.7, 0.3], [0.1, 0.1, 0.8]])

CASES: dict[str, LossCase] = {
    "generalized cross-entropy": LossCase(generalized_cross_entropy, labelled),
    "symmetric cross-entropy": LossCase(symmetric_cross_entropy, labelled),
    "bootstrapped, soft": LossCase(bootstrapped_cross_entropy, labelled),
    "bootstrapped, hard": LossCase(
        partial(bootstrapped_cross_entropy, kind="hard"),
        labelled,
        {"leave_out": dict.fromkeys(("gradient", "hessian_finite"), _TIES)},
    ),
    "forward-corrected": LossCase(
        partial(forward_corrected_cross_entropy, noise=_NOISE), labelled, size=(65536, 3)
    ),
}
