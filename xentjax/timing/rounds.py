"""Rounds: every contestant runs once in each, in an order drawn anew.

A block of runs each would let a busy minute fall on one contestant alone. A fixed order, or a
rotated one, would let each follow the same neighbour most of the time; that is no detail,
because the threads of one library keep spinning on the cores for a while after its run: on two
cores a copy of 0.4 ms took 0.7 ms when it came right after torch.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from xentjax.timing.contestant import Contestant
from xentjax.timing.guards import CompileEvents, unwaited
from xentjax.timing.peak import MemoryMark


@dataclass(frozen=True)
class Runs:
    """What was seen of one contestant over the rounds.

    Attributes:
        seconds: every run that counts, by round.
        compiled: in how many of these JAX traced or compiled something.
        unwaited: what in its result may not have been there when the clock stopped.
        peak_bytes: the most device memory its first run took on top of what was in use.
    """

    seconds: tuple[float, ...]
    compiled: int = 0
    unwaited: str | None = None
    peak_bytes: int | None = None


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
    devices: Sequence[Any] = (),
) -> list[Runs]:
    """Blocked run times of each contestant, alternating round by round.

    Args:
        contestants: at least one.
        runs: rounds that count, at least 1.
        warmup: rounds before them that do not.
        clock: a clock in seconds.
        seed: draws the order within each round.
        devices: whose memory is looked at.

    Returns:
        What was seen, by contestant; index r of all `seconds` is the same round.

    Raises:
        ValueError: `runs` < 1 or `warmup` < 0.
    """
    check_rounds(runs, warmup)
    logs = [_Log(devices) for _ in contestants]
    with CompileEvents.counting() as compile_events:
        for index, order in enumerate(round_orders(len(contestants), warmup + runs, seed)):
            for which in order:
                logs[which].run(contestants[which], clock, compile_events, counts=index >= warmup)
    return [log.closed() for log in logs]


class _Log:
    """What one contestant's runs have shown so far."""

    def __init__(self, devices: Sequence[Any]) -> None:
        self._devices = devices
        self._seconds: list[float] = []
        self._compiled = 0
        self._first: tuple[str | None, int | None] | None = None

    def run(
        self,
        contestant: Contestant,
        clock: Callable[[], float],
        compile_events: CompileEvents,
        counts: bool,
    ) -> None:
        before = compile_events.count
        mark = MemoryMark.now(self._devices) if self._first is None else None
        elapsed, result = contestant.blocked_run(clock)
        if mark is not None:
            peak = mark.peak_until(MemoryMark.now(self._devices))
            self._first = unwaited(result), peak
        if counts:
            self._seconds.append(float(elapsed))
            self._compiled += compile_events.count > before

    def closed(self) -> Runs:
        doubt, peak = self._first or (None, None)
        return Runs(tuple(self._seconds), self._compiled, doubt, peak)


def check_rounds(runs: int, warmup: int) -> None:
    """Raises ValueError unless `runs` ≥ 1 and `warmup` ≥ 0: asked before anything is compiled."""
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    if warmup < 0:
        raise ValueError(f"warmup must be at least 0, got {warmup}")
