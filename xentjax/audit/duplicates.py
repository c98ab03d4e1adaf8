"""Duplicates: rows that occur twice, exactly or nearly, within a split or across two.

A test row that the training set holds too measures memory. Scale the features before measuring
distances (`xentjax.data.standardize`), unless they share one unit, as pixels do.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from xentjax.audit.given import Given, array_of, finite_of, rows_of

# Squared distances held at once: 16 MB of float32.
_DISTANCES_AT_ONCE = 2**22
# Neighbours kept from the float32 search, to be put in order in float64.
_CANDIDATES = 4


class Neighbours(NamedTuple):
    """For each row the nearest others, nearest first."""

    distances: Float[np.ndarray, "N k"]  # Euclidean; infinite where there are too few others
    rows: Int[np.ndarray, "N k"]  # their numbers


class Leaks(NamedTuple):
    """Which test rows the training set holds too."""

    exact: Bool[np.ndarray, " test"]
    near: Bool[np.ndarray, " test"]  # nearer than the threshold, the exact ones included
    twins: Int[np.ndarray, " test"]  # the nearest training row
    distances: Float[np.ndarray, " test"]  # to it
    threshold: float


def exact_groups(features: Given) -> Int[np.ndarray, " N"]:
    """Gives rows of the same bytes the same number, in the order of first appearance.

    −0 counts as 0; a NaN is the same as another of the same bits.

    Args:
        features: [N, …], any dtype of numbers.

    Returns:
        int64 [N]: 0 for the first row and all its copies, 1 for the next different one, …

    Raises:
        TypeError: features are no numbers, such as names; give them numbers first.
        ValueError: features are rows of different shapes.

    Example:
        >>> exact_groups(np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [-0.0, 0.0]])).tolist()
        [0, 1, 0, 1]
    """
    # Of anything but numbers the bytes would be addresses, different for equal values.
    rows = array_of(features, "features")
    if not rows.ndim:
        raise ValueError("features must be [N, ...], got a single number")
    if not len(rows):
        return np.zeros(0, np.int64)
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if jnp.issubdtype(flat.dtype, jnp.floating):
        flat = flat + flat.dtype.type(0)  # −0 + 0 is +0
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in flat], np.int64)


def nearest_neighbours(
    queries: Given,
    references: Given | None = None,
    *,
    k: int = 1,
) -> Neighbours:
    r"""The k nearest references of each query, by Euclidean distance, in bounded memory.

    All N · M pairs are measured, in 2 · N · M · D operations: 10¹² for 10⁵ rows of 50 features
    among themselves. In blocks of queries against all references, |q|² + |r|² − 2 q·r in float32
    after centring; the best few are measured again by differences in float64, since the expanded
    form cancels for near duplicates. So each distance is exact for its pair; among neighbours
    whose distances agree to some 3·10⁻⁴ of the data's spread, another may be a little nearer.

    Args:
        queries: [N, …], finite real features of one scale.
        references: [M, …] of the same features; None takes the other queries, each row left out
            of its own neighbours.
        k: how many, from 1 to 3.

    Returns:
        `Neighbours`; distance infinite and row −1 where fewer than k are there.

    Raises:
        ValueError: if a feature is not finite, shapes differ or k is out of range.

    Example:
        >>> found = nearest_neighbours(np.array([[0.0], [1.0], [5.0]]))
        >>> found.distances[:, 0].tolist(), found.rows[:, 0].tolist()
        ([1.0, 1.0, 4.0], [1, 0, 1])

    See Also:
        `near_threshold`, for what is near.
    """
    if not 1 <= k < _CANDIDATES:
        raise ValueError(f"k must be from 1 to {_CANDIDATES - 1}, got {k}")
    alone = references is None
    asked = rows_of(queries, "queries", may_be_empty=True)
    others = asked if references is None else rows_of(references, "references", may_be_empty=True)
    if asked.shape[1:] != others.shape[1:]:
        raise ValueError(
            f"references must have rows of shape {asked.shape[1:]}, got {others.shape[1:]}"
        )
    q, r = _flat(asked), _flat(others)
    if not len(q) or not len(r):
        return Neighbours(np.full((len(q), k), np.inf), np.full((len(q), k), -1, np.int64))
    centre = r.mean(axis=0)
    # Away from the ends of float32, where squares overflow; distances are measured in float64.
    scale = max(float(np.abs(r - centre).max()), float(np.abs(q - centre).max())) or 1.0
    near = [jnp.asarray((x - centre) / scale, jnp.float32) for x in (q, r)]
    block = max(1, min(len(q), _DISTANCES_AT_ONCE // len(r)))
    rows = np.asarray(_candidates(*near, alone=alone, block=block), np.int64)
    return _in_order(q, r, rows, k, alone)


def near_threshold(distances: Given, *, fraction: float = 0.1) -> float:
    """The distance below which rows count as near duplicates: a fraction of the typical one.

    A tenth of the median distance to the nearest different row. Rows that were drawn
    independently in d dimensions come as near with a chance of about 1 − 2^(−fraction^d), which is
    7 % for d = 1 and 7·10⁻⁵ for d = 4: see `chance_share`.

    Args:
        distances: of each row to its nearest neighbour; zeros (exact copies) are left out.
        fraction: of the median, in (0, 1).

    Returns:
        The threshold; 0 where no row has a different neighbour.

    Raises:
        ValueError: if fraction is out of range, there are no distances or one is NaN.

    Example:
        >>> near_threshold(np.array([0.0, 2.0, 5.0, 9.0]))  # a tenth of 5
        0.5
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie in (0, 1), got {fraction}")
    found = finite_of(distances, "distances", "N", infinite=True)
    known = found[(found > 0) & np.isfinite(found)]
    return fraction * float(np.median(known)) if known.size else 0.0


def intrinsic_dimension(neighbours: Neighbours) -> float:
    r"""How many directions the data fill, from the ratio of the two nearest distances.

        d = (n − 1) / Σ log(r₂ / r₁)

    Args:
        neighbours: two of each row; rows with a copy (r₁ = 0) are left out.

    Returns:
        d; NaN with fewer than three usable rows or none whose two distances differ.

    Raises:
        ValueError: if there are not two neighbours a row.

    Example:
        >>> found = Neighbours(np.array([[1.0, 2.0]] * 5), np.zeros((5, 2), int))
        >>> round(intrinsic_dimension(found), 4)  # 4 / (5 log 2)
        1.1542

    Reference:
        E. Facco et al., Estimating the Intrinsic Dimension of Datasets by a Minimal Neighborhood
        Information, 2017.
    """
    if neighbours.distances.shape[1] < 2:
        raise ValueError("neighbours must hold two a row: call nearest_neighbours with k=2")
    first, second = neighbours.distances[:, 0], neighbours.distances[:, 1]
    usable = (first > 0) & np.isfinite(second)
    total = float(np.log(second[usable] / first[usable]).sum())
    return (int(usable.sum()) - 1) / total if usable.sum() >= 3 and total > 0 else float("nan")


def chance_share(fraction: float, dimension: float) -> float:
    """The share of independent rows that come nearer than a fraction of the median by chance.

    1 − 2^(−fraction^d), for a density that is flat between neighbours.

    Example:
        >>> round(chance_share(0.1, 2.0), 5)  # 1 − 2^−0.01
        0.00691
    """
    return float(-np.expm1(-np.log(2) * fraction**dimension))


def find_leaks(
    test: Given,
    train: Given,
    *,
    threshold: float,
) -> Leaks:
    """Test rows that occur in train, exactly or within a distance.

    Args:
        test: [N, …], finite, scaled.
        train: [M, …], scaled alike.
        threshold: such as `near_threshold` gives of the training rows.

    Returns:
        `Leaks`. Exact means equal in every feature (−0 equals 0), and misses none; what is near
        is known as well as `nearest_neighbours` knows distances.

    Raises:
        ValueError: if threshold is negative, a feature not finite or shapes differ.

    Example:
        >>> train = np.array([[0.0], [1.0], [2.0]])
        >>> found = find_leaks(np.array([[1.0], [1.01], [1.5]]), train, threshold=0.1)
        >>> found.exact.tolist(), found.near.tolist()
        ([True, False, False], [True, True, False])
    """
    if not threshold >= 0:
        raise ValueError(f"threshold must be at least 0, got {threshold}")
    test, train = (
        rows_of(x, name, may_be_empty=True) for x, name in ((test, "test"), (train, "train"))
    )
    if test.shape[1:] != train.shape[1:]:
        raise ValueError(f"train must have rows of shape {test.shape[1:]}, got {train.shape[1:]}")
    found = nearest_neighbours(test, train)
    distances, twins = found.distances[:, 0].copy(), found.rows[:, 0].copy()
    # Among rows that lie closer than float32 tells, the search may have kept another than the copy.
    copies = _first_copies(test, train)
    exact = copies >= 0
    distances[exact], twins[exact] = 0.0, copies[exact]
    return Leaks(exact, distances <= threshold, twins, distances, threshold)


def conflicts(
    groups: Int[np.ndarray, " N"], labels: Int[np.ndarray, " N"]
) -> Sequence[Int[np.ndarray, " members"]]:
    """Copies that carry different labels: at most one of them is right.

    Args:
        groups: of `exact_groups`.
        labels: int [N].

    Returns:
        The row numbers of each group that has more than one label.

    Example:
        >>> [group.tolist() for group in conflicts(np.array([0, 1, 0, 1]), np.array([3, 4, 5, 4]))]
        [[0, 2]]
    """
    order = np.argsort(groups, kind="stable")
    ends = np.flatnonzero(np.diff(groups[order])) + 1
    return [rows for rows in np.split(order, ends) if np.unique(labels[rows]).size > 1]


def _first_copies(test: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The first row of train that equals each row of test; −1 where none does.

    In their own dtype, for in float64 whole numbers beyond 2⁵³ would be their neighbours' copies.
    """
    groups = exact_groups(np.concatenate([train, test]))
    # Groups are numbered in the order of their first rows.
    first = np.unique(groups, return_index=True)[1][groups[len(train) :]]
    return np.where(first < len(train), first, -1)


def _flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(len(rows), int(np.prod(rows.shape[1:]))).astype(np.float64)


@partial(jax.jit, static_argnames=("alone", "block"))
def _candidates(queries: Array, references: Array, *, alone: bool, block: int) -> Array:
    """The rows of the nearest references, about in order: int32 [N, candidates]."""
    squares = (references**2).sum(axis=1)
    kept = min(_CANDIDATES + alone, len(references))

    def nearest(query_and_row):
        query, row = query_and_row
        inner = jnp.matmul(references, query, precision=lax.Precision.HIGHEST)
        nearness = 2 * inner - squares  # |q|² is the same for all
        if alone:
            nearness = jnp.where(jnp.arange(len(references)) == row, -jnp.inf, nearness)
        return lax.top_k(nearness, kept)[1]

    return lax.map(nearest, (queries, jnp.arange(len(queries))), batch_size=block)


def _in_order(q: np.ndarray, r: np.ndarray, rows: np.ndarray, k: int, alone: bool) -> Neighbours:
    distances = np.stack([np.sqrt(((q - r[column]) ** 2).sum(axis=1)) for column in rows.T], axis=1)
    if alone:
        distances[rows == np.arange(len(q))[:, None]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")
    short = max(0, k - rows.shape[1])
    distances = np.pad(
        np.take_along_axis(distances, order, 1)[:, :k], ((0, 0), (0, short)), constant_values=np.inf
    )
    rows = np.pad(np.take_along_axis(rows, order, 1)[:, :k], ((0, 0), (0, short)))
    return Neighbours(distances, np.where(np.isfinite(distances), rows, -1))
