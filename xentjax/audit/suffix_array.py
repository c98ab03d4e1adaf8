"""The suffix array of a token sequence: where, and how far, another text occurs in it verbatim.

Prefer it to searching again and again: it is built once, in O(N log² N), and then finds the
longest common span of any number of texts, exactly and without hashing.
"""

import dataclasses

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class SuffixArray:
    """All suffixes of a sequence in lexicographic order.

    Attributes:
        tokens: [N], the sequence.
        order: [N], where each suffix starts, the smallest first.
    """

    tokens: np.ndarray
    order: np.ndarray


def sort_suffixes(tokens: Int[np.ndarray, " time"]) -> SuffixArray:
    """Sorts the suffixes of a sequence by doubling the length that is compared.

    Args:
        tokens: [N] integers ≥ 0, N ≥ 1.

    Returns:
        The suffix array.

    Raises:
        ValueError: if tokens are not one-dimensional non-negative integers, or there are none.

    Example:
        >>> banana = np.array([1, 0, 2, 0, 2, 0])  # a, ana, anana, banana, na, nana
        >>> sort_suffixes(banana).order.tolist()
        [5, 3, 1, 0, 4, 2]

    Reference:
        U. Manber and G. Myers, Suffix Arrays: A New Method for On-Line String Searches, 1993.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 1 or tokens.dtype.kind not in "iu" or not len(tokens):
        raise ValueError(
            f"tokens must be at least one integer in one dimension, got {tokens.dtype} of shape "
            f"{tokens.shape}"
        )
    if tokens.min() < 0:
        raise ValueError(f"tokens must not be negative, got {tokens.min()}")
    tokens = tokens.astype(np.int64)
    rank, compared = np.unique(tokens, return_inverse=True)[1], 1
    n = len(tokens)
    while True:
        # What lies beyond the end comes before every token.
        behind = np.concatenate([rank[compared:], np.full(min(compared, n), -1)]) + 1
        key = rank * (n + 1) + behind
        order = np.argsort(key, kind="stable")
        new = np.append(0, np.cumsum(np.diff(key[order]) > 0))
        if new[-1] == n - 1 or compared >= n:
            return SuffixArray(tokens, order)
        rank = np.empty(n, np.int64)
        rank[order] = new
        compared *= 2


def matching_lengths(
    suffixes: SuffixArray, query: Int[np.ndarray, "queries time"]
) -> Int[np.ndarray, "queries time"]:
    """For every position of each query, how many tokens from there on occur in the sequence.

    The longest common span of query and sequence is the maximum over positions.

    Args:
        suffixes: of the sequence.
        query: [Q, L] integers ≥ 0.

    Returns:
        [Q, L] lengths, each at most L minus the position.

    Raises:
        ValueError: if query is not integers [Q, L] ≥ 0.

    Example:
        >>> banana = sort_suffixes(np.array([1, 0, 2, 0, 2, 0]))
        >>> query = np.array([[2, 0, 0, 1, 7]])  # "naab?": na, a, ab? no: a, b, nothing
        >>> matching_lengths(banana, query).tolist()
        [[2, 1, 1, 1, 0]]
    """
    query = np.asarray(query)
    if query.ndim != 2 or query.dtype.kind not in "iu":
        raise ValueError(f"query must be integers [Q, L], got {query.dtype} of shape {query.shape}")
    if query.size and query.min() < 0:
        # −1 stands for the end of the sequence below, and would be found there.
        raise ValueError(f"query must not be negative, got {query.min()}")
    count, length = query.shape
    row, place = (x.ravel() for x in np.indices(query.shape))
    matched = np.zeros(query.size, np.int64)
    # Suffixes [low, high) share the first `depth` tokens of what is looked for.
    low, high = np.zeros(query.size, np.int64), np.full(query.size, len(suffixes.tokens))
    active = np.arange(query.size)
    for depth in range(length):
        active = active[place[active] + depth < length]
        wanted = query[row[active], place[active] + depth].astype(np.int64)
        first, last = low[active], high[active]
        first, last = (
            _first_at_least(suffixes, first, last, wanted, depth),
            _first_at_least(suffixes, first, last, wanted + 1, depth),
        )
        found = first < last
        active = active[found]
        if not len(active):
            break
        low[active], high[active] = first[found], last[found]
        matched[active] = depth + 1
    return matched.reshape(count, length)


def _first_at_least(suffixes, low, high, wanted, depth):
    """In [low, high), the first suffix whose token at `depth` is no smaller: bisection of all."""
    low, high = low.copy(), high.copy()
    n = len(suffixes.tokens)
    while (open_ := low < high).any():
        middle = (low + high) // 2
        at = suffixes.order[np.minimum(middle, n - 1)] + depth
        token = np.where(at < n, suffixes.tokens[np.minimum(at, n - 1)], -1)
        smaller = open_ & (token < wanted)
        low = np.where(smaller, middle + 1, low)
        high = np.where(open_ & ~smaller, middle, high)
    return low
