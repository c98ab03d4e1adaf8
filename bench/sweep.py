"""A sweep beside two plain Python loops: one compiles each configuration, one compiles once.

Run `python -m bench.sweep`. Each contestant trains the same configurations of a small MLP on the
digits (learning rate and weight decay drawn, all else equal) and validates them. All compile anew
in every round, and compilation and running are told apart. The loop that compiles each
configuration is timed on a few of them and scaled up, for its programs are all alike.

What to expect: on two CPU cores the sweep runs no faster than the loop that compiles once, and its
program is larger, for it also draws the weights (the loops draw theirs outside, already compiled):
the loop that compiles once is the fastest here. The gain over the usual loop is one compilation in
place of many; running side by side pays on an accelerator that one small model leaves idle.

The learning-rate finder is timed beside an ordinary training of as many steps.
"""

import argparse
import dataclasses
import functools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from xentjax.data import batches, load_digits, stratified_split
from xentjax.models import MLP, MLPConfig
from xentjax.optim import adamw
from xentjax.search.finder import lr_find
from xentjax.search.space import LogUniform, random_search
from xentjax.search.sweeping import sweep
from xentjax.search.trials import Trial
from xentjax.timing import Environment
from xentjax.train import (
    Totals,
    TrainState,
    cross_entropy,
    make_step,
    make_update,
    padded_batches,
    stack_batches,
)

CONFIG = MLPConfig(in_features=64, hidden_features=(32,))
SPACE = {"rate": LogUniform(1e-3, 1e-1), "decay": LogUniform(1e-4, 1e-1)}
BATCH_SIZE, FINDER_STEPS = 64, 100
SWEEP, ONCE, EACH = "sweep", "compile once", "compile each"
FINDER, TRAINING = "lr_find", "training"

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one contestant took in one round.

    Attributes:
        compile_seconds: tracing included.
        run_seconds: the rest: initialization, steps, validation, the way to and from Python.
        best_nats: the best validation loss, the same for all but for rounding; None for the finder.
    """

    compile_seconds: float
    run_seconds: float
    best_nats: float | None = None

    @property
    def seconds(self) -> float:
        """From first to last."""
        return self.compile_seconds + self.run_seconds


@dataclasses.dataclass(frozen=True)
class Job:
    """The work: the rows, the configurations and how long each is trained."""

    train: Arrays
    held_out: Arrays
    trials: Sequence[Mapping[str, Any]]
    steps: int

    @functools.cached_property
    def batches(self) -> Arrays:
        """[steps, B, …], the same for all configurations."""
        source = batches(self.train, batch_size=BATCH_SIZE, seed=0)
        return stack_batches([next(source) for _ in range(self.steps)])

    @functools.cached_property
    def validation(self) -> Arrays:
        """[K, B, …], padded and masked."""
        return stack_batches(padded_batches(self.held_out, batch_size=BATCH_SIZE))


def load_job(trials: int, steps: int) -> Job:
    digits = load_digits()
    parts = stratified_split(digits.labels, seed=0)
    train, held_out = (
        {"features": digits.features[rows], "labels": digits.labels[rows]}
        for rows in (parts.train, parts.validation)
    )
    return Job(train, held_out, random_search(SPACE, trials, seed=0), steps)


def make_model() -> MLP:
    return MLP(CONFIG, rngs=nnx.Rngs(0))


def run_sweep(job: Job) -> Cost:
    def trial(h: Mapping[str, Any]) -> Trial:
        model = MLP(CONFIG, rngs=nnx.Rngs(jax.random.key(h["seed"])))
        return Trial(model, adamw(h["rate"], weight_decay=h["decay"]))

    result = sweep(
        trial,
        job.train,
        SPACE,
        validation=job.held_out,
        steps=job.steps,
        batch_size=BATCH_SIZE,
        trials=job.trials,
    )
    # Drawing the batches and making the best state count as running.
    return Cost(
        result.compile_seconds,
        result.seconds - result.compile_seconds,
        result.best.validation_nats,
    )


def run_loop_once(job: Job) -> Cost:
    """The hyperparameters are arguments of one program for one trial."""
    objective = cross_entropy()

    def train(params: Any, rest: Any, rate: Any, decay: Any, rows: Any, validation: Any) -> Any:
        rule = adamw(rate, weight_decay=decay)
        state = dataclasses.replace(template, params=params, rest=rest, opt_state=rule.init(params))
        state, _ = jax.lax.scan(make_update(objective, rule), state, rows)
        return _validate(objective, state, validation)

    template = TrainState.create(make_model(), adamw(1e-3), key=jax.random.key(0))
    data = jax.device_put((job.batches, job.validation))
    program = Program(jax.jit(train))
    began, losses = time.perf_counter(), []
    for h in job.trials:
        rate, decay = jnp.float32(h["rate"]), jnp.float32(h["decay"])
        fresh = template.copy()
        losses.append(_nats(program(fresh.params, fresh.rest, rate, decay, *data)))
    seconds = time.perf_counter() - began
    return Cost(program.compile_seconds, seconds - program.compile_seconds, min(losses))


def run_loop_each(job: Job, timed: int) -> Cost:
    """The usual loop: each configuration makes its own step and evaluation, and compiles both."""
    objective = cross_entropy()
    data = jax.device_put((job.batches, job.validation))
    began, losses, compiling = time.perf_counter(), [], 0.0
    for h in job.trials[:timed]:
        rule = adamw(h["rate"], weight_decay=h["decay"])
        state = TrainState.create(make_model(), rule, key=jax.random.key(0))
        step = Program(make_step(objective, rule))
        score = Program(jax.jit(functools.partial(_validate, objective)))
        state, _ = step(state, data[0])
        losses.append(_nats(score(state, data[1])))
        compiling += step.compile_seconds + score.compile_seconds
    seconds, scale = time.perf_counter() - began, len(job.trials) / timed
    return Cost(scale * compiling, scale * (seconds - compiling), min(losses))


def run_finder(job: Job) -> Cost:
    began = time.perf_counter()
    # high is low enough that the test takes all its steps.
    curve = lr_find(make_model(), job.train, high=0.05, steps=FINDER_STEPS, batch_size=BATCH_SIZE)
    assert len(curve.rates) == FINDER_STEPS, f"the finder stopped early: {curve.notes}"
    return Cost(0.0, time.perf_counter() - began)


def run_training(job: Job) -> Cost:
    """As many steps of the same optimizer in calls of ten, as the finder takes them."""
    began = time.perf_counter()
    rule = adamw(1e-3)
    state = TrainState.create(make_model(), rule, key=jax.random.key(0))
    step = make_step(cross_entropy(), rule)
    source = batches(job.train, batch_size=BATCH_SIZE, seed=0)
    for _ in range(FINDER_STEPS // 10):
        state, metrics = step(state, stack_batches([next(source) for _ in range(10)]))
        jax.device_get(metrics)
    return Cost(0.0, time.perf_counter() - began)


class Program:
    """A jitted function that compiles on its first call and says how long that took."""

    def __init__(self, jitted: Any) -> None:
        self.jitted, self.compiled, self.compile_seconds = jitted, None, 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Calls it, compiled for the arguments of the first call."""
        if self.compiled is None:
            began = time.perf_counter()
            self.compiled = self.jitted.lower(*arguments).compile()
            self.compile_seconds = time.perf_counter() - began
        return self.compiled(*arguments)


def _validate(objective: Any, state: TrainState, validation: Any) -> dict[str, Any]:
    model = state.architecture.merge(state.params, state.rest, training=False, key=state.key)

    def score(batch: dict[str, Any]) -> dict[str, Any]:
        total, weight, sums = objective(model, batch, state.key)
        return {"loss_total": total, "loss_weight": weight, **sums}

    return jax.lax.map(score, validation)


def _nats(metrics: Mapping[str, Any]) -> float:
    return Totals.from_metrics(jax.device_get(metrics)).loss_nats


def time_rounds(
    contestants: Mapping[str, Callable[[], Cost]], rounds: int, console: Console
) -> dict[str, list[Cost]]:
    """Every contestant once a round, each round beginning with another."""
    costs: dict[str, list[Cost]] = {name: [] for name in contestants}
    names = list(contestants)
    for number in range(rounds):
        console.print(f"[dim]round {number + 1} of {rounds} …[/dim]")
        first = number % len(names)
        for name in names[first:] + names[:first]:
            costs[name].append(contestants[name]())
    return costs


def cost_table(title: str, costs: Mapping[str, Sequence[Cost]], baseline: str) -> Table:
    """Medians over the rounds; the ratio is taken round by round, with its range."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)
    for column in ("", "compile s", "run s", "total s", f"× {baseline}", "range", "best nats"):
        table.add_column(column, justify="left" if not column else "right")
    for name, rounds in costs.items():
        parts = [
            [getattr(cost, part) for cost in rounds]
            for part in ("compile_seconds", "run_seconds", "seconds")
        ]
        ratios = [a.seconds / b.seconds for a, b in zip(rounds, costs[baseline], strict=True)]
        nats = rounds[-1].best_nats
        table.add_row(
            name,
            *(f"{np.median(part):.2f}" for part in parts),
            f"{np.median(ratios):.2f}",
            f"{min(ratios):.2f}–{max(ratios):.2f}",
            "–" if nats is None else f"{nats:.4f}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=32, help="configurations (32)")
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps of each (200)")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (3)")
    parser.add_argument("--timed", type=int, default=2, help="of the loop that compiles each (2)")
    parser.add_argument("--json", type=Path, help="where the figures go, if anywhere")
    options, console = parser.parse_args(), Console()
    job = load_job(options.trials, options.steps)
    make_model()  # compiles the eager drawing of weights, which no contestant is to pay for
    environment = Environment.of(jnp.zeros(1), packages=("flax", "optax"))
    console.print(str(environment), highlight=False, markup=False)
    searches = {
        SWEEP: lambda: run_sweep(job),
        ONCE: lambda: run_loop_once(job),
        EACH: lambda: run_loop_each(job, min(options.timed, options.trials)),
    }
    finders = {FINDER: lambda: run_finder(job), TRAINING: lambda: run_training(job)}
    search_costs = time_rounds(searches, options.rounds, console)
    finder_costs = time_rounds(finders, options.rounds, console)
    title = f"{options.trials} trials of {options.steps} steps; {EACH}: {options.timed}, scaled up"
    console.print(cost_table(title, search_costs, ONCE))
    console.print(cost_table(f"{FINDER_STEPS} steps, compilation included", finder_costs, TRAINING))
    if options.json is not None:
        figures = {
            "environment": dataclasses.asdict(environment),
            "trials": options.trials,
            "steps": options.steps,
            "timed": options.timed,
            "costs": {
                name: [dataclasses.asdict(cost) for cost in rounds]
                for name, rounds in {**search_costs, **finder_costs}.items()
            },
        }
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
