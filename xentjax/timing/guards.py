"""What makes a time wrong without anybody noticing: work not waited for, compilation in a run.

Both are mistakes that can be mended, so both are Python warnings as well as caveats of the
result, which travel with it into tables and JSON. (A difference lost in noise is no mistake: the
verdict says so, and nothing warns.)
"""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np

_CPU = 1  # kDLCPU, the device code of DLPack
_COMPILES = "/jax/core/compile/"


class TimingWarning(UserWarning):
    """A time that does not mean what it seems to.

    `warnings.simplefilter("error", TimingWarning)` turns it into an exception.
    """


def warn(caveats: Iterable[str]) -> None:
    """Tells the caller of `measure` or `compare`."""
    for caveat in caveats:
        warnings.warn(caveat, TimingWarning, stacklevel=3)


def unwaited_caveat(name: str, leaf: str, is_compiled: bool) -> str:
    """What to do about a result that nobody waits for."""
    if is_compiled:
        return f"{name!r} returns nothing, so XLA drops its work: return what it computes"
    return (
        f"{name!r} returns {leaf}, which nobody waits for: if its work goes on after the call, "
        "the time is too short; return its arrays, or give Plain(fn, wait=...), such as "
        "wait=torch.cuda.synchronize, or wait=lambda: None if there is nothing to wait for"
    )


def compiled_caveat(name: str, compiled: int, runs: int) -> str:
    """What to do about runs in which JAX compiled."""
    return (
        f"{name!r} was traced or compiled in {compiled} of its {runs} timed runs, and the time "
        "holds that: raise warmup, or call jax.jit once, outside the function"
    )


def unwaited(result: Any) -> str | None:
    """What in a result may still be on its way, though the clock has stopped.

    Waited for: JAX arrays. There already: NumPy arrays and numbers, Python's values, and arrays of
    any library that say by DLPack that they lie on the CPU. Of all else (a future, a torch tensor
    on a GPU, nothing at all) nobody here knows.

    Args:
        result: what a contestant returned.

    Returns:
        A name of the first leaf that is not known to be there, None where all are.

    Example:
        >>> unwaited(1.5), unwaited({"loss": np.zeros(3)}), unwaited(None), unwaited(object())
        (None, None, 'nothing', 'object')
    """
    leaves = jax.tree.leaves(result)
    if not leaves:
        return "nothing"
    doubtful = [type(leaf).__name__ for leaf in leaves if not _is_there(leaf)]
    return doubtful[0] if doubtful else None


def _is_there(leaf: Any) -> bool:
    values = (jax.Array, np.ndarray, np.generic, int, float, complex, str, bytes)
    if isinstance(leaf, values) or hasattr(leaf, "block_until_ready"):
        return True
    return hasattr(leaf, "__dlpack_device__") and leaf.__dlpack_device__()[0] == _CPU


class CompileEvents:
    """How often JAX traced, lowered or compiled anything since `counting` began."""

    def __init__(self) -> None:
        self.count = 0

    @classmethod
    @contextmanager
    def counting(cls) -> Iterator["CompileEvents"]:
        """Counts within a `with` block."""
        seen = cls()

        def listen(event: str, duration_secs: float, **kwargs: Any) -> None:  # noqa: ARG001
            seen.count += event.startswith(_COMPILES)

        jax.monitoring.register_event_duration_secs_listener(listen)
        try:
            yield seen
        finally:
            jax.monitoring.unregister_event_duration_listener(listen)
