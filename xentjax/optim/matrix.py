"""Muon: steps that treat a weight matrix as a matrix, not as a bag of numbers."""

from collections.abc import Callable

import jax
import optax
from jaxtyping import PyTree
from optax.contrib import muon as optax_muon

from xentjax.optim.adam import adamw
from xentjax.optim.masks import hidden_matrices
from xentjax.optim.ranges import (
    Scalar,
    check_count,
    check_not_negative,
    check_positive,
    check_unit,
)
from xentjax.optim.rates import LearningRate


def muon(
    learning_rate: LearningRate,
    *,
    momentum: Scalar = 0.95,
    weight_decay: Scalar = 0.01,
    b1: Scalar = 0.9,
    b2: Scalar = 0.95,
    eps: Scalar = 1e-8,
    rest_learning_rate: LearningRate | None = None,
    newton_steps: int = 5,
    root_mean_square: Scalar | None = 0.2,
    matrices: Callable[[PyTree], PyTree] = hidden_matrices,
) -> optax.GradientTransformation:
    """Orthogonal steps for the matrices between hidden states, AdamW for all the rest.

    For a matrix: m ← μ·m + (1 − μ)·g, O ≈ U·Vᵀ of the singular value decomposition of Nesterov's
    form of m (by Newton-Schulz iterations), θ ← θ − η·(s·O + λ·θ). All directions of the matrix
    learn alike, where the gradient has a few that are large. With s = r·√max(rows, columns) the
    root mean square of a step is near r·η; 0.2 is that of AdamW, so one learning rate and its
    schedule serve both halves. Prefer it to `adamw` for transformers: fewer steps for the same
    loss, for a few matrix products more a step.

    Args:
        learning_rate: η, a positive number or a schedule; of AdamW's size.
        momentum: μ in [0, 1).
        weight_decay: λ, not negative; in the rest where `decay_mask` says so.
        b1: AdamW's β₁ in [0, 1).
        b2: AdamW's β₂ in [0, 1).
        eps: ε of both, positive.
        rest_learning_rate: AdamW's own rate, η if None.
        newton_steps: iterations of Newton-Schulz, at least 1.
        root_mean_square: r, positive; None for s = √max(1, columns/rows), the original, with
            which 0.02 is a usual η and AdamW wants a rate of its own.
        matrices: from parameters to a tree of bools, True for muon; those must have two
            dimensions. By default embeddings, heads and all that is not a matrix are AdamW's.

    Returns:
        The optax transformation; its `update` wants the parameters.

    Raises:
        ValueError: if a number is outside its range.

    Example:
        A bias is moved by AdamW, a matrix by its sign as a matrix, here ±1.

        >>> import numpy as np
        >>> rule = muon(0.1, root_mean_square=None, weight_decay=0.0)
        >>> params = {"kernel": np.full((1, 1), 2.0), "bias": np.full(1, 2.0)}
        >>> update, _ = rule.update(params, rule.init(params), params)
        >>> round(float(update["bias"][0]), 4), round(float(update["kernel"][0, 0]), 1)
        (-0.1, -0.1)

    Reference:
        K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; J. Liu
        et al., "Muon is Scalable for LLM Training", 2025.
    """
    check_positive(learning_rate=learning_rate, eps=eps)
    check_unit(momentum=momentum, b1=b1, b2=b2)
    check_not_negative(weight_decay=weight_decay)
    check_count(1, newton_steps=newton_steps)
    if root_mean_square is not None:
        check_positive(root_mean_square=root_mean_square)
    for_matrices = optax_muon(
        learning_rate,
        ns_steps=newton_steps,
        beta=momentum,
        eps=eps,
        weight_decay=weight_decay,
        consistent_rms=root_mean_square,
    )
    rest_rate = learning_rate if rest_learning_rate is None else rest_learning_rate
    for_rest = adamw(rest_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)

    def labels(params: PyTree) -> PyTree:
        return jax.tree.map(lambda yes: "matrices" if yes else "rest", matrices(params))

    return optax.partition({"matrices": for_matrices, "rest": for_rest}, labels)
