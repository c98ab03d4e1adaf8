"""Losses: (logits, labels) → per-example losses in nats, pure mathematics in plain JAX.

They all share the tail `*, where=None, weights=None, reduction="none"`, compute in at least
float32, and work inside every JAX transform. One family, one file, loaded on first use.
"""

# Names for type checkers below are loaded on use at run time.
# ruff: noqa: F401

from typing import TYPE_CHECKING

import xentjax

_HOME = {
    name: home.removeprefix("losses.")
    for name, home in xentjax._HOME.items()
    if home.startswith("losses.")
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from xentjax.losses.angular_margin import arcface_loss, cosface_loss
    from xentjax.losses.asymmetric import asymmetric_loss
    from xentjax.losses.bi_tempered import bi_tempered_loss
    from xentjax.losses.bootstrapping import bootstrapped_cross_entropy
    from xentjax.losses.capping import soft_cap
    from xentjax.losses.class_balance import class_balanced_weights
    from xentjax.losses.confidence import confidence_penalty
    from xentjax.losses.consistency import jensen_shannon_consistency, r_drop
    from xentjax.losses.contrastive import clip_loss, info_nce
    from xentjax.losses.ctc import ctc_loss
    from xentjax.losses.distillation import distillation_loss
    from xentjax.losses.divergence import (
        entropy,
        js_divergence,
        kl_divergence,
        kl_divergence_with_logits,
    )
    from xentjax.losses.fenchel_young import entmax_loss, sparsemax_loss
    from xentjax.losses.focal import focal_loss, sigmoid_focal_loss
    from xentjax.losses.hinge import multiclass_hinge_loss
    from xentjax.losses.listwise import listwise_softmax_loss
    from xentjax.losses.longtail import ldam_loss, logit_adjusted_cross_entropy
    from xentjax.losses.noise import forward_corrected_cross_entropy
    from xentjax.losses.normalizations import entmax, sparsemax
    from xentjax.losses.ordinal import coral_loss, corn_loss, soft_ordinal_targets
    from xentjax.losses.pairwise_sigmoid import siglip_loss
    from xentjax.losses.policy import group_advantages, grpo_loss
    from xentjax.losses.polynomial import poly_loss
    from xentjax.losses.positives import supervised_contrastive
    from xentjax.losses.preference import dpo_loss, kto_loss
    from xentjax.losses.reduction import reduce, total_and_weight
    from xentjax.losses.reference_free import orpo_loss, simpo_loss
    from xentjax.losses.regression import huber_loss, squared_error
    from xentjax.losses.robust import generalized_cross_entropy, symmetric_cross_entropy
    from xentjax.losses.sampled_softmax import log_uniform_sample, sampled_softmax_cross_entropy
    from xentjax.losses.segmentation import dice_loss, tversky_loss
    from xentjax.losses.sequence import (
        next_token_labels,
        segment_mask,
        segment_positions,
        sequence_log_prob,
    )
    from xentjax.losses.sigmoid import sigmoid_cross_entropy
    from xentjax.losses.softmax import softmax_cross_entropy
    from xentjax.losses.targets import cutmix, mixup, smooth_labels
    from xentjax.losses.units import bits, bits_per_byte, perplexity


__getattr__ = xentjax._loader(__name__, _HOME)


def __dir__() -> list[str]:
    return list(__all__)
