"""The training step: a pure function of (state, batches), compiled once, that donates its state.

Several optimizer steps run in one call by `jax.lax.scan`, because for small models the way from
Python into the compiled program costs more than the step itself. The model is merged from plain
arrays inside the compiled function; no nnx transform runs in the hot loop.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from xentjax.train.state import TrainState

Batch: TypeAlias = Mapping[str, Any]
Metrics: TypeAlias = dict[str, Any]
ApplyLoss: TypeAlias = Callable[[Any, Batch, Any], tuple[Any, Any, Mapping[str, Any]]]
Step: TypeAlias = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


class NonFiniteLossError(ValueError):
    """The loss or its gradient stopped being a finite number; the message names the step."""


def make_step(
    apply_loss: ApplyLoss,
    optimizer: optax.GradientTransformation,
    *,
    learning_rate: Callable[[Any], Any] | float,
) -> Step:
    """Compile `(state, batches) → (state, metrics)`: one optimizer step for each stacked batch.

    Each step takes the gradient of total / weight, so the loss is the mean over what the batch
    weighs, and a batch that weighs nothing moves nothing by its gradient.

    Args:
        apply_loss: `(model, batch, key) → (total, weight, sums)`, any callable: `total` is the sum
            of weighted losses in nats, `weight` the sum of weights, `sums` a dict of further sums
            to carry along, such as `correct` and `count`.
        optimizer: an optax optimizer.
        learning_rate: the schedule (step → value) or the constant that `optimizer` was made with;
            it is only reported here.

    Returns:
        A jitted function. `batches` is a dict of arrays [steps, …]: `stack_batches` makes one. The
        state passed in is donated. The metrics are arrays [steps] of sums and counts, `loss_total`
        and `loss_weight` and the caller's, with `grad_norm` (before any clipping) and
        `learning_rate`. A new number of steps compiles anew.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from flax import nnx
        >>> model = nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0))
        >>> model.kernel[...] = jnp.ones((1, 1))
        >>> def apply_loss(model, batch, key):
        ...     return jnp.sum(model(batch["x"])), jnp.float32(2.0), {}
        >>> step = make_step(apply_loss, optax.sgd(0.1), learning_rate=0.1)
        >>> state = TrainState.create(model, optax.sgd(0.1), key=jax.random.key(0))
        >>> state, metrics = step(state, {"x": jnp.ones((3, 2, 1))})  # 3 steps of 2 examples
        >>> [round(float(total), 3) for total in metrics["loss_total"]]  # w falls by 0.1 a step
        [2.0, 1.8, 1.6]
    """
    with_value = optax.with_extra_args_support(optimizer)

    def one_step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(state.key, state.step)

        def objective(params: Any) -> tuple[Any, tuple[Any, Any]]:
            # copy: the model's counters change inside this trace, and may only do so on objects
            # that were made inside it.
            model = nnx.merge(state.graphdef, params, state.rest, copy=True)
            model.train()
            total, weight, sums = apply_loss(model, batch, key)
            metrics = {"loss_total": total, "loss_weight": weight, **sums}
            rest = nnx.split(model, nnx.Param, ...)[2]
            return total / jnp.where(weight == 0, 1, weight), (metrics, rest)

        (loss, (metrics, rest)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = with_value.update(grads, state.opt_state, state.params, value=loss)
        rate = learning_rate(state.step) if callable(learning_rate) else learning_rate
        metrics |= {
            "grad_norm": optax.tree.norm(grads),
            "learning_rate": jnp.asarray(rate, jnp.float32),
        }
        params: Any = optax.apply_updates(state.params, updates)
        new = dataclasses.replace(
            state, step=state.step + 1, params=params, opt_state=opt_state, rest=rest
        )
        return new, metrics

    def step(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
        return jax.lax.scan(one_step, state, batches)

    return jax.jit(step, donate_argnums=0)


def stack_batches(batches: Sequence[Batch]) -> dict[str, np.ndarray]:
    """Stack batches of equal shapes into one dict of arrays [steps, …] for a step's scan.

    Example:
        >>> stack_batches([{"x": [1, 2]}, {"x": [3, 4]}])["x"].tolist()
        [[1, 2], [3, 4]]
    """
    if not batches:
        raise ValueError("batches: got none, wanted at least one to stack")
    shapes = {name: {np.shape(batch[name]) for batch in batches} for name in batches[0]}
    for name, found in shapes.items():
        if len(found) > 1:
            raise ValueError(
                f"batches[{name!r}]: got shapes {sorted(found)}, wanted one shape to stack; drop "
                "the short last batch (drop_remainder=True) or pad it (padded_batches)"
            )
    return {name: np.stack([np.asarray(batch[name]) for batch in batches]) for name in shapes}


def check_finite(metrics: Metrics, *, first_step: int) -> None:
    """Raise if any step of a call had a loss or a gradient that is not a finite number.

    Args:
        metrics: what a step returned, arrays [steps] already on the host.
        first_step: the number of the call's first step, counting from 1.

    Raises:
        NonFiniteLossError: naming the first such step.
    """
    weight = np.asarray(metrics["loss_weight"], np.float64)
    loss = np.asarray(metrics["loss_total"], np.float64) / np.where(weight == 0, 1, weight)
    bad = np.flatnonzero(~np.isfinite(loss) | ~np.isfinite(metrics["grad_norm"]))
    if bad.size:
        at = bad[0]
        raise NonFiniteLossError(
            f"training stopped at step {first_step + at}: loss {loss[at]:.4g} nats, gradient norm "
            f"{metrics['grad_norm'][at]:.4g}, learning rate {metrics['learning_rate'][at]:.3g}. "
            "Look for a label outside [0, classes), for NaN or infinity in that batch, then for "
            "a learning rate that is too high"
        )
