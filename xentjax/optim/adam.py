"""Adam and its kin: steps scaled by running moments of the gradient.

Prefer `adamw` for transformers, `adam` for small models, `nadamw` where every step counts, and
`lamb` where batches are in the thousands.
"""

from collections.abc import Callable
from typing import TypeAlias

import optax
from jaxtyping import PyTree

from xentjax.optim.clipping import clipped
from xentjax.optim.masks import decay_mask
from xentjax.optim.ranges import Scalar, check_not_negative, check_positive, check_unit
from xentjax.optim.rates import LearningRate

Mask: TypeAlias = Callable[[PyTree], PyTree] | PyTree | None


def adam(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    clip_norm: Scalar | None = None,
) -> optax.GradientTransformation:
    """Adam: steps scaled by running moments of the gradient.

    m ← β₁·m + (1 − β₁)·g, v ← β₂·v + (1 − β₂)·g², m̂ = m/(1 − β₁ᵗ), v̂ = v/(1 − β₂ᵗ),
    θ ← θ − η·m̂/(√v̂ + ε).

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, positive.
        clip_norm: the largest global norm of the gradient, None for no clipping.

    Returns:
        The optax transformation.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        The first step is η·sign(g), whatever the size of g.

        >>> rule = adam(0.1)
        >>> update, _ = rule.update({"w": 2.0}, rule.init({"w": 1.0}))
        >>> round(float(update["w"]), 4)
        -0.1

    Reference:
        D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", 2015.
    """
    check_positive(learning_rate=learning_rate, eps=eps)
    check_unit(b1=b1, b2=b2)
    return clipped(optax.adam(learning_rate, b1=b1, b2=b2, eps=eps), norm=clip_norm)


def adamw(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.01,
    mask: Mask = decay_mask,
    clip_norm: Scalar | None = None,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay, away from biases, norms and embeddings.

    θ ← θ − η·(m̂/(√v̂ + ε) + λ·θ), the last term where the mask is True; m̂ and v̂ as in `adam`.

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1); 0.95 is usual for transformers.
        eps: ε, positive.
        weight_decay: λ, not negative.
        mask: a tree of bools, or a function from parameters to one; None decays everything.
        clip_norm: the largest global norm of the gradient, None for no clipping.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        A zero gradient leaves the decay alone: −0.1 · 0.5 · 2.

        >>> import numpy as np
        >>> rule, params = adamw(0.1, weight_decay=0.5), {"kernel": np.full((1, 1), 2.0)}
        >>> zero = {"kernel": np.zeros((1, 1))}
        >>> update, _ = rule.update(zero, rule.init(params), params)
        >>> round(float(update["kernel"][0, 0]), 6)
        -0.1

    Reference:
        I. Loshchilov and F. Hutter, "Decoupled Weight Decay Regularization", 2019.
    """
    _check(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    rule = optax.adamw(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)
    return clipped(rule, norm=clip_norm)


def nadamw(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.01,
    mask: Mask = decay_mask,
) -> optax.GradientTransformation:
    """AdamW with Nesterov's momentum: the first moment looks one step ahead.

    m̂ = β₁·m/(1 − β₁ᵗ⁺¹) + (1 − β₁)·g/(1 − β₁ᵗ) in place of m/(1 − β₁ᵗ); the rest as in `adamw`.
    Prefer it where steps are few: it was among the fastest in the AlgoPerf benchmark.

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, positive.
        weight_decay: λ, not negative.
        mask: a tree of bools, or a function from parameters to one; None decays everything.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        The first step: m = 0.1·g, so −η·(0.9·0.1/0.19 + 0.1/0.1) times the sign of g.

        >>> rule = nadamw(0.1)
        >>> update, _ = rule.update({"w": 2.0}, rule.init({"w": 1.0}), {"w": 1.0})
        >>> round(float(update["w"]), 4)
        -0.1474

    Reference:
        T. Dozat, "Incorporating Nesterov Momentum into Adam", 2016.
    """
    _check(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    return optax.nadamw(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)


def lamb(
    learning_rate: LearningRate,
    *,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0.01,
    mask: Mask = decay_mask,
) -> optax.GradientTransformation:
    """AdamW whose step in each array is as long as η times the array itself.

    u = m̂/(√v̂ + ε) + λ·θ, θ ← θ − η·(‖θ‖/‖u‖)·u for each array by itself; the ratio is 1 where
    either norm is 0. Prefer it for batches of thousands, where Adam's rate would have to be
    lowered for the most touchy layer.

    Args:
        learning_rate: η, a positive number or a schedule.
        b1: β₁ in [0, 1).
        b2: β₂ in [0, 1).
        eps: ε, positive.
        weight_decay: λ, not negative.
        mask: a tree of bools, or a function from parameters to one; None decays everything.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        >>> import jax.numpy as jnp
        >>> rule, w = lamb(0.1), jnp.array([3.0, 4.0])  # of norm 5
        >>> update, _ = rule.update(jnp.array([1.0, 0.0]), rule.init(w), w)
        >>> update.round(4).tolist()
        [-0.5, -0.0]

    Reference:
        Y. You et al., "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
        2020.
    """
    _check(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)
    return optax.lamb(learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, mask=mask)


def _check(
    learning_rate: LearningRate, *, b1: Scalar, b2: Scalar, eps: Scalar, weight_decay: Scalar
) -> None:
    check_positive(learning_rate=learning_rate, eps=eps)
    check_unit(b1=b1, b2=b2)
    check_not_negative(weight_decay=weight_decay)
