"""Likelihood-ratio membership inference (LiRA): each row against models that saw it or did not.

A row that is easy for every model has a low loss whether it was a member or not; so each row is
compared with itself, under shadow models of which it is known what they were trained on. Scores go
into `membership.membership_attack`.
"""

import numpy as np

from xentjax.audit.given import Given, array_of, finite_of, flags_of, labels_of, require_finite_rows

# From so many shadow models on each row's own variance is better than a common one
# (Carlini et al. 2022, section VI).
_ENOUGH_FOR_OWN_VARIANCE = 64
_SMALLEST_VARIANCE = 1e-12


def label_confidences(logits: Given, labels: Given) -> np.ndarray:
    r"""The log-odds of the label, in which a row's confidences are nearly Gaussian over models.

        φ = log p_y − log(1 − p_y) = x_y − log Σ_{j≠y} exp(x_j)

    No probability is formed: 1 − p_y keeps its digits at every margin.

    Args:
        logits: [..., N, C], finite, C ≥ 2; leading axes are models.
        labels: integers [N] in [0, C).

    Returns:
        float64 [..., N], nats.

    Raises:
        TypeError: if labels are not integers.
        ValueError: if shapes do not fit, there is but one class, a logit is not finite or a label
            is outside [0, C).

    Example:
        >>> logits = np.log(np.array([[0.9, 0.06, 0.04]]))
        >>> print(f"{label_confidences(logits, np.array([0]))[0]:.4f}")  # log(0.9 / 0.1) = log 9
        2.1972

    Reference:
        N. Carlini et al., Membership Inference Attacks From First Principles, 2022.
    """
    values = array_of(logits, "logits").astype(np.float64)
    if values.ndim < 2 or not values.size or values.shape[-1] < 2:
        raise ValueError(
            f"logits must be [..., N, C] with C of at least 2, got shape {values.shape}"
        )
    require_finite_rows(values, "logits")
    classes = values.shape[-1]
    own = np.arange(classes) == labels_of(labels, rows=values.shape[-2], classes=classes)[:, None]
    rest = np.where(own, -np.inf, values)
    largest = rest.max(axis=-1)
    total = np.exp(rest - largest[..., np.newaxis]).sum(axis=-1)
    return (np.where(own, values, 0).sum(axis=-1) - largest) - np.log(total)


def likelihood_ratio_scores(
    confidences: Given,
    shadow_confidences: Given,
    shadow_members: Given,
    *,
    pooled: bool | None = None,
) -> np.ndarray:
    r"""The online attack: was the row in, or out? By shadow models of which half saw it.

        score = log N(φ; μ_in, σ_in²) − log N(φ; μ_out, σ_out²)

    with each row's means over the shadow models that were trained on it and those that were not.
    The strongest attack known where shadow models can be trained on the rows in question. Where
    they were trained before these were known, `offline_scores`.

    Args:
        confidences: φ of the attacked model, [N]; see `label_confidences`.
        shadow_confidences: φ of the shadow models on the same rows, [models, N].
        shadow_members: [models, N], which rows each was trained on.
        pooled: one σ_in and one σ_out for all rows, from the deviations from each row's own mean,
            instead of the row's own; by default below 64 models, where a variance of so few values
            adds more noise than it tells.

    Returns:
        float64 [N], higher where membership is likelier.

    Raises:
        TypeError: members are not boolean.
        ValueError: if shapes do not fit, something is not finite, or a row lacks shadow models
            that saw it or that did not: one of each, two with `pooled=False`.

    Example:
        >>> shadows = np.array([[3.0], [1.0], [-1.0], [-3.0]])  # in: 2 ± 1, out: −2 ± 1
        >>> seen = np.array([[True], [True], [False], [False]])
        >>> score = likelihood_ratio_scores(np.array([1.0]), shadows, seen)
        >>> float(score[0])  # σ² = 2: −(1 − 2)² / 4 + (1 + 2)² / 4
        2.0

    Reference:
        N. Carlini et al., Membership Inference Attacks From First Principles, 2022.
    """
    confidences, shadow_confidences, shadow_members = _read(
        confidences, shadow_confidences, shadow_members
    )
    inside = _gaussian(shadow_confidences, shadow_members, "saw it", pooled)
    outside = _gaussian(shadow_confidences, ~shadow_members, "did not see it", pooled)
    return _log_density(confidences, *inside) - _log_density(confidences, *outside)


def offline_scores(
    confidences: Given,
    shadow_confidences: Given,
    shadow_members: Given,
    *,
    pooled: bool | None = None,
) -> np.ndarray:
    r"""The offline attack: is the model surer of the row than models that never saw it?

        score = (φ − μ_out) / σ_out,   so that 1 − Pr[N(μ_out, σ_out²) > φ] = Φ(score)

    Weaker than `likelihood_ratio_scores`, and all that an attacker can do whose shadow models were
    trained before the rows were known.

    Args:
        confidences: φ of the attacked model, [N]; see `label_confidences`.
        shadow_confidences: φ of the shadow models on the same rows, [models, N].
        shadow_members: [models, N]; for each row only models that were not trained on it are used.
        pooled: one σ_out for all rows; by default below 64 models.

    Returns:
        float64 [N], higher where membership is likelier.

    Raises:
        ValueError: as `likelihood_ratio_scores`, but only models without the row are needed.

    Example:
        >>> shadows = np.array([[1.0], [-1.0]])  # out: 0, σ² = (1 + 1) / (2 − 1)
        >>> unseen = np.zeros((2, 1), bool)
        >>> float(offline_scores(np.array([2.0]), shadows, unseen)[0])  # 2 / √2
        1.414213562373095

    Reference:
        N. Carlini et al., Membership Inference Attacks From First Principles, 2022.
    """
    confidences, shadow_confidences, shadow_members = _read(
        confidences, shadow_confidences, shadow_members
    )
    mean, variance = _gaussian(shadow_confidences, ~shadow_members, "did not see it", pooled)
    return (confidences - mean) / np.sqrt(variance)


def leave_one_out_scores(
    confidences: Given,
    members: Given,
    *,
    pooled: bool | None = None,
) -> np.ndarray:
    """Attacks each model of a cohort with all the others as its shadow models, online.

    With M models this gives M · N scores for the price of M trainings. A model trained on exactly
    the rows that the attacked one was not trained on (one, where there are several) is left out
    with it: where every row is in half of the models, those that remain would otherwise betray by
    their number what the left-out one saw.

    Args:
        confidences: φ of each model on each row, [models, N]; see `label_confidences`.
        members: [models, N], which rows each was trained on.
        pooled: as in `likelihood_ratio_scores`.

    Returns:
        float64 [models, N].

    Raises:
        ValueError: as `likelihood_ratio_scores`.

    Example:
        >>> confidences = np.array([[3.0], [-3.0], [1.0], [-1.0], [2.0], [-2.0]])
        >>> seen = confidences > 0
        >>> scores = leave_one_out_scores(confidences, seen)
        >>> (scores[:, 0] > 0).tolist()  # each side is told from the other
        [True, False, True, False, True, False]

    Reference:
        N. Carlini et al., Membership Inference Attacks From First Principles, 2022.
    """
    confidences = finite_of(confidences, "confidences", "models N")
    members = flags_of(members, "members", "models N", confidences.shape)
    scores = []
    for number, model in enumerate(confidences):
        complements = np.flatnonzero((members != members[number]).all(axis=1))
        others = np.delete(np.arange(len(members)), [number, *complements[:1]])
        scores.append(
            likelihood_ratio_scores(model, confidences[others], members[others], pooled=pooled)
        )
    return np.stack(scores)


def _read(confidences, shadow_confidences, members):
    shadows = finite_of(shadow_confidences, "shadow_confidences", "models N")
    own = finite_of(confidences, "confidences", "N", shadows.shape[1:])
    return own, shadows, flags_of(members, "shadow_members", "models N", shadows.shape)


def _gaussian(values, mask, which, pooled):
    """Of each row the mean over the models in the mask, and the variance, [N] or a scalar."""
    pooled = len(values) < _ENOUGH_FOR_OWN_VARIANCE if pooled is None else pooled
    counts, needed = mask.sum(axis=0), 1 if pooled else 2
    if counts.size and counts.min() < needed:
        row = int(np.argmin(counts))
        raise ValueError(
            f"shadow_members: of the shadow models {counts[row]} {which} for row {row}, wanted at "
            f"least {needed}; train more of them"
        )
    mean = np.sum(values, axis=0, where=mask) / counts
    squares = np.sum((values - mean) ** 2, axis=0, where=mask)
    variance = squares.sum() / max(1, np.sum(counts - 1)) if pooled else squares / (counts - 1)
    return mean, np.maximum(variance, _SMALLEST_VARIANCE)


def _log_density(values, mean, variance):
    return -0.5 * ((values - mean) ** 2 / variance + np.log(2 * np.pi * variance))
