"""Losses from hidden states and head weight, the logits never materialised."""

from xentjax.fused.linear_cross_entropy import linear_cross_entropy
from xentjax.fused.linear_kl_divergence import linear_kl_divergence
from xentjax.fused.linear_log_probs import LinearLogProbs, linear_log_probs
from xentjax.fused.plan import Plan, plan
from xentjax.fused.sharded import sharded_linear_cross_entropy

__all__ = [
    "LinearLogProbs",
    "Plan",
    "linear_cross_entropy",
    "linear_kl_divergence",
    "linear_log_probs",
    "plan",
    "sharded_linear_cross_entropy",
]
