"""Cases of the softmax and sigmoid losses that reshape cross-entropy."""

from functools import partial

import jax
import optax

from bench.cases.case import LossCase, binary, distributed, labelled
from xentjax.losses.asymmetric import asymmetric_loss
from xentjax.losses.confidence import confidence_penalty
from xentjax.losses.focal import focal_loss, sigmoid_focal_loss
from xentjax.losses.polynomial import poly_loss

_ELEMENTWISE = {"event_dims": 0}


def _optax_poly(logits: jax.Array, labels: jax.Array) -> jax.Array:
    one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.losses.poly_loss_cross_entropy(logits, one_hot)


CASES: dict[str, LossCase] = {
    "focal": LossCase(focal_loss, labelled),
    "focal, gamma 0.5": LossCase(partial(focal_loss, gamma=0.5), labelled),
    "sigmoid focal": LossCase(
        sigmoid_focal_loss, binary, _ELEMENTWISE, optax=optax.losses.sigmoid_focal_loss
    ),
    "sigmoid focal, gamma 0.5, alpha 0.25": LossCase(
        partial(sigmoid_focal_loss, gamma=0.5, alpha=0.25),
        binary,
        _ELEMENTWISE,
        optax=partial(optax.losses.sigmoid_focal_loss, gamma=0.5, alpha=0.25),
    ),
    "asymmetric": LossCase(asymmetric_loss, binary, _ELEMENTWISE),
    "poly, integer labels": LossCase(poly_loss, labelled, optax=_optax_poly),
    "poly, distributions": LossCase(
        poly_loss, distributed, optax=optax.losses.poly_loss_cross_entropy
    ),
    "confidence penalty": LossCase(confidence_penalty, labelled),
    "confidence penalty, distributions": LossCase(confidence_penalty, distributed),
}
