"""The training step: a pure function of (state, batch), and its compiled scan.

`make_update` gives one optimizer step to use anywhere, under vmap too; `make_step` compiles several
into one call that donates its state, because for small models the way from Python into the compiled
program costs more than the step itself. The model is merged from plain arrays inside the compiled
function; no nnx transform runs in the hot loop.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from xentjax.optim import extra_arguments
from xentjax.optim import update as call_optimizer
from xentjax.train.gradients import mean_gradients
from xentjax.train.objectives import Batch, Objective
from xentjax.train.state import TrainState

Metrics: TypeAlias = dict[str, Any]
Step: TypeAlias = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]


def make_update(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    learning_rate: Callable[[Any], Any] | Any = None,
    accumulate: int = 1,
    penalty: Callable[[Any], Any] | None = None,
) -> Step:
    """Make `(state, batch) → (state, metrics)`: one optimizer step, a pure function.

    The gradient is that of Σ total / Σ weight over the micro-batches, plus the penalty. Where the
    loss, the gradient or the update is not finite, the parameters, the optimizer and the rest keep
    what they were, and only the step moves on.

    Args:
        objective: `(model, batch, key) → (total, weight, sums)`, any callable: `total` is the sum
            of weighted losses in nats, `weight` the sum of weights, `sums` a dict of further sums
            to carry along, such as `correct` and `count`.
        optimizer: any optax optimizer; it gets exactly the extra arguments that its update wants.
        learning_rate: the schedule (step → value) or the number that `optimizer` was made with;
            it is only reported.
        accumulate: micro-batches that a batch is cut into, one after the other in memory. The
            result is that of the whole batch, whatever the micro-batches weigh; batch statistics
            see one micro-batch after the other, and dropout draws anew for each.
        penalty: a function of the parameters, in nats, added to the mean loss (`optim.l1`, …); it
            is not part of `loss_total`.

    Returns:
        A function to jit, vmap or scan. Its metrics are scalars: `loss_total`, `loss_weight`, the
        caller's sums, `grad_norm` (before any clipping), `skipped` (0 or 1), and `learning_rate`
        where one was given.

    Raises:
        ValueError: if accumulate is below 1; when called, if it does not divide the batch.
    """
    if accumulate < 1:
        raise ValueError(f"accumulate must be at least 1, got {accumulate}")

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        def gradients(params: Any) -> tuple[tuple[Any, Any], Any]:
            return mean_gradients(
                objective, state, params, batch, accumulate=accumulate, penalty=penalty
            )

        (loss, (metrics, rest)), grads = gradients(state.params)
        updates, opt_state = call_optimizer(
            optimizer,
            extra_arguments(optimizer, state.params),
            grads,
            state.opt_state,
            state.params,
            value=loss,
            value_fn=lambda params, *_: gradients(params)[0][0],
            grad_fn=lambda params, *_: gradients(params)[1],
        )
        # In float32: of 16-bit gradients the squares overflow where the gradients do not.
        grad_norm = optax.tree.norm(optax.tree.cast(grads, jnp.float32))
        # The update too: some rules make NaN of a sound gradient (0/0 where a rate is 0).
        moved = optax.tree.norm(optax.tree.cast(updates, jnp.float32))
        finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm) & jnp.isfinite(moved)
        metrics |= {"grad_norm": grad_norm, "skipped": jnp.where(finite, 0, 1)}
        if learning_rate is not None:
            rate = learning_rate(state.step) if callable(learning_rate) else learning_rate
            metrics["learning_rate"] = jnp.asarray(rate, jnp.float32)
        new = (optax.apply_updates(state.params, updates), opt_state, rest)
        old = (state.params, state.opt_state, state.rest)
        params, opt_state, rest = jax.tree.map(lambda n, o: jnp.where(finite, n, o), new, old)
        new_state = dataclasses.replace(
            state, step=state.step + 1, params=params, opt_state=opt_state, rest=rest
        )
        return new_state, metrics

    return update


def make_step(
    objective: Objective,
    optimizer: optax.GradientTransformation,
    *,
    learning_rate: Callable[[Any], Any] | Any = None,
    accumulate: int = 1,
    penalty: Callable[[Any], Any] | None = None,
) -> Step:
    """Compile `(state, batches) → (state, metrics)`: one optimizer step for each stacked batch.

    Args:
        objective: as for `make_update`.
        optimizer: as for `make_update`.
        learning_rate: as for `make_update`.
        accumulate: as for `make_update`.
        penalty: as for `make_update`.

    Returns:
        A jitted function. `batches` is a dict of arrays [steps, …]: `stack_batches` makes one. The
        state passed in is donated. The metrics are those of `make_update` in arrays [steps]. A new
        number of steps compiles anew.

    Example:
        >>> import jax, jax.numpy as jnp, optax
        >>> from flax import nnx
        >>> model = nnx.Linear(1, 1, use_bias=False, rngs=nnx.Rngs(0))
        >>> model.kernel[...] = jnp.ones((1, 1))
        >>> def objective(model, batch, key):
        ...     return jnp.sum(model(batch["x"])), jnp.float32(2.0), {}
        >>> step = make_step(objective, optax.sgd(0.1))
        >>> state = TrainState.create(model, optax.sgd(0.1), key=jax.random.key(0))
        >>> state, metrics = step(state, {"x": jnp.ones((3, 2, 1))})  # 3 steps of 2 examples
        >>> [round(float(total), 3) for total in metrics["loss_total"]]  # w falls by 0.1 a step
        [2.0, 1.8, 1.6]
    """
    update = make_update(
        objective,
        optimizer,
        learning_rate=learning_rate,
        accumulate=accumulate,
        penalty=penalty,
    )

    def step(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
        _check_stacked(batches)
        return jax.lax.scan(update, state, dict(batches))

    return jax.jit(step, donate_argnums=0)


def _check_stacked(batches: Batch) -> None:
    """Refuses a single batch, whose examples would be taken for steps."""
    for name, array in batches.items():
        if array.ndim < 2:
            raise ValueError(
                f"batches[{name!r}] has shape {array.shape}, wanted [steps, B, …]: one batch for "
                "each step of the call; stack_batches([batch]) makes one step of a single batch"
            )


def stack_batches(batches: Sequence[Batch]) -> dict[str, np.ndarray]:
    """Stack batches of equal shapes into one dict of arrays [steps, …] for a step's scan.

    Args:
        batches: dicts of arrays, at least one.

    Raises:
        ValueError: if the shapes of an array differ, or it holds no numbers.

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
    stacked = {name: np.stack([np.asarray(batch[name]) for batch in batches]) for name in shapes}
    for name, array in stacked.items():
        if not (array.dtype.kind in "iufb" or jnp.issubdtype(array.dtype, jnp.floating)):
            raise ValueError(
                f"batches[{name!r}] holds {array.dtype}, wanted numbers; leave it out of the "
                "batches, or number it"
            )
    return stacked
