"""xentjax: cross-entropy for JAX, from the formula to the trained and audited model.

Public names are loaded on first use (PEP 562), so `import xentjax` costs no more than
`import jax`.
"""

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Each public name and the module that holds it: the one list a new name is added to.
_HOME = {
    "arcface_loss": "losses.angular_margin",
    "asymmetric_loss": "losses.asymmetric",
    "bi_tempered_loss": "losses.bi_tempered",
    "bits": "losses.units",
    "bits_per_byte": "losses.units",
    "bootstrapped_cross_entropy": "losses.bootstrapping",
    "class_balanced_weights": "losses.class_balance",
    "clip_loss": "losses.contrastive",
    "confidence_penalty": "losses.confidence",
    "coral_loss": "losses.ordinal",
    "corn_loss": "losses.ordinal",
    "cosface_loss": "losses.angular_margin",
    "ctc_loss": "losses.ctc",
    "cutmix": "losses.targets",
    "dice_loss": "losses.segmentation",
    "distillation_loss": "losses.distillation",
    "dpo_loss": "losses.preference",
    "entmax": "losses.normalizations",
    "entmax_loss": "losses.fenchel_young",
    "entropy": "losses.divergence",
    "focal_loss": "losses.focal",
    "forward_corrected_cross_entropy": "losses.noise",
    "generalized_cross_entropy": "losses.robust",
    "group_advantages": "losses.policy",
    "grpo_loss": "losses.policy",
    "huber_loss": "losses.regression",
    "info_nce": "losses.contrastive",
    "jensen_shannon_consistency": "losses.consistency",
    "js_divergence": "losses.divergence",
    "kl_divergence": "losses.divergence",
    "kl_divergence_with_logits": "losses.divergence",
    "kto_loss": "losses.preference",
    "ldam_loss": "losses.longtail",
    "linear_cross_entropy": "fused.linear_cross_entropy",
    "linear_kl_divergence": "fused.linear_kl_divergence",
    "linear_log_probs": "fused.linear_log_probs",
    "listwise_softmax_loss": "losses.listwise",
    "log_uniform_sample": "losses.sampled_softmax",
    "logit_adjusted_cross_entropy": "losses.longtail",
    "mixup": "losses.targets",
    "multiclass_hinge_loss": "losses.hinge",
    "next_token_labels": "losses.sequence",
    "orpo_loss": "losses.reference_free",
    "perplexity": "losses.units",
    "plan": "fused.plan",
    "poly_loss": "losses.polynomial",
    "r_drop": "losses.consistency",
    "reduce": "losses.reduction",
    "sampled_softmax_cross_entropy": "losses.sampled_softmax",
    "segment_mask": "losses.sequence",
    "segment_positions": "losses.sequence",
    "sequence_log_prob": "losses.sequence",
    "sharded_linear_cross_entropy": "fused.sharded",
    "siglip_loss": "losses.pairwise_sigmoid",
    "sigmoid_cross_entropy": "losses.sigmoid",
    "sigmoid_focal_loss": "losses.focal",
    "simpo_loss": "losses.reference_free",
    "smooth_labels": "losses.targets",
    "soft_cap": "losses.capping",
    "soft_ordinal_targets": "losses.ordinal",
    "softmax_cross_entropy": "losses.softmax",
    "sparsemax": "losses.normalizations",
    "sparsemax_loss": "losses.fenchel_young",
    "squared_error": "losses.regression",
    "supervised_contrastive": "losses.positives",
    "symmetric_cross_entropy": "losses.robust",
    "total_and_weight": "losses.reduction",
    "tversky_loss": "losses.segmentation",
}
_ROOMS = (
    *("audit", "cli", "data", "fused", "jobs", "losses", "metrics", "models", "optim", "plots"),
    *("search", "testing", "timing", "train"),
)

__all__ = ["__version__", *sorted(_HOME), *_ROOMS]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from xentjax.fused.linear_cross_entropy import linear_cross_entropy
    from xentjax.fused.linear_kl_divergence import linear_kl_divergence
    from xentjax.fused.linear_log_probs import linear_log_probs
    from xentjax.fused.plan import plan
    from xentjax.fused.sharded import sharded_linear_cross_entropy
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


def _loader(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names load on first use, each from its module."""

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"xentjax.{_HOME[name]}"), name)
    elif name in _ROOMS:
        value = importlib.import_module(f"xentjax.{name}")
    else:
        import difflib

        close = difflib.get_close_matches(name, __all__, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'xentjax' has no attribute {name!r}{hint}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
