"""Cases of the softmax and sigmoid losses that reshape cross-entropy."""

from functools import partial

from bench.cases.case import LossCase, labelled
from xentjax.losses.focal import focal_loss

CASES: dict[str, LossCase] = {
    "focal": LossCase(focal_loss, labelled),
    "focal, gamma 0.5": LossCase(partial(focal_loss, gamma=0.5), labelled),
}
