"""Ten training steps of one model by several loops: each a function without arguments.

A run goes on where the last one ended and returns the losses of its steps, so that equal losses
show equal forward passes, gradients and updates.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from xentjax.train import TrainState, cross_entropy, make_step

LEARNING_RATE, BETAS, DECAY = 1e-3, (0.9, 0.99), 0.1

Run: TypeAlias = Callable[[], list[float]]
# "labels" and what the model reads, "tokens" or "features", each [steps, B, …].
Arrays: TypeAlias = dict[str, np.ndarray]


def adamw() -> optax.GradientTransformation:
    return optax.adamw(LEARNING_RATE, b1=BETAS[0], b2=BETAS[1], weight_decay=DECAY)


def weights_of(model: nnx.Module) -> dict[str, jax.Array]:
    """Name → array of every parameter, such as `blocks.0.attention.qkv.kernel`."""
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): variable[...] for path, variable in flat}


def xentjax_run(model: nnx.Module, data: Arrays) -> Run:
    """`make_step`: a scan of all steps in one call, the state donated."""
    optimizer = adamw()
    step = make_step(cross_entropy(), optimizer, learning_rate=LEARNING_RATE)
    state = TrainState.create(model, optimizer, key=jax.random.key(0))
    batches = {name: jax.device_put(array) for name, array in data.items()}

    def run() -> list[float]:
        nonlocal state
        state, metrics = step(state, batches)
        return np.asarray(metrics["loss_total"] / metrics["loss_weight"]).tolist()

    return run


def nnx_run(model: Any, data: Arrays) -> Run:
    """The loop of flax's own tutorials: a jitted step of model and optimizer, called by Python."""
    model.train()
    optimizer = nnx.Optimizer(model, adamw(), wrt=nnx.Param)
    inputs = next(array for name, array in data.items() if name != "labels")
    batches = [
        tuple(map(jax.device_put, pair)) for pair in zip(inputs, data["labels"], strict=True)
    ]

    def loss_of(model: Any, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        return optax.softmax_cross_entropy_with_integer_labels(model(inputs), labels).mean()

    @nnx.jit
    def step(model: Any, optimizer: Any, inputs: jax.Array, labels: jax.Array) -> jax.Array:
        loss, grads = nnx.value_and_grad(loss_of)(model, inputs, labels)
        optimizer.update(model, grads)
        return loss

    def run() -> list[float]:
        losses = [step(model, optimizer, *batch) for batch in batches]
        return np.asarray(jnp.stack(losses)).tolist()

    return run
