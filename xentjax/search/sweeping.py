"""The sweep: many trainings in one compiled, vmapped program a combination of static values.

Prefer it to a loop over `fit` for small models, and wherever compiling takes longer than training.
On an accelerator that one small model cannot fill, the trials also run side by side; on a CPU
they take about as long as one after the other.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from xentjax.search.chunks import ChunkCompiler
from xentjax.search.halving import Halving
from xentjax.search.space import Dimension, Hyperparameters, Space, dimensions, grid, random_search
from xentjax.search.static_group import StaticGroup
from xentjax.search.sweep_result import SweepResult, SweepRow, ranked
from xentjax.search.trials import (
    MakeTrial,
    create_state,
    make_run,
    resume_state,
    share_rows,
    traced_values,
)
from xentjax.train.state import TrainState


def sweep(
    trial: MakeTrial,
    data: Mapping[str, np.ndarray],
    space: Space,
    *,
    validation: Mapping[str, np.ndarray],
    steps: int,
    batch_size: int,
    trials: int | Sequence[Hyperparameters] | None = None,
    seed: int = 0,
    halving: Halving | None = None,
    memory_budget: int | None = None,
    on_rows: Callable[[Sequence[SweepRow]], None] | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> SweepResult:
    """Train every configuration of a space and rank them by validation loss.

    A trial is the training that `make_step` does on `xentjax.data.batches(data, batch_size=…,
    seed=…)` from a `TrainState` with the key of the same seed, and no other trial changes its
    numbers beyond rounding: alone it gives the same.

    Args:
        trial: `trial(h) → Trial(model, optimizer, objective)`, a pure function of the
            hyperparameters h. Traced ones are traced scalars: hand them on
            (`optim.adamw(h["rate"])`, `set_dropout_rate(model, h["dropout"])`,
            `cross_entropy(label_smoothing=h["smooth"])`) and do not branch on them. h["seed"] is
            always there; `rngs=nnx.Rngs(jax.random.key(h["seed"]))` draws weights by it.
        data: training rows, name → [N, …] with `labels`.
        space: name → `LogUniform`, `Uniform`, `Integer`, `Choice` or a list of values.
        validation: validation rows of the same names; all of them count, once.
        steps: optimizer steps of a trial.
        batch_size: rows in a batch, of training and validation.
        trials: how many to draw at random; None for the whole grid, where the space is all lists;
            or the configurations themselves.
        seed: of the random draws, and of every trial unless the space has a `seed` of its own: then
            all trials see the same weights and batches, and differ by their hyperparameters only.
        halving: stop the worse trials early. The states of all that are left then stay on the
            device between rungs, besides the budget.
        memory_budget: bytes that a call may take, shared rows included; more trials than fit are
            trained in several calls of one program. None trains a group at once.
        on_rows: called after each call with the rows of its trials, as they are by then.
        clock: seconds.

    Returns:
        The rows, best first, the state of the best trial and what was compiled.

    Raises:
        ValueError: for a space, a configuration, data or a budget that cannot be.
        TypeError: if the trial function returns no `Trial`, or needs the value of a traced
            hyperparameter.

    Example:
        >>> import jax.numpy as jnp
        >>> from xentjax import optim
        >>> from xentjax.train import from_apply, supervised
        >>> from xentjax.search.trials import Trial
        >>> from xentjax.losses.regression import squared_error
        >>> rows = {"x": np.ones(4, np.float32), "labels": np.ones(4, np.float32)}
        >>> def trial(h):  # loss (w − 1)² from w = 0: a step of η leaves (1 − 2η)²
        ...     model = from_apply(lambda w, x: w * x, jnp.float32(0.0))
        ...     return Trial(model, optim.sgd(h["rate"]), supervised(squared_error))
        >>> result = sweep(
        ...     trial, rows, {"rate": [0.25, 0.5, 1.0]}, validation=rows, steps=1, batch_size=4
        ... )
        >>> [(row.hyperparameters["rate"], row.validation_nats) for row in result.rows]
        [(0.5, 0.0), (0.25, 0.25), (1.0, 1.0)]
    """
    began, axes = clock(), dimensions(space)
    configurations = _configurations(space, axes, trials, seed)
    axes |= {} if "seed" in axes else dimensions({"seed": [seed]})
    _check_data(data, validation, steps)
    _check_ends(trial, axes, configurations)
    seeds = list(dict.fromkeys(each["seed"] for each in configurations))
    rows = share_rows(data, validation, seeds=seeds, steps=steps, batch_size=batch_size)
    epoch = len(next(iter(data.values()))) // batch_size
    groups = []
    for static, numbers in _static_groups(axes, configurations):
        run = make_run(trial, static, epoch=epoch)
        members = {number: configurations[number] for number in numbers}
        compiler = ChunkCompiler(run, memory_budget, clock)
        groups.append(StaticGroup(static, members, axes, seeds, rows, compiler, clock))
    table = ranked(_climb(groups, halving, steps, on_rows or (lambda _: None)))
    return SweepResult(
        rows=table,
        groups=tuple(group.report() for group in groups),
        seconds=clock() - began,
        best_state=_best_state(trial, axes, groups, table[0]),
    )


def _climb(
    groups: Sequence[StaticGroup],
    halving: Halving | None,
    steps: int,
    on_rows: Callable[[Sequence[SweepRow]], None],
) -> list[SweepRow]:
    """Train all groups from rung to rung; the last row of every trial."""
    rungs = halving.rungs(steps) if halving else [steps]
    rows: dict[int, SweepRow] = {}
    live = [number for group in groups for number in group.members]
    for rung, (first, last) in enumerate(itertools.pairwise([0, *rungs])):
        for group in groups:
            numbers = [number for number in group.members if number in live]
            for new in group.train(numbers, first, last, rung=rung, keep=last < steps):
                rows |= {row.number: row for row in new}
                on_rows(new)
        if halving and last < steps:
            losses = {n: math.nan if rows[n].diverged else rows[n].validation_nats for n in live}
            live = halving.survivors(losses)
    return list(rows.values())


def _best_state(
    trial: MakeTrial, axes: Mapping[str, Dimension], groups: Sequence[StaticGroup], row: SweepRow
) -> TrainState | None:
    """The state of the best trial, with an architecture made outside of any trace.

    None where it was not kept: where all diverged, or all that went on to a further rung.
    """
    if row.diverged:
        return None
    kept = [group.best[1] for group in groups if group.best and group.best[0] == row]
    if not kept:
        return None
    traced = {k: jnp.asarray(v[0]) for k, v in traced_values(axes, [row.hyperparameters]).items()}
    _, state = create_state(trial, {**row.hyperparameters, **traced})
    return resume_state(state, kept[0])


def _static_groups(
    axes: Mapping[str, Dimension], configurations: Sequence[Hyperparameters]
) -> list[tuple[dict[str, Any], list[int]]]:
    """Static values and the numbers of the trials that share them; values need not be hashable."""
    names = [name for name, axis in axes.items() if axis.static]
    groups: list[tuple[dict[str, Any], list[int]]] = []
    for number, configuration in enumerate(configurations):
        static = {name: configuration[name] for name in names}
        same = next((numbers for known, numbers in groups if known == static), None)
        if same is None:
            groups.append((static, [number]))
        else:
            same.append(number)
    return groups


def _configurations(
    space: Space,
    axes: Mapping[str, Dimension],
    trials: int | Sequence[Hyperparameters] | None,
    seed: int,
) -> list[dict[str, Any]]:
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed must lie in [0, 2^31), got {seed}")
    if trials is None:
        drawn = grid(space)
    elif isinstance(trials, Sequence):
        drawn = [dict(each) for each in trials]
    else:
        drawn = random_search(space, trials, seed=seed)
    for each in drawn:
        if set(each) - {"seed"} != set(axes) - {"seed"} or ("seed" in axes and "seed" not in each):
            raise ValueError(
                f"trials must give a value to each of {list(axes)}, got {each}; name it in the "
                "space, or leave it out of both"
            )
    if not drawn:
        raise ValueError("trials must hold at least one configuration, got none")
    return [{"seed": seed, **each} if "seed" not in each else each for each in drawn]


def _check_ends(
    trial: MakeTrial, axes: Mapping[str, Dimension], configurations: Sequence[Hyperparameters]
) -> None:
    """Calls the trial function with the lowest and the highest numbers, known and not traced.

    The checks of optimizers and losses see no traced value: a negative learning rate would train.
    """
    for choose in (min, max):
        ends = {}
        for name in configurations[0]:
            values = [each[name] for each in configurations]
            traced = name in axes and not axes[name].static
            ends[name] = choose(values) if traced else values[0]
        jax.eval_shape(lambda h=ends: [None, trial(h)][0])


def _check_data(
    data: Mapping[str, np.ndarray], validation: Mapping[str, np.ndarray], steps: int
) -> None:
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    optional = {"where", "weights"}
    if set(data) - optional != set(validation) - optional:
        raise ValueError(
            f"validation must hold the same arrays as data, {sorted(data)}, got "
            f"{sorted(validation)}"
        )
    if "where" in validation and not np.any(validation["where"]):
        raise ValueError("validation holds nothing that counts: `where` masks every row")
