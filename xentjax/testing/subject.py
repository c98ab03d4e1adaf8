"""The loss under examination, its example, and the random cotangents and directions to try."""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.testing.point import Point, pull_back
from xentjax.testing.program import Programs, compile_programs


@dataclass(frozen=True, eq=False)
class Subject:
    """A loss bound to an example, as every clause sees it."""

    loss: Callable[..., Any]
    programs: Programs
    example: Point
    event_dims: int
    keywords: frozenset[str]
    seed: int
    devices: tuple[jax.Device, ...]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The shape of the per-example losses."""
        shape = self.example.logits.shape
        return shape[: len(shape) - self.event_dims]

    @property
    def event_size(self) -> int:
        """How many numbers of the logits one example consumes."""
        shape = self.example.logits.shape
        return int(np.prod(shape[len(shape) - self.event_dims :]))

    def pull_back_both_ways(self, point: Point, u: np.ndarray, **options: Any) -> dict[str, Any]:
        """Losses and gradients at a point, eager and jitted, under the words for a message.

        XLA turns 0·x into a select where it sees a mask, so jit alone would hide a NaN.
        """
        inputs = point.arrays()
        return {
            "eager": pull_back(self.loss, point.argnums, inputs, u, **options),
            "jitted": self.programs.pull_back(inputs, u, **options),
        }

    def cotangent(self) -> np.ndarray:
        """A random weight of either sign for each example, exact in float32 and float64."""
        rng = np.random.default_rng(self.seed)
        return rng.standard_normal(self.batch_shape).astype(np.float32)

    def example_weights(self) -> np.ndarray:
        """Weights for the examples, in random order: 0, 1.5 and what lies evenly between."""
        rng = np.random.default_rng((self.seed, 3))
        size = int(np.prod(self.batch_shape))
        # Their mean is not 1, or a mean that divides by the count would pass for weighted.
        spread = np.linspace(0, 1.5, size, dtype=np.float32)
        return rng.permutation(spread).reshape(self.batch_shape)

    def directions(self, count: int) -> list[np.ndarray]:
        """Random directions for the differentiated inputs as one vector, largest entry 1."""
        rng = np.random.default_rng((self.seed, 1))
        size = sum(self.example.inputs[i].size for i in self.example.argnums)
        draws = [rng.standard_normal(size).astype(np.float32) for _ in range(count)]
        return [v / np.abs(v).max() for v in draws]


def read_subject(
    loss: Any,
    example_inputs: Any,
    *,
    argnums: tuple[int, ...],
    event_dims: int,
    keywords: Collection[str] | None,
    seed: int,
    devices: Collection[jax.Device] | None,
) -> Subject:
    """Checks what the user passed and binds it; raises TypeError or ValueError that say why."""
    if not callable(loss):
        raise TypeError(f"loss must be callable as loss(*example_inputs), got {type(loss)}")
    inputs = _read_inputs(example_inputs)
    _check_argnums(argnums, inputs)
    _check_batch(inputs, argnums[0], event_dims)
    example = Point("the example inputs", inputs, argnums)
    _check_losses(loss, example)
    return Subject(
        loss=loss,
        programs=compile_programs(loss, argnums),
        example=example,
        event_dims=event_dims,
        keywords=_keywords_of(loss) if keywords is None else frozenset(keywords),
        seed=seed,
        devices=tuple(jax.devices() if devices is None else devices),
    )


def _read_inputs(example_inputs: Any) -> tuple[np.ndarray, ...]:
    if not isinstance(example_inputs, tuple) or not example_inputs:
        kind = type(example_inputs).__name__
        got = "an empty tuple" if isinstance(example_inputs, tuple) else kind
        raise TypeError(
            "example_inputs must be a tuple of arrays such as (logits, labels), "
            f"got {got}; write (logits,) for a single input"
        )
    arrays = tuple(np.asarray(x) for x in example_inputs)
    floats = tuple(jnp.issubdtype(x.dtype, jnp.floating) for x in arrays)
    return tuple(
        x.astype(np.float32) if is_float else x for x, is_float in zip(arrays, floats, strict=True)
    )


def _check_argnums(argnums: tuple[int, ...], inputs: tuple[np.ndarray, ...]) -> None:
    if not argnums or any(not 0 <= i < len(inputs) for i in argnums):
        raise ValueError(
            f"argnums must be positions in example_inputs, 0 to {len(inputs) - 1}, got {argnums}"
        )
    for i in argnums:
        if inputs[i].dtype != np.float32:
            raise TypeError(
                f"example_inputs[{i}] is differentiated and must be floating point, got "
                f"{inputs[i].dtype}; convert it, or name other positions with argnums"
            )
        if not np.isfinite(inputs[i]).all():
            raise ValueError(
                f"example_inputs[{i}] must be finite; the contract puts in −inf and NaN by itself"
            )


def _check_batch(inputs: tuple[np.ndarray, ...], position: int, event_dims: int) -> None:
    shape = inputs[position].shape
    if not 0 <= event_dims < len(shape):
        raise ValueError(
            f"event_dims must leave a batch axis of the logits {shape}, got {event_dims}; it "
            "counts the trailing axes one example consumes: 1 for a class axis, 0 if elementwise"
        )
    if shape[0] < 2:
        raise ValueError(
            f"example_inputs[{position}] needs two examples or more on its leading axis, so that "
            f"one can be masked; got shape {shape}"
        )
    for i, x in enumerate(inputs):
        if x.shape[:1] != shape[:1]:
            raise ValueError(
                f"every example input must have the {shape[0]} examples on its leading axis, but "
                f"example_inputs[{i}] has shape {x.shape}; bind options with functools.partial"
            )


def _check_losses(loss: Callable[..., Any], example: Point) -> None:
    """Refuses examples the loss itself cannot take: every clause would only compare NaN to NaN."""
    try:
        leaves = jax.tree.leaves(loss(*example.arrays()))
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"the loss raises on the example inputs: {type(error).__name__}: {first_line}; the "
            "contract needs valid examples"
        ) from error
    for losses in leaves:
        if not jnp.issubdtype(jnp.result_type(losses), jnp.inexact):
            continue
        bad = np.argwhere(~np.isfinite(np.asarray(losses)))
        if len(bad):
            index = tuple(int(i) for i in bad[0])
            place = f": example {index[0] if len(index) == 1 else index}" if index else ""
            raise ValueError(
                f"the loss is not finite on the example inputs{place}; the contract needs valid "
                "examples (labels in range, nothing padded or ignored)"
            )


def _keywords_of(loss: Callable[..., Any]) -> frozenset[str]:
    tail = frozenset({"where", "weights", "reduction"})
    try:
        parameters = inspect.signature(loss).parameters
    except (TypeError, ValueError):  # some compiled callables have no signature
        return frozenset()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return tail
    return tail.intersection(parameters)
