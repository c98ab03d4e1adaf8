"""Batches on grain: an iterator determined by its seed whose place can be saved and restored.

A batch is one element of the grain pipeline, gathered from the arrays in one step. The usual
order (one element an example, then `.batch`) calls Python for every example and costs over ten
times as much for small ones. Each epoch is a permutation of its own, cut into batches; a batch
never spans two epochs.
"""

import functools
import sys
from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import grain
import numpy as np

from xentjax.data.windows import TokenWindows


@runtime_checkable
class Source(Protocol):
    """Examples that can be gathered by number, such as `TokenWindows`."""

    def __len__(self) -> int: ...

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the examples of these numbers, `[B, ...]` each array."""
        ...


def batches(
    arrays: Mapping[str, np.ndarray] | Source,
    *,
    batch_size: int,
    seed: int,
    shuffle: bool = True,
    epochs: int | None = None,
    drop_remainder: bool = True,
) -> grain.DatasetIterator:
    """Iterates over batches of rows of arrays that belong together.

    Args:
        arrays: name → `[N, ...]`, all of the same N; or any source of examples.
        batch_size: rows a batch, B.
        seed: non-negative; with the arrays it determines every batch. Neighbouring seeds give
            unrelated orders.
        shuffle: a new permutation each epoch; otherwise the order given.
        epochs: passes over the data; None goes on for ever.
        drop_remainder: leave out the last batch of an epoch when it is smaller than B (it would
            have another shape, and compile again). False for evaluation: every row, once.

    Returns:
        A grain iterator of dictionaries name → `[B, ...]`. `get_state()` and `set_state(state)`
        save and restore its place.

    Raises:
        ValueError: if arrays are missing, differ in length or are empty; if batch_size or
            epochs is below 1 or seed negative; if batch_size exceeds N while remainders are
            dropped.

    Example:
        >>> rows = batches({"x": np.arange(5)}, batch_size=2, seed=0, shuffle=False, epochs=1)
        >>> [batch["x"].tolist() for batch in rows]
        [[0, 1], [2, 3]]
    """
    source = arrays if isinstance(arrays, Source) else _Rows(arrays)
    return _iterator(
        source, batch_size, seed, shuffle, epochs=epochs, drop_remainder=drop_remainder
    )


def token_batches(
    tokens: np.ndarray,
    *,
    length: int,
    batch_size: int,
    seed: int,
    stride: int = 1,
    shuffle: bool = True,
    epochs: int | None = None,
    drop_remainder: bool = True,
) -> grain.DatasetIterator:
    """Iterates over batches of windows of one long sequence.

    Args:
        tokens: `[n]` integers: one split, so that no window crosses its end.
        length: T, tokens a window.
        batch_size: windows a batch, B.
        seed: as in `batches`.
        stride: distance between window starts; `length` for evaluation.
        shuffle: as in `batches`.
        epochs: as in `batches`; an epoch visits every window once.
        drop_remainder: as in `batches`.

    Returns:
        A grain iterator of `{"tokens": [B, T], "labels": [B, T]}`, int32, where labels are the
        next tokens.

    Raises:
        ValueError: as `batches` and `TokenWindows`.

    Example:
        >>> few = token_batches(np.arange(7), length=3, stride=3, batch_size=2, seed=0, epochs=1)
        >>> sorted(next(few)["labels"].tolist())
        [[1, 2, 3], [4, 5, 6]]
    """
    windows = TokenWindows(tokens, length, stride=stride)
    return _iterator(
        windows, batch_size, seed, shuffle, epochs=epochs, drop_remainder=drop_remainder
    )


class _Rows:
    """Rows of equally long arrays."""

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        if not arrays:
            raise ValueError("arrays must name at least one array, got none")
        self._arrays = {name: np.asarray(array) for name, array in arrays.items()}
        lengths = {name: array.shape[:1] for name, array in self._arrays.items()}
        if len(set(lengths.values())) != 1 or () in lengths.values():
            got = ", ".join(f"{name}: {array.shape}" for name, array in self._arrays.items())
            raise ValueError(f"arrays must agree in their first dimension, got shapes {got}")

    def __len__(self) -> int:
        return len(next(iter(self._arrays.values())))

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        return {name: array[rows] for name, array in self._arrays.items()}


class _Batches:
    """Random access to the batches of every epoch; batch i of epoch e is number e·K + i."""

    def __init__(
        self, source: Source, batch_size: int, seed: int, shuffle: bool, drop_remainder: bool
    ) -> None:
        self._source = source
        self._batch_size = batch_size
        whole, rest = divmod(len(source), batch_size)
        self.per_epoch = whole if drop_remainder or not rest else whole + 1
        # One order is kept: iteration is forward, and an order is N·8 bytes.
        self._order = functools.lru_cache(maxsize=1)(
            functools.partial(_epoch_order, len(source), seed, shuffle)
        )

    def batch(self, number: int) -> dict[str, np.ndarray]:
        epoch, index = divmod(number, self.per_epoch)
        start = index * self._batch_size
        return self._source.take(self._order(epoch)[start : start + self._batch_size])


def _epoch_order(n: int, seed: int, shuffle: bool, epoch: int) -> np.ndarray:
    if not shuffle:
        return np.arange(n)
    # (seed, epoch) seeds the generator as a pair: with seed + epoch, the second epoch of seed 0
    # would be the first of seed 1, and runs that should be independent would share their orders.
    return np.random.default_rng((seed, epoch)).permutation(n)


def _iterator(
    source: Source,
    batch_size: int,
    seed: int,
    shuffle: bool,
    *,
    epochs: int | None,
    drop_remainder: bool,
) -> grain.DatasetIterator:
    _check(len(source), batch_size, seed, epochs, drop_remainder)
    numbered = _Batches(source, batch_size, seed, shuffle, drop_remainder)
    steps = sys.maxsize if epochs is None else epochs * numbered.per_epoch
    pipeline = grain.MapDataset.range(steps).map(numbered.batch)
    # No reader threads: a gather takes microseconds, less than handing it between threads.
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    return iter(pipeline.to_iter_dataset(options))


def _check(n: int, batch_size: int, seed: int, epochs: int | None, drop_remainder: bool) -> None:
    if n == 0:
        raise ValueError("arrays must hold at least one row, got none")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    if seed < 0:
        raise ValueError(f"seed must be non-negative, got {seed}")
    if epochs is not None and epochs < 1:
        raise ValueError(f"epochs must be at least 1, or None to go on for ever, got {epochs}")
    if drop_remainder and batch_size > n:
        raise ValueError(
            f"batch_size {batch_size} exceeds the {n} examples there are, so that dropping the "
            "remainder leaves no batch; choose a smaller batch_size or drop_remainder=False"
        )
