"""Small networks on the digits, one for each seed and learning rate, all in one program a loss."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xentjax.data import load_digits

CLASSES, WIDTH, BATCH = 10, 64, 64
STEPS, CHECKPOINTS = 2000, 20
RATES = (5e-4, 2e-3, 1e-2)
TRAIN, VALIDATION, TEST = 100, 24, 50  # images of each class; the rarest digit has 174
_FEATURES = 64
_COSINE_FLOOR = 1e-6

# What a loss may know of its seed besides the batch: the class counts, a noise matrix.
Context: TypeAlias = Mapping[str, Any]
# (logits, labels, context) → the mean loss of a batch.
Objective: TypeAlias = Callable[[jax.Array, jax.Array, Context], jax.Array]


class Part(NamedTuple):
    """Images [S, n, F] and labels [S, n], the rows of each seed its own."""

    features: np.ndarray
    labels: np.ndarray


class Task(NamedTuple):
    """What all losses of one experiment are trained and judged on."""

    train: Part
    validation: Part
    test: Part
    context: Context  # leaves [S, …]


class Outputs(NamedTuple):
    """Logits [S, rates, checkpoints, n, C] on the three parts."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def balanced_splits(seeds: int) -> list[Part]:
    """Train, validation and test with equally many of each class, drawn anew for each seed."""
    digits = load_digits()
    sizes = (TRAIN, VALIDATION, TEST)
    rows = [[[], [], []] for _ in range(seeds)]
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        for label in range(CLASSES):
            drawn = rng.permutation(np.flatnonzero(digits.labels == label))
            parts = np.split(drawn[: sum(sizes)], np.cumsum(sizes)[:-1])
            for own, part in zip(rows[seed], parts, strict=True):
                own.extend(part)
    order = np.array([[np.asarray(part) for part in own] for own in rows], dtype=object)
    picked = [np.stack(list(order[:, i])).astype(np.int64) for i in range(3)]
    return [Part(digits.features[index], digits.labels[index]) for index in picked]


def trained(objective: Objective, task: Task, *, cosine: bool = False) -> Outputs:
    """Trains the same initial weights on the same batches, whatever the loss.

    Args:
        objective: what is minimised.
        task: the data, one row a seed.
        cosine: logits are cosines of the normalised hidden state and class vectors.
    """
    seeds = jnp.arange(task.train.labels.shape[0])
    return Outputs(*jax.device_get(_program(objective, cosine)(seeds, jnp.array(RATES), *task)))


@functools.cache
def _program(objective: Objective, cosine: bool) -> Callable[..., Any]:
    """Kept, so that experiments of the same shapes share one compilation."""

    def run(seed, rate, train, validation, test, context):
        return _run(objective, cosine, seed, rate, (train, validation, test), context)

    over_rates = jax.vmap(run, (None, 0, None, None, None, None))
    return jax.jit(jax.vmap(over_rates, (0, None, 0, 0, 0, 0)))


def _run(objective, cosine, seed, rate, parts, context):
    optimizer = optax.adam(rate)
    weights = _initial_weights(jax.random.key(seed))
    (features, labels), draws = parts[0], jax.random.key(seed + 1_000_000)

    def loss(weights, rows):
        return objective(_logits(weights, features[rows], cosine), labels[rows], context)

    def step(carry, number):
        weights, state = carry
        key = jax.random.fold_in(draws, number)
        rows = jax.random.randint(key, (BATCH,), 0, labels.shape[0])
        updates, state = optimizer.update(jax.grad(loss)(weights, rows), state)
        return (optax.apply_updates(weights, updates), state), None

    def segment(carry, numbers):
        carry, _ = jax.lax.scan(step, carry, numbers)
        return carry, tuple(_logits(carry[0], part.features, cosine) for part in parts)

    numbers = jnp.arange(STEPS).reshape(CHECKPOINTS, -1)
    _, outputs = jax.lax.scan(segment, (weights, optimizer.init(weights)), numbers)
    return outputs


def _initial_weights(key):
    first, second = jax.random.split(key)
    return {
        "hidden": jax.random.normal(first, (_FEATURES, WIDTH)) * (2 / _FEATURES) ** 0.5,
        "bias": jnp.zeros(WIDTH),
        "head": jax.random.normal(second, (WIDTH, CLASSES)) * (1 / WIDTH) ** 0.5,
        "head_bias": jnp.zeros(CLASSES),
    }


def _logits(weights, features, cosine):
    hidden = jax.nn.relu(features @ weights["hidden"] + weights["bias"][None])
    if cosine:
        return _normalised(hidden, 1) @ _normalised(weights["head"], 0)
    return hidden @ weights["head"] + weights["head_bias"][None]


def _normalised(x, axis):
    return x / jnp.sqrt(jnp.sum(x * x, axis, keepdims=True) + _COSINE_FLOOR)
