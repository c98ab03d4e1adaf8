"""xentjax: cross-entropy for JAX, from the formula to the trained and audited model.

Public names are loaded on first use (PEP 562), so `import xentjax` costs no more than
`import jax`.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Each public name and the module that holds it: the one list a new name is added to.
_HOME = {
    "bits": "losses.units",
    "bits_per_byte": "losses.units",
    "distillation_loss": "losses.distillation",
    "entropy": "losses.divergence",
    "focal_loss": "losses.focal",
    "huber_loss": "losses.regression",
    "js_divergence": "losses.divergence",
    "kl_divergence": "losses.divergence",
    "kl_divergence_with_logits": "losses.divergence",
    "linear_cross_entropy": "fused.linear_cross_entropy",
    "linear_kl_divergence": "fused.linear_kl_divergence",
    "linear_log_probs": "fused.linear_log_probs",
    "perplexity": "losses.units",
    "plan": "fused.plan",
    "reduce": "losses.reduction",
    "sharded_linear_cross_entropy": "fused.sharded",
    "sigmoid_cross_entropy": "losses.sigmoid",
    "softmax_cross_entropy": "losses.softmax",
    "squared_error": "losses.regression",
    "total_and_weight": "losses.reduction",
}
_ROOMS = (
    *("cli", "data", "fused", "jobs", "losses", "metrics", "models", "optim", "plots", "search"),
    *("testing", "timing", "train"),
)

__all__ = ["__version__", *sorted(_HOME), *_ROOMS]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from xentjax.fused.linear_cross_entropy import linear_cross_entropy
    from xentjax.fused.linear_kl_divergence import linear_kl_divergence
    from xentjax.fused.linear_log_probs import linear_log_probs
    from xentjax.fused.plan import plan
    from xentjax.fused.sharded import sharded_linear_cross_entropy
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
