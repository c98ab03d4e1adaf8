"""Rounds: every contestant runs once in each, in an order that changes from round to round.

A fixed order would give one contestant the warm cache of its predecessor each time, and a
block of runs each would let a busy minute fall on one contestant alone.
"""

from collections.abc import Callable, Sequence

from xentjax.timing.contestant import Contestant


def round_order(count: int, index: int) -> list[int]:
    """Order of `count` contestants in round `index`: rotated by one, reversed every other cycle.

    Over `count` rounds each contestant stands once in each place; over twice as many it has
    followed both of its neighbours equally often (for two: A B, B A, B A, A B).

    Example:
        >>> [round_order(3, index) for index in range(4)]
        [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    """
    cycle, turn = divmod(index, count)
    order = [(turn + place) % count for place in range(count)]
    return order[::-1] if cycle % 2 else order


def time_rounds(
    contestants: Sequence[Contestant], *, runs: int, warmup: int, clock: Callable[[], float]
) -> list[tuple[float, ...]]:
    """Blocked run times of each contestant, alternating round by round.

    Args:
        contestants: at least one.
        runs: rounds that count, at least 1.
        warmup: rounds before them that do not.
        clock: a clock in seconds.

    Returns:
        Seconds by contestant and round; index r of every tuple is the same round.

    Raises:
        ValueError: `runs` < 1 or `warmup` < 0.
    """
    check_rounds(runs, warmup)
    seconds: list[list[float]] = [[] for _ in contestants]
    for index in range(-warmup, runs):
        for which in round_order(len(contestants), index):
            elapsed = contestants[which].blocked_seconds(clock)
            if index >= 0:
                seconds[which].append(float(elapsed))
    return [tuple(times) for times in seconds]


def check_rounds(runs: int, warmup: int) -> None:
    """Raises ValueError unless `runs` ≥ 1 and `warmup` ≥ 0: asked before anything is compiled."""
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    if warmup < 0:
        raise ValueError(f"warmup must be at least 0, got {warmup}")
