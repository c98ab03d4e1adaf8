"""Feeding: from what a person has, arrays, windows or an iterator, to batches without end.

Arrays are shuffled anew each epoch by grain, whose place can be saved. A loader with a length is
begun again when it ends; any other iterator is taken as it comes.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from xentjax.data import batches
from xentjax.train.objectives import Batch

Data: TypeAlias = Any


@dataclasses.dataclass(frozen=True)
class Feed:
    """Batches to train on.

    Attributes:
        batches: dicts of arrays of one shape.
        per_epoch: how many make one pass over the data; None where nobody knows.
    """

    batches: Iterable[Batch]
    per_epoch: int | None


def make_feed(data: Data, *, batch_size: int, seed: int, only: int | None = None) -> Feed:
    """Batches of whatever was given.

    Args:
        data: a dict of arrays of one length, a pair (inputs, labels), a source with `__len__` and
            `take(rows)` such as `TokenWindows`, or an iterable of batches.
        batch_size: examples a batch; an iterable has its own.
        seed: of the order.
        only: this many batches, over and over in the same order; None for all of the data.

    Raises:
        ValueError: if the data hold fewer examples than a batch, or an iterable fewer batches than
            `only`.
    """
    if only is not None and only < 1:
        raise ValueError(f"overfit_batches must be at least 1, got {only}")
    examples = as_examples(data)
    if examples is None:
        if only is None and hasattr(data, "__len__") and not hasattr(data, "__next__"):
            return Feed(_Endless(data), len(data))
        if only is None:
            return Feed(data, None)
        few = list(itertools.islice(iter(data), only))
        if len(few) < only:
            raise ValueError(f"data ended after {len(few)} of {only} batches")
        return Feed(_Repeated(few), len(few))
    n = len(examples) if hasattr(examples, "take") else len(next(iter(examples.values())))
    feed = batches(examples, batch_size=batch_size, seed=seed)
    if only is None:
        return Feed(feed, n // batch_size)
    few = [next(feed) for _ in range(min(only, n // batch_size))]
    return Feed(_Repeated(few), len(few))


def as_examples(data: Data) -> Any:
    """The data as a dict of arrays or a source; None for an iterable of batches.

    Raises:
        TypeError: if it is neither.
        ValueError: if the labels are no numbers.
    """
    if isinstance(data, tuple) and len(data) == 2:
        data = {"inputs": data[0], "labels": data[1]}
    if isinstance(data, Mapping):
        arrays = {name: np.asarray(array) for name, array in data.items()}
        if "labels" in arrays and arrays["labels"].dtype.kind not in "iufb":
            raise ValueError(
                f"labels must be numbers, got {arrays['labels'].dtype}; number the classes: "
                "np.unique(labels, return_inverse=True)[1]"
            )
        return arrays
    if hasattr(data, "take") and hasattr(data, "__len__") and not hasattr(data, "dtype"):
        return data
    arrays = isinstance(data, list | tuple) and any(hasattr(part, "dtype") for part in data)
    if hasattr(data, "__iter__") and not hasattr(data, "dtype") and not arrays:
        return None
    raise TypeError(
        f"data: got a {type(data).__name__}{' of arrays' if arrays else ''}, wanted a dict of "
        "arrays, a pair (inputs, labels), windows of tokens (xentjax.data.TokenWindows), or an "
        "iterable of batches, each a dict of arrays"
    )


class _Endless:
    """A loader of known length begun again whenever it ends."""

    def __init__(self, loader: Iterable[Batch]) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Batch]:
        while True:
            yield from self._loader


class _Repeated:
    """The same batches over and over, with a place that can be saved as grain's can."""

    def __init__(self, few: list[Batch]) -> None:
        self._few, self._next = few, 0

    def __iter__(self) -> "_Repeated":
        return self

    def __next__(self) -> Batch:
        self._next += 1
        return self._few[(self._next - 1) % len(self._few)]

    def get_state(self) -> dict[str, int]:
        return {"next": self._next}

    def set_state(self, state: Mapping[str, int]) -> None:
        self._next = state["next"]
