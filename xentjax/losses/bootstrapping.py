"""Bootstrapping: the model's own prediction takes a share of each label."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num, Shaped

from xentjax.losses import inputs
from xentjax.losses.choice import require_one_of
from xentjax.losses.examples import Labelled, read_labelled
from xentjax.losses.log_partition import label_terms
from xentjax.losses.reduction import times
from xentjax.losses.row_partition import softmax_entropy

# The share of the label that the paper found best with either kind.
_BETAS = {"soft": 0.95, "hard": 0.8}

_compiled = partial(jax.jit, static_argnames=("kind", "reduction"), inline=True)


def bootstrapped_cross_entropy(
    logits: Num[ArrayLike, "..."],
    labels: Shaped[ArrayLike, "..."],
    *,
    beta: Num[ArrayLike, ""] | None = None,
    kind: str = "soft",
    axis: int | Sequence[int] = -1,
    where: Shaped[ArrayLike, "..."] | None = None,
    weights: Num[ArrayLike, "..."] | None = None,
    ignore_index: int | None = None,
    reduction: str = "none",
) -> Float[Array, "..."]:
    r"""Cross-entropy to a target that is the label for β and the prediction for 1 − β.

        soft:  l = β (−log p_y) + (1 − β) H(p),   H(p) = −Σ_c p_c log p_c
        hard:  l = β (−log p_y) + (1 − β) (−log max_c p_c)

    The gradient flows through the prediction in the soft target, as in the paper: it is the
    cross-entropy with an entropy penalty of (1 − β) / β. The hard target is the likeliest class,
    a constant (the first of equals). Prefer it where some labels are wrong and the model is
    already better than they are: after some epochs of plain cross-entropy, say. It confirms the
    model in what it believes, mistakes included. β = 1 is the cross-entropy.

    Args:
      logits: real scores [*batch, C], any float dtype; a class at −inf is masked.
      labels: integer class indices [*batch].
      beta: β in [0, 1], one number; may be traced. None is the paper's 0.95 for soft, 0.8 for
        hard.
      kind: "soft" or "hard".
      axis: the class axis; a tuple of axes is one, flattened in the order given.
      where: boolean, broadcastable to [*batch]; False leaves an example out.
      weights: real, broadcastable to [*batch].
      ignore_index: labels equal to it are left out.
      reduction: "none", "sum" or "mean".

    Returns:
      Nats, float32 (float64 for float64 logits): [*batch] for "none", a scalar otherwise.

    Raises:
      TypeError: logits are not floating point, labels are not integers, `where` not boolean.
      ValueError: shapes do not fit, the kind is unknown, β lies outside [0, 1] or (eager calls)
        a label is outside [0, C). Under jit such a label gives NaN, in the value and in the
        gradient.

    Example:
      >>> import jax.numpy as jnp
      >>> logits = jnp.log(jnp.array([0.25, 0.75]))
      >>> loss = bootstrapped_cross_entropy(logits, jnp.array(0), beta=0.5, kind="hard")
      >>> print(f"{loss:.4f}")  # ½ log 4 + ½ log 4/3 = 0.6931 + 0.1438
      0.8370
      >>> loss = bootstrapped_cross_entropy(logits, jnp.array(0), beta=0.5)
      >>> print(f"{loss:.4f}")  # ½ log 4 + ½ (¼ log 4 + ¾ log 4/3) = 0.6931 + 0.2812
      0.9743

    Reference:
      S. Reed et al., Training Deep Neural Networks on Noisy Labels with Bootstrapping, 2015.

    See Also:
      `generalized_cross_entropy`; `entropy`, which the soft kind adds.
    """
    require_one_of(kind, _BETAS, "kind")
    examples = read_labelled(
        logits,
        labels,
        axis=axis,
        where=where,
        weights=weights,
        ignore_index=ignore_index,
        reduction=reduction,
    )
    beta = _BETAS[kind] if beta is None else beta
    share = inputs.unless_number(1, beta, inputs.fraction, "beta")
    return _bootstrapped_cross_entropy(examples, share, kind=kind, reduction=reduction)


@_compiled
def _bootstrapped_cross_entropy(examples: Labelled, share, *, kind, reduction):
    losses = label_terms(examples.logits, examples.labels, examples.keep, -1).nll
    if share is not None:
        share, logits = share.astype(losses.dtype), examples.safe_logits()
        own = softmax_entropy(logits, -1) if kind == "soft" else _surprise_at_best(logits)
        losses = times(share, losses) + (1 - share) * own
    return examples.reduce(losses, reduction)


def _surprise_at_best(logits: Array) -> Array:
    """−log max p, by the label's own rule: its slope p − onehot is exact where p is near 1."""
    best = jnp.argmax(logits, -1).astype(jnp.int32)
    return label_terms(logits, best, None, -1).nll
