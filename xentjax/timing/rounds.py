"""Rounds: every contestant runs once in each, in an order drawn anew.

A block of runs each would let a busy minute fall on one contestant alone. A fixed order, or a
rotated one, would let each follow the same neighbour most of the time; that is no detail,
because the threads of one library keep spinning on the cores for a while after its run: on two
cores a copy of 0.4 ms took 0.7 ms when it came right after torch.
"""

import random
from collections.abc import Callable, Sequence

from xentjax.timing.contestant import Contestant


def round_orders(count: int, rounds: int, seed: int) -> list[list[int]]:
    """One random order of `count` contestants for each round.

    Each contestant follows every other equally often in the mean, across the boundary of two
    rounds as well.

    Example:
        >>> [sorted(order) for order in round_orders(3, rounds=2, seed=0)]
        [[0, 1, 2], [0, 1, 2]]
    """
    draw = random.Random(seed)
    return [draw.sample(range(count), count) for _ in range(rounds)]


def time_rounds(
    contestants: Sequence[Contestant],
    *,
    runs: int,
    warmup: int,
    clock: Callable[[], float],
    seed: int = 0,
) -> list[tuple[float, ...]]:
    """Blocked run times of each contestant, alternating round by round.

    Args:
        contestants: at least one.
        runs: rounds that count, at least 1.
        warmup: rounds before them that do not.
        clock: a clock in seconds.
        seed: draws the order within each round.

    Returns:
        Seconds by contestant and round; index r of every tuple is the same round.

    Raises:
        ValueError: `runs` < 1 or `warmup` < 0.
    """
    check_rounds(runs, warmup)
    seconds: list[list[float]] = [[] for _ in contestants]
    for index, order in enumerate(round_orders(len(contestants), warmup + runs, seed)):
        for which in order:
            elapsed = contestants[which].blocked_seconds(clock)
            if index >= warmup:
                seconds[which].append(float(elapsed))
    return [tuple(times) for times in seconds]


def check_rounds(runs: int, warmup: int) -> None:
    """Raises ValueError unless `runs` ≥ 1 and `warmup` ≥ 0: asked before anything is compiled."""
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    if warmup < 0:
        raise ValueError(f"warmup must be at least 0, got {warmup}")
