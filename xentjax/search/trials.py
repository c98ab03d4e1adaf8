"""Trials: one training as a pure function of its traced hyperparameters, and many of them vmapped.

Initialization, the steps and the exact validation are one program. Everything large is an argument
of it that all trials share: the rows, the orders of the batches, the validation batches.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import optax

from xentjax.data.batches import batches
from xentjax.search.space import Dimension, Hyperparameters, traced_dtype
from xentjax.train.evaluate import padded_batches
from xentjax.train.objectives import Objective, cross_entropy
from xentjax.train.state import TrainState
from xentjax.train.step import Metrics, make_update, stack_batches

# Skipped steps in a row at which a trial counts as diverged, as `train_loop` gives up by default.
MAX_SKIPS = 3

_NOT_CONCRETE = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one configuration trains; what a `sweep`'s trial function returns.

    Attributes:
        model: a flax.nnx module, or what `from_linen` or `from_apply` returned.
        optimizer: any optax optimizer.
        objective: `(model, batch, key) → (total, weight, sums)`, what is trained.
        evaluation: the same for the validation, by which trials are ranked; None for the one that
            is trained. A loss with smoothing ranks by smoothing: give `cross_entropy()` then.
    """

    model: Any
    optimizer: optax.GradientTransformation
    objective: Objective = dataclasses.field(default_factory=cross_entropy)
    evaluation: Objective | None = None


MakeTrial: TypeAlias = Callable[[Hyperparameters], Trial]


class Rows(NamedTuple):
    """What all trials share, on the device once.

    Attributes:
        arrays: the training rows, name → [N, …].
        orders: [seeds, steps, B] int32, which rows make each batch; 4 bytes an entry.
        validation: name → [K, B, …], padded and masked by `where`.
    """

    arrays: dict[str, Any]
    orders: Any
    validation: dict[str, Any]


class Tally(NamedTuple):
    """What the steps of a trial add up.

    Attributes:
        loss_total: Σ of weighted training losses of the last epoch, nats.
        loss_weight: Σ of their weights.
        skipped: steps skipped as not finite, of all steps.
        streak: skipped steps in a row, up to now.
        diverged: whether `MAX_SKIPS` in a row were skipped.
    """

    loss_total: Any
    loss_weight: Any
    skipped: Any
    streak: Any
    diverged: Any

    def of_step(self, metrics: Metrics, counted: Any) -> "Tally":
        """With one more step, whose loss counts if it was taken and belongs to the last epoch."""
        skipped = metrics["skipped"].astype(jnp.int32)
        streak = (self.streak + 1) * skipped
        counted = counted & (skipped == 0)
        return Tally(
            self.loss_total + jnp.where(counted, metrics["loss_total"], 0.0),
            self.loss_weight + jnp.where(counted, metrics["loss_weight"], 0.0),
            self.skipped + skipped,
            streak,
            self.diverged | (streak >= MAX_SKIPS),
        )


class Progress(NamedTuple):
    """The arrays of a trial that its steps change; its structure is made anew in each program."""

    step: Any
    params: Any
    opt_state: Any
    rest: Any
    tally: Tally


def share_rows(
    arrays: Mapping[str, np.ndarray],
    validation: Mapping[str, np.ndarray],
    *,
    seeds: Sequence[int],
    steps: int,
    batch_size: int,
) -> Rows:
    """Puts the data on the device, with the batches that `xentjax.data.batches` makes by each seed.

    Args:
        arrays: training rows, name → [N, …].
        validation: validation rows, of the same names.
        seeds: one order of batches each.
        steps: batches in each order.
        batch_size: B.
    """
    n = len(next(iter(arrays.values()))) if arrays else 0
    batches(arrays, batch_size=batch_size, seed=0)  # refuses what cannot be batched
    orders = np.empty((len(seeds), steps, batch_size), np.int32)
    for order, seed in zip(orders, seeds, strict=True):
        numbers = batches({"row": np.arange(n)}, batch_size=batch_size, seed=seed)
        for step in range(steps):
            order[step] = next(numbers)["row"]
    padded = stack_batches(padded_batches(validation, batch_size=batch_size))
    on_device = {name: jnp.asarray(array) for name, array in arrays.items()}
    return Rows(
        on_device, jnp.asarray(orders), {name: jnp.asarray(part) for name, part in padded.items()}
    )


def traced_values(
    axes: Mapping[str, Dimension], configurations: Sequence[Hyperparameters]
) -> dict[str, np.ndarray]:
    """The traced hyperparameters of some trials, name → [trials] of int32 or float32.

    The type follows from the space and not from the values, so that a trial alone computes with
    the same numbers as among others.
    """
    names = [name for name, axis in axes.items() if not axis.static]
    return {
        name: np.asarray([each[name] for each in configurations], traced_dtype(axes[name]))
        for name in names
    }


def make_trial(trial: MakeTrial, hyperparameters: Hyperparameters) -> Trial:
    """Calls the user's function and checks what it returned.

    Raises:
        TypeError: if it returned something else, or needs the value of a traced hyperparameter.
    """
    try:
        made = trial(hyperparameters)
    except (TypeError, *_NOT_CONCRETE) as error:
        # A traced shape is a plain TypeError in JAX.
        if not isinstance(error, _NOT_CONCRETE) and "concrete values" not in str(error):
            raise
        traced = [k for k, v in hyperparameters.items() if isinstance(v, jax.core.Tracer)]
        raise TypeError(
            f"trial needs the value of a hyperparameter that is traced, one of {traced}; mark it "
            "static, as in Choice((32, 64), static=True), or hand it on unread (a dropout rate by "
            "set_dropout_rate, a seed as nnx.Rngs(jax.random.key(seed)))"
        ) from error
    if not isinstance(made, Trial):
        raise TypeError(f"trial must return a Trial(model, optimizer), got {type(made).__name__}")
    return made


def create_state(trial: MakeTrial, hyperparameters: Hyperparameters) -> tuple[Trial, TrainState]:
    """The trial and its state before the first step; its key is that of its seed."""
    made = make_trial(trial, hyperparameters)
    key = jax.random.key(hyperparameters["seed"])
    return made, TrainState.create(made.model, made.optimizer, key=key)


def resume_state(state: TrainState, progress: Progress) -> TrainState:
    """A new state with the arrays of an older one of the same structure."""
    kept = progress._asdict()
    del kept["tally"]
    return dataclasses.replace(state, **kept)


def make_run(trial: MakeTrial, static: Hyperparameters, *, epoch: int) -> Callable[..., Any]:
    """Makes the program of one static group, over a leading axis of trials.

    Args:
        trial: the user's function.
        static: the group's static hyperparameters.
        epoch: steps in an epoch.

    Returns:
        `run(progress | None, traced, order, rows, first, last) → (progress, metrics)`: the steps
        first … last − 1 of each trial, from its initialization where the progress is None, and
        then its validation. `order` says which of the orders each trial takes. The metrics are
        [trials, K] sums. The numbers of steps are traced: all lengths share the compilation.
    """

    def begin(traced: Any) -> Progress:
        return _progress(create_state(trial, {**static, **traced})[1], _no_tally())

    def advance(
        progress: Progress, traced: Any, order: Any, rows: Rows, first: Any, last: Any
    ) -> tuple[Progress, Metrics]:
        # What is drawn here is not used, and XLA removes it.
        made, state = create_state(trial, {**static, **traced})
        state, update = resume_state(state, progress), make_update(made.objective, made.optimizer)
        # The losses of an earlier rung are not those of the last epoch.
        tally = progress.tally._replace(loss_total=jnp.float32(0), loss_weight=jnp.float32(0))

        def step(number: Any, carry: tuple[TrainState, Tally]) -> tuple[TrainState, Tally]:
            state, tally = carry
            taken = rows.orders[order, number]
            batch = {name: jnp.take(a, taken, axis=0) for name, a in rows.arrays.items()}
            state, metrics = update(state, batch)
            return state, tally.of_step(metrics, number >= last - epoch)

        state, tally = jax.lax.fori_loop(first, last, step, (state, tally))
        return _progress(state, tally), _validate(
            made.evaluation or made.objective, state, rows.validation
        )

    def run(progress: Progress | None, traced: Any, *arguments: Any) -> tuple[Progress, Metrics]:
        # One after the other: vmapped random draws take XLA three times as long to compile.
        begun: Any = jax.lax.map(begin, traced) if progress is None else progress
        vmapped = jax.vmap(advance, in_axes=(0, 0, 0, None, None, None))
        return vmapped(begun, traced, *arguments)

    return run


def _validate(objective: Objective, state: TrainState, validation: Mapping[str, Any]) -> Metrics:
    """The sums of each validation batch, as `make_evaluate` takes them."""
    params = state.evaluated().params
    model = state.architecture.merge(params, state.rest, training=False, key=state.key)

    def score(batch: dict[str, Any]) -> Metrics:
        total, weight, sums = objective(model, batch, state.key)
        return {"loss_total": total, "loss_weight": weight, **sums}

    return jax.lax.map(score, dict(validation))


def _progress(state: TrainState, tally: Tally) -> Progress:
    return Progress(state.step, state.params, state.opt_state, state.rest, tally)


def _no_tally() -> Tally:
    zero, none = jnp.float32(0), jnp.int32(0)
    return Tally(zero, zero, none, none, jnp.bool_(False))
