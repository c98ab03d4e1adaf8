"""Exact evaluation: every example is scored once, whatever the batch size.

The last batch is padded to full size, so one compiled program serves all, and the padding is masked
with `where`, so it weighs nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from xentjax.train.objectives import Batch, Objective
from xentjax.train.state import TrainState
from xentjax.train.totals import Totals

Evaluate: TypeAlias = Callable[[TrainState, Iterable[Batch]], Totals]


def make_evaluate(objective: Objective) -> Evaluate:
    """Compile `(state, batches) → Totals`, with dropout off and without touching the state.

    Args:
        objective: as for `make_step`; it should leave out what `batch["where"]` masks.

    Returns:
        A function that adds up the losses of all batches in double precision on the host.
    """

    @jax.jit
    def score(state: TrainState, batch: Batch) -> dict[str, Any]:
        params = state.evaluated().params
        model = state.architecture.merge(params, state.rest, training=False, key=state.key)
        total, weight, sums = objective(model, batch, state.key)
        return {"loss_total": total, "loss_weight": weight, **sums}

    def evaluate(state: TrainState, batches: Iterable[Batch]) -> Totals:
        if isinstance(batches, Mapping):
            raise TypeError("batches: got a single batch, wanted an iterable of them: [batch]")
        scored = [score(state, batch) for batch in batches]
        return sum((Totals.from_metrics(metrics) for metrics in scored), Totals())

    return evaluate


def padded_batches(
    arrays: Mapping[str, np.ndarray], *, batch_size: int
) -> list[dict[str, np.ndarray]]:
    """Cut arrays into equal batches, the last one padded with zeros and masked by `where`.

    Args:
        arrays: arrays [N, …] of one length. A boolean `where` among them is kept and padded with
            False; else one is made.
        batch_size: examples in each batch.

    Returns:
        ⌈N / batch_size⌉ dicts with the same names and `where`.

    Example:
        >>> batches = padded_batches({"labels": np.array([5, 6, 7])}, batch_size=2)
        >>> [batch["labels"].tolist() for batch in batches]
        [[5, 6], [7, 0]]
        >>> [batch["where"].tolist() for batch in batches]
        [[True, True], [True, False]]
    """
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or 0 in lengths.values():
        raise ValueError(f"arrays: got lengths {lengths}, wanted one length of at least 1")
    if batch_size < 1:
        raise ValueError(f"batch_size: got {batch_size}, wanted at least 1")
    n = next(iter(lengths.values()))
    full = {"where": np.ones(n, bool), **arrays}
    padding = -n % batch_size

    def cut(array: np.ndarray, start: int) -> Any:
        part = array[start : start + batch_size]
        if len(part) == batch_size:
            return part
        return np.pad(part, [(0, padding)] + [(0, 0)] * (part.ndim - 1))

    return [
        {name: cut(array, start) for name, array in full.items()}
        for start in range(0, n, batch_size)
    ]


def covering_windows(tokens: np.ndarray, *, length: int, stride: int) -> dict[str, np.ndarray]:
    """Windows over one sequence such that every token but the first is predicted exactly once.

    With `stride` = `length` the windows touch and their first tokens are predicted from almost no
    context; a smaller stride gives every token after the first window at least length − stride
    tokens of context, at length / stride times the cost. The last window is moved back to end with
    the sequence.

    Args:
        tokens: [n] integers, n > length.
        length: T, tokens in a window.
        stride: tokens newly predicted by each window, 1 … length.

    Returns:
        `tokens` and `labels` [windows, T] int32, and the boolean `where` [windows, T].

    Example:
        >>> windows = covering_windows(np.arange(7), length=4, stride=2)
        >>> windows["labels"].tolist()
        [[1, 2, 3, 4], [3, 4, 5, 6]]
        >>> windows["where"].tolist()
        [[True, True, True, True], [False, False, True, True]]
    """
    last = len(tokens) - 1 - length
    if last < 0:
        raise ValueError(
            f"tokens must be longer than one window, got {len(tokens)} tokens and windows of "
            f"{length}; give a longer text or shorten the window"
        )
    if not 1 <= stride <= length:
        raise ValueError(f"stride must lie in [1, length] = [1, {length}], got {stride}")
    starts = np.append(np.arange(0, last, stride), last)
    positions = starts[:, None] + np.arange(length)[None, :]
    # A window predicts up to start + length; what its predecessor reached is masked.
    reached = np.append(0, starts[:-1] + length)
    windows = np.asarray(tokens, np.int32)
    return {
        "tokens": windows[positions],
        "labels": windows[positions + 1],
        "where": positions >= reached[:, None],
    }
