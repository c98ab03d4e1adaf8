"""The area under the ROC curve, and its interval when rows are scored more than once."""

import math

import numpy as np
from jaxtyping import Float, Int

from xentjax.audit.estimate import Z_95, Estimate, share


def auc_estimate(
    inside: Float[np.ndarray, " m"],
    outside: Float[np.ndarray, " n"],
    *,
    inside_rows: Int[np.ndarray, " m"] | None = None,
    outside_rows: Int[np.ndarray, " n"] | None = None,
) -> Estimate:
    r"""How often a score inside is above one outside, ties half, with its 95 % interval.

    DeLong's interval on the logit scale; where scores come in rows, each row is one draw
    (Obuchowski). Where the variance is 0, as with perfect scores, min(m, n) disjoint pairs give a
    Wilson interval. Time is that of sorting, memory m + n.

    Args:
        inside: scores, no NaN, at least one.
        outside: as many or others.
        inside_rows: the row ≥ 0 that each score is of; None for a row of its own.
        outside_rows: the same; a row may be on both sides.

    Returns:
        The AUC.

    Example:
        >>> found = auc_estimate(np.array([3.0, 1.0]), np.array([2.0, 0.0]))
        >>> found.value  # of 4 pairs 1.0 loses to 2.0
        0.75

    Reference:
        E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, Comparing the Areas under Two or More
        Correlated Receiver Operating Characteristic Curves, 1988. N. A. Obuchowski, Nonparametric
        Analysis of Clustered ROC Curve Data, 1997.
    """
    if inside_rows is None or outside_rows is None:
        inside_rows = np.arange(len(inside))
        outside_rows = np.arange(len(outside)) + len(inside)
    beaten, beating = _placements(inside, outside), 1 - _placements(outside, inside)
    auc = float(beaten.mean())
    variance = _clustered_variance(auc, (beaten, inside_rows), (beating, outside_rows))
    # Below the rounding of a mean of many shares there is no variance to speak of.
    if not variance > 1e-18 or not 0 < auc < 1:
        pairs = min(np.unique(inside_rows).size, np.unique(outside_rows).size)
        return share(auc * pairs, pairs)._replace(value=auc)
    centre = math.log(auc / (1 - auc))
    half = Z_95 * math.sqrt(variance) / (auc * (1 - auc))
    low, high = (0.5 * (1 + math.tanh(0.5 * end)) for end in (centre - half, centre + half))
    return Estimate(auc, low, high)


def _placements(scores, others):
    """Of each score the share of the others that it beats, ties half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, "left")
    return 0.5 * (below + np.searchsorted(ordered, scores, "right")) / others.size


def _clustered_variance(auc, members, others):
    """Obuchowski's variance of an AUC whose scores come in rows; DeLong's where a row has one."""
    rows = 1 + max(members[1].max(), others[1].max())
    deviations, count = [], []
    for placements, row in (members, others):
        deviations.append(np.bincount(row, placements - auc, minlength=rows))
        count.append(np.unique(row).size)
    if min(count) < 2:
        return 0.0
    m, n = len(members[0]), len(others[0])
    squares = [np.sum(d**2) * c / (c - 1) for d, c in zip(deviations, count, strict=True)]
    drawn = np.unique(np.concatenate([members[1], others[1]])).size
    product = np.sum(deviations[0] * deviations[1]) * drawn / (drawn - 1)
    return squares[0] / m**2 + squares[1] / n**2 + 2 * product / (m * n)
