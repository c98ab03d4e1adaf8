"""Signals: a run that is told to go ends at the next call, with a checkpoint, instead of dying.

Schedulers send SIGTERM before they kill; Slurm sends SIGUSR1 ahead of the time limit where
`--signal=USR1@60` asks for it.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# Windows has no SIGUSR1.
_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGUSR1", "SIGINT") if hasattr(signal, name)
)


@contextlib.contextmanager
def terminations() -> Iterator[Callable[[], str | None]]:
    """Turn the first SIGTERM, SIGUSR1 or Ctrl-C into a reason to stop, for `train_loop`.

    The loop, which asks by `interrupted=…`, finishes the call it is in, keeps a checkpoint and
    returns with that reason, so that the program can end with status 0. A second signal of a kind
    does what it always does, for whoever cannot wait. The handlers from before are back when the
    block is left.

    Python lets only the main thread set handlers: in any other thread nothing is set, and the
    callable always returns None.

    Returns:
        A context manager that yields `() → reason`, None until a signal has come.

    Example:
        >>> with terminations() as interrupted:
        ...     before = interrupted()
        ...     signal.raise_signal(signal.SIGTERM)
        ...     before, interrupted()
        (None, 'terminated by SIGTERM; resume to go on')
    """
    reasons: list[str] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        reasons.append(f"terminated by {signal.Signals(number).name}; resume to go on")
        by_hand = number == signal.SIGINT
        signal.signal(number, signal.default_int_handler if by_hand else signal.SIG_DFL)
        if by_hand:
            print("ending after this call; Ctrl-C again ends at once", file=sys.stderr, flush=True)

    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        previous = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield lambda: reasons[0] if reasons else None
    finally:
        for number, handler in previous.items():
            # None stands for a handler set by C code, which Python cannot set back.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
