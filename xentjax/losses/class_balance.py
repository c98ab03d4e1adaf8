"""What class counts say: how often each class occurs, and weights that make up for it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Num

from xentjax.losses import inputs
from xentjax.losses.reduction import is_concrete, real_array


def class_balanced_weights(
    class_counts: Num[ArrayLike, "..."], *, beta: Num[ArrayLike, ""] = 0.999
) -> Float[Array, "classes"]:
    r"""Class weights by the effective number of examples, for `class_weights=` of a loss.

        E_n = (1 − βⁿ) / (1 − β),   w_c ∝ 1 / E_{n_c},   Σ w_c = C

    A class's further examples repeat what it has shown: past about 1 / (1 − β) of them they count
    no more. β = 0 weighs all classes alike, β → 1 by 1 / n. Prefer it to 1 / n where the tail is
    so thin that its few examples would drown the rest. Weights change what a network learns most
    while it cannot fit the data; where it can, `logit_adjusted_cross_entropy` does more.

    Args:
      class_counts: how many training examples each class has, positive [C].
      beta: β in [0, 1]; 1 is its limit. May be traced.

    Returns:
      Weights that sum to C, float32 (float64 for float64 counts): [C].

    Raises:
      TypeError: the counts are complex.
      ValueError: the counts are not [C], one is not positive, or β lies outside [0, 1]. Under
        jit such a count or β makes all weights NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax import softmax_cross_entropy
      >>> weights = class_balanced_weights(jnp.array([3, 1]), beta=0.5)
      >>> print(weights.round(4))  # E = 1.75 and 1: weights as 4 to 7, 8/11 and 14/11
      [0.7273 1.2727]
      >>> logits, labels = jnp.zeros((2, 2)), jnp.array([0, 1])
      >>> losses = softmax_cross_entropy(logits, labels, class_weights=weights)
      >>> print(f"{losses[0]:.4f} {losses[1]:.4f}")  # log 2 times the weight of the label
      0.5041 0.8822

    Reference:
      Y. Cui et al., Class-Balanced Loss Based on Effective Number of Samples, 2019.

    See Also:
      `logit_adjusted_cross_entropy`, `ldam_loss`.
    """
    counts = read_class_counts(class_counts)
    checked = inputs.fraction(beta, "beta")
    if is_concrete(beta):
        # On the host: in float32 a β of 1 − 10⁻⁸ is 1.
        with np.errstate(divide="ignore"):
            log_beta = jnp.asarray(np.log(np.asarray(beta, np.float64)), counts.dtype)
    else:
        log_beta = jnp.log(checked).astype(counts.dtype)
    return _weights(counts, log_beta)


@partial(jax.jit, inline=True)
def _weights(counts, log_beta):
    # 1 − βⁿ without the factor 1 − β, which the normalisation removes; n in the limit of β = 1.
    limit = log_beta == 0
    effective = jnp.where(limit, counts, -jnp.expm1(counts * jnp.where(limit, -1, log_beta)))
    weights = jnp.min(effective) / effective
    return weights * (counts.size / jnp.sum(weights))


def read_class_counts(class_counts: ArrayLike, classes: int | None = None) -> Array:
    """Positive counts [C] as floats; ValueError for known bad ones, NaN for traced ones."""
    if isinstance(class_counts, np.ndarray) and class_counts.dtype.kind in "iu":
        class_counts = class_counts.astype(np.float32)  # 64-bit ones would wrap on the way to jax
    counts = real_array(class_counts, "class_counts")
    if counts.ndim != 1 or counts.size == 0 or classes not in (None, counts.size):
        raise ValueError(
            f"class_counts must hold one count per class: got shape {counts.shape}, wanted "
            f"({'C' if classes is None else classes},)"
        )
    if is_concrete(class_counts):
        # In numpy: inside a caller's jit even known counts would be traced.
        values = np.asarray(class_counts, np.float64)
        position = inputs.first_false((values > 0) & (values < np.inf))
        if position is not None:
            raise ValueError(
                f"class_counts must be positive and finite, got {values[position]:g} for class "
                f"{position[0]}; leave out a class without examples, or add 1 to all"
            )
    counts = counts.astype(jnp.float64 if counts.dtype == jnp.float64 else jnp.float32)
    good = (counts > 0) & (counts < jnp.inf)
    return counts * inputs.nan_unless(jnp.all(good), counts.dtype)
