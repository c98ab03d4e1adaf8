"""A line-up: contestants that do the same work, checked against each other, then timed.

Nothing is timed before every contestant has shown the result of xentjax, and what cannot run here
(too large for the device, a kernel that refuses) is left out by name with its reason.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from bench.contest import FLOOR, OURS, PEER, VARIANT, Contest, Entry, Role
from bench.effort import Effort
from bench.heat import Heat
from xentjax.timing import Plain, compare


@dataclass(frozen=True)
class Contestant:
    """A function with its arguments; its result, after `read`, must be that of xentjax.

    Attributes:
        role: as in `Entry`.
        fn: what JAX can trace or has jitted, or `Plain`.
        args: its arguments.
        read: result → a pytree of arrays, the same for all who are compared; None is not compared.
    """

    role: Role
    fn: Any
    args: tuple
    read: Callable[[Any], Any] | None = lambda result: result


# A first run beyond this many seconds is not repeated only to tell compilation from the run.
LONG = 4.0
Lineup = Mapping[str, Contestant]


def ours(fn: Any, args: tuple, **options: Any) -> Contestant:
    return Contestant(OURS, fn, args, **options)


def variant(fn: Any, args: tuple, **options: Any) -> Contestant:
    return Contestant(VARIANT, fn, args, **options)


def peer(fn: Any, args: tuple, **options: Any) -> Contestant:
    return Contestant(PEER, fn, args, **options)


def floor(fn: Any, args: tuple) -> Contestant:
    """The bare operation: it computes something else, so nothing is compared."""
    return Contestant(FLOOR, fn, args, read=None)


class DisagreementError(Exception):
    """A contestant computes something else: nothing is timed."""


class CannotRunError(Exception):
    """xentjax itself does not run here: there is nothing to compare with."""


@dataclass(frozen=True)
class Ready:
    """Who can run here, jitted and warm; who cannot; and how far apart the results were.

    Attributes:
        lineup: those that run.
        left_out: name → why not.
        difference: the largest relative difference to xentjax, NaN if nothing was compared.
        seconds: what one round of all takes.
    """

    lineup: dict[str, Contestant]
    left_out: dict[str, str]
    difference: float
    seconds: float


@dataclass(frozen=True)
class TimedLineup:
    """`Heat.hold` for a line-up that is made when its turn comes.

    Attributes:
        make: builds the contestants and their inputs.
        tolerance: the largest relative difference (Euclidean norm, leaf by leaf) that is the same.
        budget: seconds of timing in a run that is not full.
        memory_limit: bytes of the device that a program may use; None where nobody knows.
        note: as in `Contest`.
        left_out: contestants that are missing from the start → why.
    """

    make: Callable[[], Lineup]
    tolerance: float = 1e-4
    budget: float = 2.0
    memory_limit: int | None = None
    note: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, heat: Heat, effort: Effort) -> Contest:
        """Checks and times the contestants, alternating."""
        ready = prepare(self.make(), self.memory_limit, self.tolerance)
        entries = {name: (each.fn, each.args) for name, each in ready.lineup.items()}
        rounds = effort.rounds_for(ready.seconds, self.budget)
        # No warm-up: everyone has run, and round orders are random.
        found = compare(entries, runs=rounds, warmup=0)
        return Contest(
            heat.table,
            heat.case,
            tuple(_entry(found[name], each.role) for name, each in ready.lineup.items()),
            checked=_told(ready.difference),
            left_out={**self.left_out, **ready.left_out},
            note=self.note,
        )


def prepare(lineup: Lineup, memory_limit: int | None, tolerance: float) -> Ready:
    """Runs every contestant: to compile, to compare results, and to see how long a run takes.

    Raises:
        DisagreementError: a contestant's result is further from ours than the tolerance.
        CannotRunError: xentjax itself fails.
    """
    kept: dict[str, Contestant] = {}
    left_out: dict[str, str] = {}
    differences: list[float] = []
    expected, seconds = None, 0.0
    for name, contestant in sorted(lineup.items(), key=lambda item: item[1].role != OURS):
        began = time.perf_counter()
        try:
            ready, result = _first_run(contestant, memory_limit)
        except Exception as error:  # anything: out of memory, a kernel's assertion, the compiler
            if contestant.role == OURS:
                raise CannotRunError(f"{name} cannot run: {_one_line(error)}") from error
            left_out[name] = _one_line(error)
            continue
        took = time.perf_counter() - began
        if ready.read is not None:
            read = _as_arrays(ready.read(result))
            expected = read if contestant.role == OURS else expected
            differences.append(_checked(name, read, expected, tolerance))
        del result
        seconds += took if took > LONG else _seconds_of_a_run(ready)
        kept[name] = ready
    order = {name: kept[name] for name in lineup if name in kept}
    largest = max(differences[1:], default=float("nan"))
    return Ready(order, left_out, largest, seconds)


def _first_run(contestant: Contestant, memory_limit: int | None) -> tuple[Contestant, Any]:
    if not isinstance(contestant.fn, Plain):
        jitted = contestant.fn if hasattr(contestant.fn, "lower") else jax.jit(contestant.fn)
        if memory_limit is not None:
            _check_memory(jitted.lower(*contestant.args).compile(), memory_limit)
        contestant = Contestant(contestant.role, jitted, contestant.args, contestant.read)
    return contestant, _run(contestant)


def _seconds_of_a_run(contestant: Contestant) -> float:
    began = time.perf_counter()
    _run(contestant)
    return time.perf_counter() - began


def _run(contestant: Contestant) -> Any:
    fn = contestant.fn.fn if isinstance(contestant.fn, Plain) else contestant.fn
    return jax.block_until_ready(fn(*contestant.args))


def _check_memory(compiled: Any, limit: int) -> None:
    stats = compiled.memory_analysis()
    if stats is None:
        return
    need = stats.temp_size_in_bytes + stats.argument_size_in_bytes + stats.output_size_in_bytes
    if need > limit:
        raise MemoryError(f"needs {need / 1e9:.1f} GB of {limit / 1e9:.1f} GB")


def _checked(name: str, read: list[np.ndarray], expected: Any, tolerance: float) -> float:
    if expected is None or len(read) != len(expected):
        raise DisagreementError(f"{name} returns {len(read)} arrays, xentjax another number")
    difference = max(map(relative_difference, read, expected), default=0.0)
    if not difference <= tolerance:
        raise DisagreementError(f"{name} differs from xentjax by {difference:.1e} > {tolerance:g}")
    return difference


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """‖found − expected‖ / ‖expected‖; infinite where shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    size = float(np.linalg.norm(expected.ravel()))
    distance = float(np.linalg.norm((found - expected).ravel()))
    return distance / size if size else distance


def _as_arrays(tree: Any) -> list[np.ndarray]:
    return [as_float(leaf) for leaf in jax.tree.leaves(tree)]


def as_float(x: Any) -> np.ndarray:
    """numpy in at least float32, also from torch, whose bfloat16 numpy does not know."""
    if hasattr(x, "detach"):
        x = x.detach().float().cpu().numpy()
    x = np.asarray(x)
    return x if x.dtype in (np.float32, np.float64) else x.astype(np.float32)


def _entry(measurement: Any, role: Role) -> Entry:
    memory = measurement.memory
    temp = None if memory is None else memory.temp_bytes
    return Entry(measurement.name, role, measurement.run_seconds, temp)


def _told(difference: float) -> str | None:
    return None if np.isnan(difference) else f"results differ by at most {difference:.1e}"


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:200]
