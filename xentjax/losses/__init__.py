"""Losses: (logits, labels) → per-example losses in nats, pure mathematics in plain JAX.

They all share the tail `*, where=None, weights=None, reduction="none"`, compute in at least
float32, and work inside every JAX transform. One family, one file.
"""

from xentjax.losses.distillation import distillation_loss
from xentjax.losses.divergence import (
    entropy,
    js_divergence,
    kl_divergence,
    kl_divergence_with_logits,
)
from xentjax.losses.focal import focal_loss
from xentjax.losses.reduction import reduce, total_and_weight
from xentjax.losses.regression import huber_loss, squared_error
from xentjax.losses.sigmoid import sigmoid_cross_entropy
from xentjax.losses.softmax import softmax_cross_entropy
from xentjax.losses.units import bits, bits_per_byte, perplexity

__all__ = [
    "bits",
    "bits_per_byte",
    "distillation_loss",
    "entropy",
    "focal_loss",
    "huber_loss",
    "js_divergence",
    "kl_divergence",
    "kl_divergence_with_logits",
    "perplexity",
    "reduce",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "squared_error",
    "total_and_weight",
]
