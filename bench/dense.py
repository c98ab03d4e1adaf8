"""Softmax cross-entropy on integer labels, dense logits: xentjax, optax, torch and a bare pass.

The bare pass, x·2, reads and writes the logits once: what any gradient with respect to them must
do at the least, the new memory of its result included. (A value alone only reads them, so 1.00 is
no limit in the second table.)
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

import xentjax
from bench.effort import Effort
from bench.heat import Heat
from bench.lineup import Contestant, TimedLineup, floor, ours, peer
from bench.tensors import has_torch, tensors_of, value, value_and_gradients


class Shape(NamedTuple):
    """N examples of C classes."""

    n: int
    c: int

    def __str__(self) -> str:
        return f"{self.n}x{self.c}"


# A language model's vocabulary, an image classifier's classes, digits.
SHAPES = (Shape(1024, 32768), Shape(8192, 1000), Shape(65536, 10))
BARE = "bare pass"
VALUE_AND_GRADIENT, VALUE = "value and gradient", "value only"


def heats(effort: Effort) -> Iterator[Heat]:
    del effort  # every shape is quick
    for task in (VALUE_AND_GRADIENT, VALUE):
        for shape in SHAPES:
            yield Heat(task, str(shape), TimedLineup(partial(lineup, shape, task), budget=3.0))


def xentjax_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return xentjax.softmax_cross_entropy(logits, labels, reduction="mean")


def optax_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def lineup(shape: Shape, task: str, seed: int = 0) -> dict[str, Contestant]:
    """All contestants on the same random logits and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal(shape, dtype=np.float32)
    labels = rng.integers(shape.c, size=shape.n, dtype=np.int32)
    arrays = (jax.device_put(logits), jax.device_put(labels))
    differentiated = task == VALUE_AND_GRADIENT

    def asked(loss: Callable[..., jax.Array]) -> Any:
        return jax.value_and_grad(loss) if differentiated else loss

    entries = {
        "xentjax": ours(asked(xentjax_loss), arrays),
        "optax": peer(asked(optax_loss), arrays),
    }
    if has_torch():
        entries["torch"] = torch_contestant((logits, labels), differentiated)
    return entries | {BARE: floor(lambda x: x * 2, arrays[:1])}


def torch_contestant(arrays: tuple[np.ndarray, ...], differentiated: bool) -> Contestant:
    from torch.nn.functional import cross_entropy  # pyright: ignore[reportMissingImports]

    argnums = (0,) if differentiated else ()
    fn = value_and_gradients(cross_entropy, argnums) if differentiated else value(cross_entropy)
    return peer(fn, tensors_of(arrays, argnums))
