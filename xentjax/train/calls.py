"""Calls: how many steps each compiled call takes, and the batches stacked for it.

Calls end at absolute steps, so that a run resumed at the end of one makes the same calls as a run
left alone, and computes the same bits: XLA may round a scan of ten steps and a scan of five
differently.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from xentjax.train.objectives import Batch
from xentjax.train.step import stack_batches

# What a checkpoint keeps of the place in the data: grain's own state, or how many were taken.
Place: TypeAlias = Any


def call_lengths(
    first: int, last: int, steps_per_call: int, marks: Sequence[int | None] = ()
) -> list[int]:
    """Cut the steps from first to last into calls that end at every mark.

    Args:
        first: steps already taken.
        last: the step to end at.
        steps_per_call: the most steps in a call; calls also end at its multiples.
        marks: calls end at the multiples of each; None marks nothing.

    Example:
        >>> call_lengths(0, 12, 4, [5])
        [4, 1, 3, 2, 2]
        >>> call_lengths(8, 12, 4, [5])
        [2, 2]
    """
    lengths, done = [], first
    while done < last:
        ends = [done - done % mark + mark for mark in (steps_per_call, *marks) if mark]
        lengths.append(min(last, *ends) - done)
        done += lengths[-1]
    return lengths


def stacked_calls(
    batches: Iterable[Batch], lengths: Sequence[int], first: int, place: Place | None
) -> Iterator[tuple[dict[str, np.ndarray], Place]]:
    """The batches of each call stacked, with the place in the data after it.

    Args:
        batches: dicts of arrays of one shape. An iterator with `get_state` and `set_state` keeps
            its own place; any other is taken from the beginning and counted.
        lengths: from `call_lengths`.
        first: steps already taken.
        place: where to go on, as it came with an earlier call; None for the beginning.

    Raises:
        ValueError: if the batches end before the calls do.
    """
    source, stateful = iter(batches), hasattr(batches, "get_state")
    taken = 0
    if stateful and place is not None:
        source.set_state(place)  # pyright: ignore[reportAttributeAccessIssue]
    elif place is not None:
        for _ in zip(range(place), source, strict=False):
            taken += 1
    done = first
    for length in lengths:
        part = [batch for _, batch in zip(range(length), source, strict=False)]
        taken += len(part)
        if len(part) < length:
            raise ValueError(
                f"batches ended after {done + len(part)} of {first + sum(lengths)} steps; give "
                "batches that repeat, as xentjax.data.batches does, or take fewer steps"
            )
        done += length
        after = source.get_state() if stateful else taken  # pyright: ignore[reportAttributeAccessIssue]
        yield stack_batches(part), after
