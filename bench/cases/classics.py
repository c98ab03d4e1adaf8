"""Cases of the plain losses: cross-entropy, divergences, distillation, regression."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import optax

import xentjax
from bench.cases.case import LossCase, binary, distributed, labelled, normal, pair, torch_functional

CE = xentjax.softmax_cross_entropy
_WEIGHTED = "its mean is over class weights too; tests/losses/test_softmax.py has it"


def _distillation(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    logits, labels = labelled(rng, n, classes)
    return logits, normal(rng, n, classes), labels


CASES: dict[str, LossCase] = {
    "softmax, integer labels": LossCase(
        CE,
        labelled,
        optax=optax.softmax_cross_entropy_with_integer_labels,
        torch=torch_functional("cross_entropy"),
    ),
    "softmax, distributions": LossCase(
        CE,
        distributed,
        optax=optax.softmax_cross_entropy,
        torch=torch_functional("cross_entropy"),
    ),
    "softmax, every option": LossCase(
        partial(CE, label_smoothing=0.1, z_loss=0.01, class_weights=jnp.array([1.0, 2.0, 0.5])),
        labelled,
        # With class weights a mean divides by the weights of the labels, as torch does.
        {"leave_out": dict.fromkeys(("masked_mean", "weighted_mean"), _WEIGHTED)},
        size=(65536, 3),
    ),
    "sigmoid": LossCase(
        xentjax.sigmoid_cross_entropy,
        binary,
        {"event_dims": 0},
        optax=optax.sigmoid_binary_cross_entropy,
        torch=torch_functional("binary_cross_entropy_with_logits"),
    ),
    "sigmoid, positive weight": LossCase(
        partial(xentjax.sigmoid_cross_entropy, pos_weight=2.0), binary, {"event_dims": 0}
    ),
    "KL": LossCase(xentjax.kl_divergence, distributed),
    "KL with logits": LossCase(partial(xentjax.kl_divergence_with_logits, temperature=2.0), pair),
    "JS": LossCase(xentjax.js_divergence, pair),
    "entropy": LossCase(xentjax.entropy, lambda rng, n, c: (normal(rng, n, c),)),
    "distillation": LossCase(
        partial(xentjax.distillation_loss, temperature=2.0, alpha=0.5), _distillation
    ),
    "squared error": LossCase(
        xentjax.squared_error,
        pair,
        {"event_dims": 0},
        optax=optax.squared_error,
        torch=torch_functional("mse_loss"),
    ),
    "Huber": LossCase(
        xentjax.huber_loss,
        pair,
        {"event_dims": 0},
        optax=optax.huber_loss,
        torch=torch_functional("huber_loss"),
    ),
}
