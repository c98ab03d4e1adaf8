"""What several processes must agree on: the time, and whether they were told to go.

Every process runs the same loop, and each compiled call waits for all of them. A process that left
the loop alone, because its own clock reached a `TimeBudget` or a signal came to it first, would
leave the others waiting for ever. With one process these functions return what they are given.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def shared_clock(clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """The clock of the first process, for `train_loop(clock=…)`.

    It is read once for each record, by all processes together; that is one small message.

    Args:
        clock: seconds, as in the loop.

    Example:
        >>> shared_clock(lambda: 3.0)()
        3.0
    """
    if jax.process_count() == 1:
        return clock
    return lambda: float(_exchanged(clock())[0])


def shared_interruption(interrupted: Callable[[], str | None]) -> Callable[[], str | None]:
    """A reason to stop as soon as any process has one, for `train_loop(interrupted=…)`.

    All processes end at the same call and save the same checkpoint, though a signal reaches them
    one after the other.

    Args:
        interrupted: as from `terminations`.

    Returns:
        `() → reason`: this process's own, or one that says another was told to stop.

    Example:
        >>> shared_interruption(lambda: None)() is None
        True
    """
    if jax.process_count() == 1:
        return interrupted

    def of_any() -> str | None:
        reason = interrupted()
        told = np.flatnonzero(_exchanged(float(reason is not None)))
        if reason is None and told.size:
            return f"process {told[0]} was told to stop; resume to go on"
        return reason

    return of_any


def _exchanged(number: float) -> np.ndarray:
    """This number of every process, known to all of them."""
    # As bytes, for JAX would round a float64 to float32.
    mine = np.frombuffer(np.float64(number).tobytes(), np.uint8)
    gathered: Any = multihost_utils.process_allgather(mine)
    return np.ascontiguousarray(gathered).view(np.float64).reshape(-1)
