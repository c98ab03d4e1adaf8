"""Grouping: groups of images made from their own pixels, where no real groups are known.

They stand in for groups of people, regions or devices so that the fairness of a model can be
looked at all the same. What they say is about strokes, not about anyone: a model that is even over
them may still be uneven over the groups that matter, which only data that name them can show.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from xentjax.audit.given import Given, finite_of, labels_of, rows_of


def tercile_groups(
    scores: Given,
    labels: Given,
    *,
    names: Sequence[str] = ("low", "middle", "high"),
) -> Shaped[np.ndarray, " N"]:
    """Cuts the rows of each class into thirds by a score.

    Within classes, because a score such as the amount of ink differs between them: thirds of the
    whole would mostly be classes again, and a gap between groups a gap between classes.

    Args:
        scores: one number a row [N].
        labels: its class [N].
        names: of the groups, from the lowest scores to the highest; another number than three
            makes as many parts.

    Returns:
        The name of each row's group [N]. Rows of one class with equal scores share a group; a class
        with a single row is in the middle.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes differ, a score is not finite, or there are no names.

    Example:
        >>> tercile_groups(np.array([1.0, 2.0, 3.0, 9.0]), np.array([0, 0, 0, 1])).tolist()
        ['low', 'middle', 'high', 'middle']
    """
    if not len(names):
        raise ValueError("names must be at least one, got none")
    values = finite_of(scores, "scores", "N")
    given = labels_of(labels, rows=len(values))
    part = np.zeros(len(values), np.int64)
    for label in np.unique(given):
        rows = given == label
        part[rows] = _middle_ranks(values[rows]) * len(names)
    return np.asarray(names)[part]


def stroke_groups(features: Given, labels: Given) -> Shaped[np.ndarray, " N"]:
    """Thin, medium and thick strokes: thirds of each class by how much ink a row has.

    A stand-in for real groups, for images of ink on an empty ground such as the digits. It
    measures ink, not the width of strokes: a large digit written thinly counts as thick.

    Args:
        features: pixels [N, …], larger is more ink.
        labels: class of each row [N].

    Returns:
        "thin strokes", "medium strokes" or "thick strokes" for each row [N].

    Raises:
        TypeError: features are no numbers, or labels are not integers.
        ValueError: shapes do not fit or a feature is not finite.

    Example:
        >>> images = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])  # ink 1, 2 and 0
        >>> stroke_groups(images, np.array([7, 7, 7])).tolist()
        ['medium strokes', 'thick strokes', 'thin strokes']
    """
    rows = rows_of(features, "features")
    ink = rows.reshape(len(rows), -1).sum(axis=1, dtype=np.float64)
    return tercile_groups(ink, labels, names=("thin strokes", "medium strokes", "thick strokes"))


def slant_groups(
    features: Given,
    labels: Given,
    *,
    image_shape: tuple[int, int],
) -> Shaped[np.ndarray, " N"]:
    """Backward, upright and forward slant: thirds of each class by the lean of the ink.

    With ink p at column x and row y (downward), each centred on the ink's own middle, the lean is
    −Σ p x y / Σ p y²: how far to the right a column is displaced with each row upward. The groups
    are relative to the class, as a 7 leans more than a 1.

    Args:
        features: pixels [N, …], non-negative, height · width a row.
        labels: class of each row [N].
        image_shape: (height, width).

    Returns:
        "slants back", "upright" or "slants forward" for each row [N].

    Raises:
        TypeError: features are no numbers, or labels are not integers.
        ValueError: shapes do not fit or a feature is not finite.

    Example:
        >>> rising, falling = np.eye(3)[::-1].reshape(-1), np.eye(3).reshape(-1)
        >>> images, same = np.stack([falling, rising, np.ones(9)]), np.array([0, 0, 0])
        >>> slant_groups(images, same, image_shape=(3, 3)).tolist()
        ['slants back', 'slants forward', 'upright']
    """
    height, width = image_shape
    rows = rows_of(features, "features")
    if rows[0].size != height * width:
        raise ValueError(
            f"features must be {height} · {width} pixels a row, as image_shape says, got shape "
            f"{rows.shape}"
        )
    ink = rows.reshape(len(rows), height, width).astype(np.float64)
    total = ink.sum(axis=(1, 2))
    total = np.where(total > 0, total, 1)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    mean_x, mean_y = ((ink * axis[None]).sum(axis=(1, 2)) / total for axis in (x, y))
    off_x = x[None] - mean_x[:, None, None]
    off_y = y[None] - mean_y[:, None, None]
    spread = (ink * off_y**2).sum(axis=(1, 2))
    lean = -(ink * off_x * off_y).sum(axis=(1, 2)) / np.where(spread > 0, spread, 1)
    return tercile_groups(lean, labels, names=("slants back", "upright", "slants forward"))


def _middle_ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks in (0, 1), equal for equal scores."""
    order = np.sort(scores)
    below, up_to = (np.searchsorted(order, scores, side=side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(scores))
