"""Static groups: the trials that share a program, trained chunk by chunk and rung by rung."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.search.chunks import ChunkCompiler, Chunked, chunk_rows
from xentjax.search.space import Dimension, Hyperparameters
from xentjax.search.sweep_result import SweepGroup, SweepRow
from xentjax.search.trials import Progress, Rows, traced_values
from xentjax.train.totals import Totals


@dataclasses.dataclass
class StaticGroup:
    """The trials of one combination of static values, and the arrays of those that may go on.

    Attributes:
        static: the values.
        members: trial number → hyperparameters.
        axes: the space.
        seeds: those of the orders in `rows`.
        rows: what all trials share.
        compiler: of the group's program.
        clock: seconds.
        numbers: the trials trained last.
        progress: their arrays, where they were kept.
        best: the best trial so far and its arrays.
    """

    static: Hyperparameters
    members: Mapping[int, Hyperparameters]
    axes: Mapping[str, Dimension]
    seeds: Sequence[int]
    rows: Rows
    compiler: ChunkCompiler
    clock: Callable[[], float]
    numbers: Sequence[int] = ()
    progress: Progress | None = None
    best: tuple[SweepRow, Progress] | None = None
    run_seconds: float = 0.0
    first: Chunked | None = None

    def train(
        self, numbers: Sequence[int], first: int, last: int, *, rung: int, keep: bool
    ) -> Iterator[list[SweepRow]]:
        """Train some of the trials from one step to another.

        Args:
            numbers: which, all of them among those trained last unless first is 0.
            first: steps taken.
            last: the step to end at.
            rung: noted in the rows.
            keep: whether their arrays are wanted afterwards.

        Yields:
            The rows of each chunk.
        """
        if not numbers:
            return
        per_trial = self._arguments(numbers)
        shared = (self.rows, np.int32(first), np.int32(last))
        chunked = self.compiler.fit(per_trial, shared, len(numbers))
        self.first = self.first or chunked
        kept = []
        for places in chunk_rows(len(numbers), chunked.size):
            began = self.clock()
            after, metrics = jax.block_until_ready(
                chunked.compiled(*_take(per_trial, places), *shared)
            )
            self.run_seconds += self.clock() - began
            members = [numbers[place] for place in dict.fromkeys(places.tolist())]
            rows = self._table(members, after, metrics, rung)
            self._note_best(rows, after)
            if keep:
                kept.append(_take(after, np.arange(len(rows))))
            yield rows
        self.numbers = numbers
        self.progress = jax.tree.map(lambda *parts: jnp.concatenate(parts), *kept) if keep else None

    def report(self) -> SweepGroup:
        """What the group's program took."""
        assert self.first is not None, "a group has trials, and all of them begin"
        return SweepGroup(
            static=self.static,
            trials=len(self.members),
            chunk=self.first.size,
            bytes=self.first.bytes,
            programs=self.compiler.programs,
            compile_seconds=self.compiler.seconds,
            run_seconds=self.run_seconds,
        )

    def _arguments(self, numbers: Sequence[int]) -> tuple[Any, ...]:
        """The progress, the traced values and the number of its order, for each trial."""
        configurations = [self.members[number] for number in numbers]
        orders = [self.seeds.index(each["seed"]) for each in configurations]
        progress = self.progress
        if progress is not None:
            progress = _take(progress, [self.numbers.index(number) for number in numbers])
        return progress, traced_values(self.axes, configurations), np.asarray(orders, np.int32)

    def _note_best(self, rows: Sequence[SweepRow], after: Progress) -> None:
        place = min(range(len(rows)), key=lambda i: rows[i].rank)
        if self.best is None or rows[place].rank < self.best[0].rank:
            self.best = rows[place], _take(after, place)

    def _table(
        self, numbers: Sequence[int], after: Progress, metrics: Mapping[str, Any], rung: int
    ) -> list[SweepRow]:
        metrics, tally, steps = jax.device_get((dict(metrics), after.tally, after.step))
        rows = []
        for place, number in enumerate(numbers):
            totals = Totals.from_metrics({name: sums[place] for name, sums in metrics.items()})
            weight = float(tally.loss_weight[place])
            row = SweepRow(
                number=number,
                hyperparameters=self.members[number],
                validation_nats=totals.loss_nats,
                accuracy=totals.accuracy,
                train_nats=float(tally.loss_total[place]) / weight if weight else math.nan,
                skipped=int(tally.skipped[place]),
                steps=int(steps[place]),
                diverged=bool(tally.diverged[place]) or not math.isfinite(totals.loss_nats),
                rung=rung,
            )
            rows.append(row)
        return rows


def _take(tree: Any, places: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[np.asarray(places)], tree)
