"""Before `bench.linear` times anything: does every contestant compute the same thing?

The truth is float64 numpy on the very arrays the contestants get. Errors are relative, in the
Euclidean norm. xentjax must be no worse than the dense path in the same dtype, but for a few
roundings; that rule also fits a GPU that rounds float32 operands to 10 bits on its own.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.linear_contestants import (
    OPTAX,
    PER_TOKEN,
    THREE_PRODUCTS,
    Entries,
    Inputs,
    random_inputs,
    training,
)
from bench.linear_tables import screened
from bench.linear_torch import torch_training
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


def errors(entries: Entries, inputs: Inputs) -> dict[str, Errors]:
    """Errors of every contestant of value and gradients; bare products have no loss."""
    n = len(inputs.labels)
    losses, *mean_gradients = truth(inputs, np.full(n, 1 / n))
    _, *token_gradients = truth(inputs, as_float64(inputs.cotangents))
    found = {}
    for name, (fn, args) in entries.items():
        if name == THREE_PRODUCTS:
            continue
        value, (dhidden, dweight) = fn.fn(*args) if isinstance(fn, Plain) else jax.jit(fn)(*args)
        each = name == PER_TOKEN
        dhidden_true, dweight_true = token_gradients if each else mean_gradients
        found[name] = Errors(
            relative_error(value, losses if each else losses.mean()),
            relative_error(dhidden, dhidden_true),
            relative_error(dweight, dweight_true),
        )
    return found


def failures(found: dict[str, Errors], dtype: Any) -> list[str]:
    """What of xentjax is worse than dense in the same dtype, as sentences; none is good."""
    slack = ROUNDINGS * float(jnp.finfo(dtype).eps)
    return [
        f"{name}: error of {part} {error:.1e}, dense {dense:.1e}"
        for name, each in found.items()
        if name.startswith("xentjax")
        for part, error, dense in zip(Errors._fields, each, found[OPTAX], strict=True)
        if not error <= dense + slack
    ]


def check(dtype: str, platform: str, console: Console) -> dict[str, Any]:
    """Prints the errors of all contestants; ends the run if xentjax is worse than dense."""
    inputs = random_inputs(CASE, dtype)
    entries = training(inputs, (TILE,)) | torch_training(inputs, platform)
    # Kernels that refuse this shape are left out here, and tried again at the next.
    ready, skipped = screened(entries, None)
    found = errors(ready, inputs)
    console.print(error_table(found, dtype))
    for name, reason in skipped.items():
        console.print(f"  left out: {name}: {reason}", highlight=False, markup=False)
    wrong = failures(found, dtype)
    if wrong:
        raise SystemExit("worse than the dense path, nothing timed: " + "; ".join(wrong))
    return {name: each._asdict() for name, each in found.items()}


def error_table(found: dict[str, Errors], dtype: Any) -> Table:
    title = f"value and both gradients, {jnp.dtype(dtype).name}"
    caption = f"relative error against float64, {CASE}"
    table = Table(title=title, caption=caption, box=SIMPLE_HEAD, padding=0)
    table.add_column("contestant", no_wrap=True)
    for column in ("value", "d hidden", "d weight"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, each in found.items():
        table.add_row(name, *(f"{error:.1e}" for error in each))
    return table


def relative_error(found: Any, true: np.ndarray) -> float:
    return float(np.linalg.norm(as_float64(found) - true) / np.linalg.norm(true))


def as_float64(x: Any) -> np.ndarray:
    if hasattr(x, "detach"):  # a torch tensor: numpy knows no bfloat16 of torch's
        x = x.detach().float().cpu().numpy()
    return np.asarray(x).astype(np.float64)
