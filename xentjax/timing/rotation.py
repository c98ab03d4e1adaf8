"""Inputs that have gone cold: copies in turn, so that no run reads what the last one left in cache.

Timed again and again on the same small arrays, a kernel reads them from the cache, faster than
memory could give them. In a model other arrays have passed through the cache in between. So
inputs that would fit are copied, and each run takes the next copy; by the time a copy comes round
again, as many other bytes as the cache holds have been read.
"""

import itertools
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

# Where nobody says: no cache in use today that sits before memory is much larger (H100 50 MB,
# B200 126 MB).
ASSUMED_CACHE_BYTES = 128 * 2**20
_CPU_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")


def cache_bytes(platform: str, caches: Path = _CPU_CACHES) -> int:
    """Bytes of the largest cache before memory.

    Args:
        platform: "cpu", "gpu" or "tpu".
        caches: where Linux lists the caches of the first processor.

    Returns:
        The size Linux names for a CPU; 128 MiB for other devices and other systems.
    """
    if platform != "cpu":
        return ASSUMED_CACHE_BYTES
    # Linux prints 32768K.
    sizes = [path.read_text().strip() for path in caches.glob("index*/size")]
    known = [int(size[:-1]) * 1024 for size in sizes if size[:-1].isdigit() and size[-1] == "K"]
    return max(known, default=ASSUMED_CACHE_BYTES)


def copies_needed(args: tuple, cache: int, rounds: int) -> int:
    """How many copies of the inputs make every run read them from memory.

    Args:
        args: positional arguments of one contestant.
        cache: bytes the cache holds.
        rounds: runs there will be: with a copy for each, none comes round again.

    Returns:
        1 where the inputs do not fit in the cache, so that a run evicts its own.

    Example:
        >>> args = (np.zeros(1000, np.int8),)
        >>> [copies_needed(args, cache, rounds=30) for cache in (900, 1000, 2500, 10**6)]
        [1, 2, 4, 30]
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(args) if _is_array(leaf))
    if size == 0 or size > cache:
        return 1
    # Between two uses of a copy lie the copies - 1 others.
    return min(rounds, math.ceil(cache / size) + 1)


def can_rotate(entries: Iterable[tuple]) -> bool:
    """Whether the inputs of all contestants can be copied: arrays and numbers, at least one array.

    All or none: were only some inputs cold, the others would win by it.
    """
    return all(_can_copy(args) for args in entries)


def rotating(fn: Callable[..., Any], args: tuple, copies: int) -> Callable[[], Any]:
    """`fn` bound to copies of its arguments, the next ones at each call.

    Args:
        fn: a function of `args`.
        args: its positional arguments.
        copies: how many sets of them, the one given included.

    Returns:
        A function of no arguments.
    """
    sets = [args, *(jax.tree.map(_copy, args) for _ in range(copies - 1))]
    jax.block_until_ready(sets)
    turn = itertools.cycle(sets)
    return lambda: fn(*next(turn))


def _can_copy(args: tuple) -> bool:
    leaves = jax.tree.leaves(args)
    plain = all(_is_array(leaf) or isinstance(leaf, int | float | complex) for leaf in leaves)
    return plain and any(map(_is_array, leaves))


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _copy(leaf: Any) -> Any:
    return leaf.copy() if _is_array(leaf) else leaf
