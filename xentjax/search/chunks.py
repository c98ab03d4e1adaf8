"""Chunks: many trials through one compiled program, no more of them at once than memory allows.

XLA says before the first run what a compiled program takes; the number of trials in a call follows
from that. All chunks have one size, the last one filled up with repeats, so all share the program.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np


class Chunked(NamedTuple):
    """A program compiled for chunks of a size.

    Attributes:
        compiled: the executable.
        size: trials in a call.
        bytes: arguments, outputs and temporaries of a call, shared rows included; None where the
            backend does not say.
    """

    compiled: Any
    size: int
    bytes: int | None


@dataclasses.dataclass
class ChunkCompiler:
    """Compiles one static group's program for as many trials a call as the budget allows.

    Attributes:
        run: a function of the arrays with a trial axis and of those that all trials share.
        memory_budget: bytes that a call may take, or None for all trials at once.
        clock: seconds.
        programs: how many were compiled, those included that were found too large.
        seconds: what tracing and compiling took.
    """

    run: Callable[..., Any]
    memory_budget: int | None = None
    clock: Callable[[], float] = time.perf_counter
    programs: int = 0
    seconds: float = 0.0
    known: dict[tuple[bool, int], Chunked] = dataclasses.field(default_factory=dict)

    def fit(self, per_trial: tuple[Any, ...], shared: tuple[Any, ...], trials: int) -> Chunked:
        """The program for a chunk of these trials, at least two where memory allows.

        XLA drops a trial axis of one, and the program then rounds differently: a trial alone is
        run twice over, so that it gives the bits that it gives among others.

        Args:
            per_trial: arguments whose leaves have a leading axis of all trials; the first may be
                None.
            shared: what all trials share, given to each call after them.
            trials: how many.

        Raises:
            ValueError: if a single trial does not fit, or the backend does not tell its memory.
        """
        size = max(2, trials)
        while True:
            chunked = self._compile(per_trial, shared, size)
            if self.memory_budget is None:
                return chunked
            if chunked.bytes is None:
                raise ValueError(
                    "memory_budget: this backend does not tell what a program takes; leave the "
                    "budget out and give fewer trials"
                )
            if chunked.bytes <= self.memory_budget:
                return chunked
            size = self._smaller(chunked, shared, trials)

    def _smaller(self, chunked: Chunked, shared: tuple[Any, ...], trials: int) -> int:
        """The next size to try: what the budget leaves beside the rows, in equal chunks."""
        assert chunked.bytes is not None
        assert self.memory_budget is not None
        if chunked.size == 1:
            raise ValueError(
                f"memory_budget must hold one trial, which takes {chunked.bytes:,} bytes with the "
                f"rows and the batches' orders, got {self.memory_budget:,}; raise the budget, or "
                "lower batch_size or steps"
            )
        rows = sum(leaf.nbytes for leaf in jax.tree.leaves(shared))
        each = max(1, (chunked.bytes - rows) // chunked.size)
        # At least one less, for memory need not be linear in the trials.
        most = max(1, min(chunked.size - 1, (self.memory_budget - rows) // each))
        return math.ceil(trials / math.ceil(trials / most))

    def _compile(self, per_trial: tuple[Any, ...], shared: tuple[Any, ...], size: int) -> Chunked:
        at = (per_trial[0] is None, size)
        if at not in self.known:
            shapes = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct((size, *leaf.shape[1:]), leaf.dtype), per_trial
            )
            began = self.clock()
            # Each call makes the progress anew, so that its buffers may be those of the old one.
            compiled = jax.jit(self.run, donate_argnums=0).lower(*shapes, *shared).compile()
            self.seconds += self.clock() - began
            self.programs += 1
            self.known[at] = Chunked(compiled, size, _bytes(compiled))
        return self.known[at]


def chunk_rows(trials: int, size: int) -> list[np.ndarray]:
    """Which trials each chunk holds, the last one filled up with repeats of its last.

    Example:
        >>> [rows.tolist() for rows in chunk_rows(5, 2)]
        [[0, 1], [2, 3], [4, 4]]
    """
    return [
        np.minimum(np.arange(start, start + size), trials - 1) for start in range(0, trials, size)
    ]


def _bytes(compiled: Any) -> int | None:
    stats = compiled.memory_analysis()
    if stats is None:
        return None
    taken = (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        + stats.temp_size_in_bytes
        # A donated argument and the output in its place are one buffer.
        - stats.alias_size_in_bytes
    )
    return int(taken)
