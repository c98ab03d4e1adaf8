"""Before `bench.linear` times anything: is xentjax as near the truth as the dense path?

The truth is float64 numpy on the very arrays the contestants get. Errors are relative, in the
Euclidean norm. xentjax must be no worse than the dense path in the same dtype, but for a few
roundings; that rule also fits a GPU that rounds float32 operands to 10 bits on its own. (That the
contestants agree with each other is checked again at every shape that is timed.)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bench.contest import FLOOR
from bench.linear_contestants import OPTAX, Inputs, random_inputs, training
from bench.linear_torch import torch_training
from bench.lineup import DisagreementError, Lineup, as_float, prepare
from xentjax.fused.cases import Case
from xentjax.timing import Plain

# Primes and no multiple of a tile: what is padded must not count.
CASE, TILE = Case(307, 64, 1009), 128
# Both sides round their results to the dtype and add in an order of their own.
ROUNDINGS = 4


class Errors(NamedTuple):
    """Relative errors of the value and of both gradients."""

    value: float
    hidden: float
    weight: float


def truth(inputs: Inputs, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses [N], and the gradients of Σ share · loss, in float64.

    Args:
        inputs: as the contestants get them.
        shares: [N], 1/N for a mean.
    """
    hidden, weight = (as_float64(x) for x in inputs[:2])
    labels = np.asarray(inputs.labels)
    rows = np.arange(len(labels))
    logits = hidden @ weight
    highest = logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits - highest)
    sums = exponentials.sum(axis=1, keepdims=True)
    losses = (np.log(sums) + highest)[:, 0] - logits[rows, labels]
    slopes = exponentials / sums
    slopes[rows, labels] -= 1
    slopes *= shares[:, None]
    return losses, slopes @ weight.T, hidden.T @ slopes


def errors(lineup: Lineup, inputs: Inputs) -> dict[str, Errors]:
    """Errors of every contestant of value and gradients; bare products have no loss."""
    n = len(inputs.labels)
    losses, *gradients = truth(inputs, np.full(n, 1 / n))
    found = {}
    for name, contestant in lineup.items():
        if contestant.role == FLOOR:
            continue
        fn, args = contestant.fn, contestant.args
        value, slopes = fn.fn(*args) if isinstance(fn, Plain) else jax.jit(fn)(*args)
        found[name] = Errors(
            relative_error(value, losses.mean()), *map(relative_error, slopes, gradients)
        )
    return found


def failures(found: dict[str, Errors], dtype: Any) -> list[str]:
    """What of xentjax is worse than dense in the same dtype, as sentences; none is good."""
    slack = ROUNDINGS * float(jnp.finfo(dtype).eps)
    return [
        f"{name}: error of {part} {error:.1e}, dense {dense:.1e}"
        for name, each in found.items()
        if name.startswith(("xentjax", "tile"))
        for part, error, dense in zip(Errors._fields, each, found[OPTAX], strict=True)
        if not error <= dense + slack
    ]


def require_accuracy(dtype: str, platform: str) -> dict[str, Errors]:
    """The errors of all contestants on a small shape.

    Raises:
        DisagreementError: xentjax is worse than dense.
    """
    inputs = random_inputs(CASE, dtype)
    lineup = training(inputs, (TILE,)) | torch_training(inputs, platform)
    # Contestants that refuse this shape are left out here, and tried again at the next.
    found = errors(prepare(lineup, None, tolerance=float("inf")).lineup, inputs)
    wrong = failures(found, dtype)
    if wrong:
        raise DisagreementError("worse than dense, nothing timed: " + "; ".join(wrong))
    return found


def relative_error(found: Any, true: np.ndarray) -> float:
    return float(np.linalg.norm(as_float64(found) - true) / np.linalg.norm(true))


def as_float64(x: Any) -> np.ndarray:
    return as_float(x).astype(np.float64)
