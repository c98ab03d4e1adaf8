"""Shadow models: the same training on random halves of the rows, to attack and to compare with."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool

from xentjax.audit.cohort import train_cohort
from xentjax.audit.given import Given, labels_of, rows_of
from xentjax.audit.likelihood_ratio import label_confidences


@dataclasses.dataclass(frozen=True)
class Shadows:
    """What shadow models say of all rows, and which of them each was trained on.

    Attributes:
        confidences: float64 [models, N], the log-odds of the label (`label_confidences`).
        members: bool [models, N].
    """

    confidences: np.ndarray
    members: np.ndarray


def balanced_members(models: int, rows: int, *, seed: int = 0) -> Bool[np.ndarray, "models rows"]:
    """Random halves: each row in exactly half of the models, each model on half of the rows.

    Models come in pairs, the second with the rows that the first leaves. Any two pairs are drawn
    independently, so that what a pair saw is not told by all the others.

    Args:
        models: M, even, at least 2.
        rows: N, at least 2. Of an odd number the first of a pair has one fewer.
        seed: of the drawing.

    Returns:
        bool [M, N].

    Raises:
        ValueError: if models is odd or below 2, or rows below 2.

    Example:
        >>> members = balanced_members(4, 10)
        >>> members.sum(axis=0).tolist(), members.sum(axis=1).tolist()
        ([2, 2, 2, 2, 2, 2, 2, 2, 2, 2], [5, 5, 5, 5])
    """
    if models < 2 or models % 2:
        raise ValueError(f"models must be even and at least 2, got {models}; they come in pairs")
    if rows < 2:
        raise ValueError(f"rows must be at least 2, one for each half, got {rows}")
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(rows), (models // 2, 1)), axis=1)
    firsts = order < rows // 2
    return np.stack([firsts, ~firsts], axis=1).reshape(models, rows)


def train_shadows(
    make_model: Callable[[Any], Any],
    features: Given,
    labels: Given,
    *,
    models: int = 32,
    seed: int = 0,
    **training: Any,
) -> Shadows:
    """Trains models on random halves of the rows and asks each of them for all rows.

    Prefer it to find out how much a *kind* of training gives away: attack every model with the
    others by `leave_one_out_scores`, or another model by `offline_scores`. It costs as much as
    `models` trainings, in one compiled program. Fewer than about 16 models make a weak attack, and
    a weak attack proves no privacy.

    Args:
        make_model: typed JAX key → a new model, as for `train_cohort`.
        features: [N, …]; take training and held-out rows together.
        labels: int [N].
        models: M, even.
        seed: of the halves, the parameters and the orders.
        **training: steps, batch_size, learning_rate and others of `train_cohort`. A model has but
            half of the rows, so that half of the steps that a training on all of them makes sees
            each row as often.

    Returns:
        `Shadows`.

    Raises:
        ValueError: as `balanced_members` and `train_cohort`; or if a training diverged.

    Example:
        >>> from flax import nnx
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.normal(size=(20, 30)).astype(np.float32), rng.integers(0, 2, 20)
        >>> shadows = train_shadows(
        ...     lambda key: nnx.Linear(30, 2, rngs=nnx.Rngs(key)), x, y,
        ...     models=4, steps=200, learning_rate=0.1,
        ... )
        >>> seen = shadows.confidences[shadows.members]  # of coins: learned by heart
        >>> bool(seen.min() > 0)
        True

    Reference:
        N. Carlini et al., Membership Inference Attacks From First Principles, 2022.
    """
    features = rows_of(features, "features")
    labels = labels_of(labels, rows=len(features))
    members = balanced_members(models, len(features), seed=seed)
    cohort = train_cohort(
        make_model,
        features,
        labels,
        members=members,
        seed=seed,
        **training,
    )
    return Shadows(label_confidences(cohort.logits(features), labels), members)
