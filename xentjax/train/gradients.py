"""The gradient of the mean loss of a batch, whole or in micro-batches.

A batch that does not fit in memory is cut up, and the totals, the weights and the gradients of the
totals are added: divided once at the end they are those of the whole batch. A mean of means would
be another number as soon as the micro-batches differ in what they weigh.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from xentjax.train.objectives import Batch, Objective
from xentjax.train.state import TrainState


def mean_gradients(
    objective: Objective,
    state: TrainState,
    params: Any,
    batch: Batch,
    *,
    accumulate: int = 1,
    penalty: Callable[[Any], Any] | None = None,
) -> tuple[tuple[Any, tuple[dict[str, Any], Any]], Any]:
    """The mean loss, with the penalty, and its gradient at `params`.

    Args:
        objective: `(model, batch, key) → (total, weight, sums)`.
        state: gives the rest, the key and the step; its own parameters are not used.
        params: where to take the gradient.
        batch: arrays [B, …].
        accumulate: micro-batches to cut it into.
        penalty: parameters → nats.

    Returns:
        ((mean loss, (metrics, rest)), gradient), as `jax.value_and_grad` with `has_aux` does: the
        metrics are sums over the batch, the rest is the model's after it.

    Raises:
        ValueError: if accumulate does not divide B.
    """
    key = jax.random.fold_in(state.key, state.step)
    if accumulate > 1:
        return _accumulated(objective, state, params, batch, key, accumulate, penalty)

    def mean(params: Any) -> tuple[Any, Any]:
        total, kept = _total(objective, state, params, state.rest, batch, key)
        loss = total / _divisor(kept[0])
        return (loss if penalty is None else loss + penalty(params)), kept

    return jax.value_and_grad(mean, has_aux=True)(params)


def _accumulated(
    objective: Objective,
    state: TrainState,
    params: Any,
    batch: Batch,
    key: Any,
    accumulate: int,
    penalty: Callable[[Any], Any] | None,
) -> Any:
    total_and_gradient = jax.value_and_grad(
        functools.partial(_total, objective, state), has_aux=True
    )

    def add(carry: Any, part: Any) -> tuple[Any, None]:
        rest, *sums = carry
        (_, (metrics, rest)), grads = total_and_gradient(params, rest, *part)
        return (rest, *jax.tree.map(jnp.add, sums, [metrics, grads])), None

    parts = _micro_batches(batch, accumulate), jax.random.split(key, accumulate)
    first = jax.tree.map(lambda array: array[0], parts)
    shapes = jax.eval_shape(functools.partial(_total, objective, state), params, state.rest, *first)
    metrics = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes[1][0])
    # Gradients of 16-bit parameters are added up in float32, and rounded once.
    grads = jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.promote_types(p, jnp.float32)), params)
    (rest, metrics, grads), _ = jax.lax.scan(add, (state.rest, metrics, grads), parts)
    divisor = _divisor(metrics)
    loss = metrics["loss_total"] / divisor
    grads = jax.tree.map(lambda g, p: (g / divisor).astype(p.dtype), grads, params)
    if penalty is not None:
        cost, slope = jax.value_and_grad(penalty)(params)
        loss, grads = loss + cost, jax.tree.map(jnp.add, grads, slope)
    return (loss, (metrics, rest)), grads


def _total(
    objective: Objective, state: TrainState, params: Any, rest: Any, batch: Batch, key: Any
) -> tuple[Any, tuple[dict[str, Any], Any]]:
    model = state.architecture.merge(params, rest, training=True, key=key)
    total, weight, sums = objective(model, batch, key)
    metrics = {"loss_total": total, "loss_weight": weight, **sums}
    return total, (metrics, state.architecture.rest_of(model))


def _divisor(metrics: dict[str, Any]) -> Any:
    """The weight, or 1 where nothing weighs anything: the total is 0 then."""
    return jnp.where(metrics["loss_weight"] == 0, 1, metrics["loss_weight"])


def _micro_batches(batch: Batch, accumulate: int) -> dict[str, Any]:
    sizes = {name: array.shape[0] for name, array in batch.items()}
    if any(size % accumulate for size in sizes.values()):
        raise ValueError(
            f"accumulate = {accumulate} must divide the batch, got {sizes}; choose a batch size "
            "that is a multiple of it"
        )
    # Micro-batch i takes every accumulate-th example, so that a batch shared by several devices
    # is cut on each of them and nothing has to move.
    return {
        name: jnp.swapaxes(
            array.reshape(array.shape[0] // accumulate, accumulate, *array.shape[1:]), 0, 1
        )
        for name, array in batch.items()
    }
