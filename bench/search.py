"""A sweep beside two plain Python loops: one compiles each configuration, one compiles once.

Each contestant trains the same configurations of a small MLP on the digits (learning rate and
weight decay drawn, all else equal) and validates them. All compile anew in every round. The loop
that compiles each configuration is timed on a few of them and scaled up, for its programs are all
alike. What compilation takes of it is in the note.

The learning-rate finder is timed beside an ordinary training of as many steps, its floor.
"""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from bench.alternation import Samplers, alternate
from bench.contest import FLOOR, OURS, PEER, Contest, Role
from bench.effort import Effort
from bench.heat import Heat
from bench.lineup import DisagreementError
from xentjax.data import batches, load_digits, stratified_split
from xentjax.models import MLP, MLPConfig
from xentjax.optim import adamw
from xentjax.search.finder import lr_find
from xentjax.search.space import LogUniform, random_search
from xentjax.search.sweeping import sweep
from xentjax.search.trials import Trial
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
TRIALS, STEPS, TIMED, ROUNDS = 32, 200, 2, 3
SWEEP, ONCE, EACH = "sweep", "a loop that compiles once", "a loop that compiles each"
FINDER, TRAINING = "lr_find", "training"

Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one contestant took in one round.

    Attributes:
        compile_seconds: tracing included.
        run_seconds: the rest: initialization, steps, validation, the way to and from Python.
        nats: validation losses: the best of a sweep, of each trial of a loop, none of the finder.
    """

    compile_seconds: float
    run_seconds: float
    nats: tuple[float, ...] = ()

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


Contestants = Mapping[str, tuple[Role, Callable[[], Cost]]]


def heats(effort: Effort) -> Iterator[Heat]:
    del effort  # `hold` gets its own
    case = f"{TRIALS} trials of {STEPS} steps"
    yield Heat("hyperparameter search", case, partial(hold, searches))
    yield Heat("learning-rate finder", f"{FINDER_STEPS} steps", partial(hold, finders))


def searches() -> Contestants:
    job = load_job(TRIALS, STEPS)
    return {
        SWEEP: (OURS, partial(run_sweep, job)),
        ONCE: (PEER, partial(run_loop_once, job)),
        EACH: (PEER, partial(run_loop_each, job, TIMED)),
    }


def finders() -> Contestants:
    job = load_job(TRIALS, STEPS)
    return {
        FINDER: (OURS, partial(run_finder, job)),
        TRAINING: (FLOOR, partial(run_training, job)),
    }


def hold(make: Callable[[], Contestants], heat: Heat, effort: Effort) -> Contest:
    """Seconds from first to last, compilation included."""
    contestants = make()
    make_model()  # compiles the eager drawing of weights, which no contestant is to pay for
    checked = agreement({name: run() for name, (_, run) in contestants.items()})
    compiling: dict[str, list[float]] = {name: [] for name in contestants}

    def sampled(name: str, run: Callable[[], Cost]) -> float:
        cost = run()
        compiling[name].append(cost.compile_seconds)
        return cost.seconds

    samplers: Samplers = {
        name: (role, partial(sampled, name, run)) for name, (role, run) in contestants.items()
    }
    entries = alternate(samplers, effort.rounds or (3 if effort.full else 1) * ROUNDS)
    medians = {name: statistics.median(seconds) for name, seconds in compiling.items()}
    shares = [f"{name} {median:.2f} s" for name, median in medians.items() if median]
    note = f"compilation: {', '.join(shares)}" if shares else "compilation included"
    return Contest(heat.table, heat.case, entries, checked=checked, note=note)


def agreement(costs: Mapping[str, Cost]) -> str | None:
    """What was found equal.

    Raises:
        DisagreementError: losses differ by more than the rounding of a training.
    """
    if SWEEP not in costs:
        return None
    each = costs[ONCE].nats
    differences = [abs(costs[SWEEP].nats[0] / min(each) - 1)]
    differences += [abs(a / b - 1) for a, b in zip(costs[EACH].nats, each, strict=False)]
    if not max(differences) < 1e-3:
        raise DisagreementError(f"validation losses differ by {max(differences):.1e}")
    return f"validation losses differ by at most {max(differences):.1e}"


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
        (result.best.validation_nats,),
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
    return Cost(program.compile_seconds, seconds - program.compile_seconds, tuple(losses))


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
    return Cost(scale * compiling, scale * (seconds - compiling), tuple(losses))


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
