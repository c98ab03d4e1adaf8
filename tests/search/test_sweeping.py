"""A sweep gives each trial the numbers it has alone, in one program a static group."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.data.batches import batches
from xentjax.losses.regression import squared_error
from xentjax.models import MLP, MLPConfig
from xentjax.models.dropout import set_dropout_rate
from xentjax.optim import adamw
from xentjax.search.halving import Halving
from xentjax.search.space import Choice, Integer, LogUniform, Uniform, random_search
from xentjax.search.sweeping import sweep
from xentjax.search.trials import Trial
from xentjax.train import (
    TrainState,
    cross_entropy,
    from_apply,
    make_evaluate,
    make_step,
    padded_batches,
    supervised,
    train_loop,
)

ONES = {"x": np.ones(4, np.float32), "labels": np.ones(4, np.float32)}
EPS = float(np.finfo(np.float32).eps)


def quadratic(h):
    """(w − 1)² from w = 0: a step of η multiplies the distance by 1 − 2η."""
    model = from_apply(lambda w, x: w * x, jnp.float32(0.0))
    return Trial(model, optax.sgd(h["rate"]), supervised(squared_error))


def run_quadratic(space, trial=quadratic, steps=6, **options):
    return sweep(trial, ONES, space, validation=ONES, steps=steps, batch_size=4, **options)


RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(90, 5)).astype(np.float32)
LABELS = np.argmax(FEATURES[:, :3] + 0.3 * RNG.normal(size=(90, 3)), axis=1).astype(np.int32)
TRAIN = {"features": FEATURES[:64], "labels": LABELS[:64]}
HELD_OUT = {"features": FEATURES[64:], "labels": LABELS[64:]}  # 26 rows: batches of 16 and 10
CONFIG = MLPConfig(in_features=5, hidden_features=(6,), classes=3, dropout=0.1)
SPACE = {
    "rate": LogUniform(3e-3, 0.1),
    "decay": LogUniform(1e-4, 0.1),
    "b1": Uniform(0.8, 0.95),
    "dropout": Uniform(0.05, 0.5),
    "smoothing": Uniform(0.0, 0.2),
    "seed": Integer(0, 99),
}
STEPS = 24


def mlp(h):
    model = MLP(CONFIG, rngs=nnx.Rngs(jax.random.key(h["seed"])))
    set_dropout_rate(model, h["dropout"])
    optimizer = adamw(h["rate"], b1=h["b1"], weight_decay=h["decay"])
    return Trial(model, optimizer, cross_entropy(label_smoothing=h["smoothing"]))


def run_mlp(trials, **options):
    return sweep(
        mlp, TRAIN, SPACE, validation=HELD_OUT, steps=STEPS, batch_size=16, trials=trials, **options
    )


@pytest.fixture(scope="module")
def swept():
    return run_mlp(5)


def test_the_losses_of_gradient_descent_on_a_quadratic_are_the_closed_form():
    rates = [0.05, 0.2, 0.5, 0.9, 1.1]
    result = run_quadratic({"rate": rates})
    assert result.best.hyperparameters["rate"] == 0.5
    for row in result.rows:
        distance = (1 - 2 * row.hyperparameters["rate"]) ** 6
        # Each of 6 steps rounds w, whose size is below 4, a few times.
        assert abs(row.validation_nats - distance**2) < 2 * abs(distance) * 6 * 16 * EPS + EPS**2
        # An epoch is one step: its loss was taken before the last update.
        before = (1 - 2 * row.hyperparameters["rate"]) ** 10
        np.testing.assert_allclose(row.train_nats, before, rtol=1e-4, atol=EPS)
    losses = [row.validation_nats for row in result.rows]
    assert losses == sorted(losses)
    assert result.programs == 1


def test_a_trial_alone_gives_the_number_that_it_gives_among_others(swept, report_figure):
    row = swept.rows[1]
    alone = run_mlp([row.hyperparameters]).best
    report_figure(f"alone minus among others: {alone.validation_nats - row.validation_nats}")
    # A few roundings a step of losses near 1.
    assert abs(alone.validation_nats - row.validation_nats) <= STEPS * EPS
    assert abs(alone.train_nats - row.train_nats) <= STEPS * EPS
    assert alone.accuracy == row.accuracy


def test_a_trial_is_the_training_of_make_step_and_train_loop_on_the_same_batches(swept):
    h = swept.best.hyperparameters
    made = mlp({name: jnp.asarray(value) for name, value in h.items()})
    state = TrainState.create(made.model, made.optimizer, key=jax.random.key(h["seed"]))
    evaluate = make_evaluate(made.objective)
    padded = padded_batches(HELD_OUT, batch_size=16)
    fitted = train_loop(
        state,
        make_step(made.objective, made.optimizer),
        batches(TRAIN, batch_size=16, seed=h["seed"]),
        steps=STEPS,
        steps_per_call=STEPS,
    )
    ours, theirs = swept.best, evaluate(fitted.state, padded)
    # Other orders of summation: a few roundings a step, which Adam's division may amplify.
    assert abs(ours.validation_nats - theirs.loss_nats) <= 64 * STEPS * EPS
    assert ours.accuracy == theirs.accuracy
    assert theirs.count == len(HELD_OUT["labels"])
    again = evaluate(swept.best_state, padded)
    assert abs(again.loss_nats - ours.validation_nats) <= 16 * EPS
    assert int(swept.best_state.step) == STEPS


def test_the_same_seed_draws_the_same_trials_and_another_one_others(swept):
    drawn = {row.number: row.hyperparameters for row in swept.rows}
    assert [drawn[number] for number in range(5)] == random_search(SPACE, 5, seed=0)
    assert random_search(SPACE, 5, seed=1) != random_search(SPACE, 5, seed=0)


def test_each_static_group_is_traced_and_compiled_once_and_all_are_ranked_together():
    traced = []

    def trial(h):
        if isinstance(h["rate"], jax.core.Tracer):
            traced.append((h["name"], h["width"]))
        rate = h["rate"] * (1.0 if h["name"] == "slow" else 2.0)
        model = from_apply(lambda w, x: jnp.mean(w) * x, jnp.zeros(h["width"]))
        return Trial(model, optax.sgd(rate * h["width"]), supervised(squared_error))

    space = {
        "name": ["slow", "fast"],
        "rate": [0.1, 0.25, 0.3],
        "width": Choice((1, 2), static=True),
    }
    result = run_quadratic(space, trial)
    assert len(result.rows) == 12
    assert result.programs == len(result.groups) == 4
    # The function is called for the initialization and for the steps of each program.
    assert sorted(traced) == sorted(2 * list(itertools.product(["slow", "fast"], [1, 2])))
    # η = 0.5 is best: 2 · 0.25.
    assert {(r.hyperparameters["name"], r.hyperparameters["rate"]) for r in result.rows[:2]} == {
        ("fast", 0.25)
    }


def test_a_memory_budget_cuts_the_trials_into_calls_of_one_program():
    rates = np.linspace(0.05, 0.45, 9).tolist()

    def wide(h):
        model = from_apply(lambda w, x: jnp.mean(w) * x, jnp.zeros(20_000))
        return Trial(model, optax.sgd(h["rate"] * 20_000), supervised(squared_error))

    whole = run_quadratic({"rate": rates}, wide)
    calls = []
    budget = whole.groups[0].bytes // 2
    cut = run_quadratic({"rate": rates}, wide, memory_budget=budget, on_rows=calls.append)
    assert cut.groups[0].bytes <= budget
    sizes = [len(rows) for rows in calls]
    assert sum(sizes) == 9
    assert sizes[0] == cut.groups[0].chunk < 9
    assert len(sizes) > 1
    for ours, theirs in zip(cut.rows, whole.rows, strict=True):
        assert ours.number == theirs.number
        np.testing.assert_allclose(ours.validation_nats, theirs.validation_nats, rtol=1e-4)


def test_halving_trains_on_the_best_from_where_they_stood():
    rates = [0.02, 0.04, 0.06, 0.1, 0.12, 0.15, 0.2, 0.25, 1e30]
    halving = Halving(factor=3, min_steps=2)
    space = {"rate": rates, "name": ["a", "b"]}
    result = run_quadratic(space, steps=18, halving=halving)
    assert [row.steps for row in result.rows] == [18] * 2 + [6] * 4 + [2] * 12
    assert [row.rung for row in result.rows] == [2] * 2 + [1] * 4 + [0] * 12
    # Of 18 trials 6 go on, of these 2; both static groups are compared together.
    assert [row.hyperparameters["rate"] for row in result.rows[:6]] == [0.25] * 2 + [0.2] * 2 + [
        0.15
    ] * 2
    for row in result.rows[:-2]:
        distance = (1 - 2 * row.hyperparameters["rate"]) ** row.steps
        assert abs(row.validation_nats - distance**2) < 2 * distance * row.steps * 16 * EPS + EPS**2
    assert {row.hyperparameters["rate"] for row in result.rows[-2:]} == {1e30}
    assert result.best_state is not None
    assert int(result.best_state.step) == 18


@pytest.mark.slow
def test_a_trial_that_halving_lets_go_on_ends_as_if_it_had_never_stopped(swept):
    # Dropout's keys and Adam's moments go on with it.
    result = run_mlp(5, halving=Halving(factor=2, min_steps=8))
    whole = {row.number: row for row in swept.rows}
    finished = [row for row in result.rows if row.steps == STEPS]
    assert len(finished) == 2
    for row in finished:
        assert abs(row.validation_nats - whole[row.number].validation_nats) <= STEPS * EPS
    assert [row.steps for row in result.rows[2:]] == [8] * 3


def test_what_diverges_is_marked_and_ranks_last():
    result = run_quadratic({"rate": [1e30, 0.1, 1e25]})
    assert [row.diverged for row in result.rows] == [False, True, True]
    assert result.rows[0].hyperparameters["rate"] == 0.1
    assert result.rows[0].skipped == 0
    assert result.rows[1].skipped >= 3
    lost = run_quadratic({"rate": [1e30]})
    assert lost.best_state is None
    with pytest.raises(ValueError, match="all 1 trials diverged"):
        _ = lost.best


def test_without_a_seed_in_the_space_all_trials_share_the_sweeps(swept):
    result = run_quadratic({"rate": [0.1, 0.2]}, seed=7)
    assert {row.hyperparameters["seed"] for row in result.rows} == {7}
    assert len({row.hyperparameters["seed"] for row in swept.rows}) > 1


def needs_a_number(h):
    return quadratic(h | {"rate": 0.1 if h["rate"] > 0.1 else 0.2})


def needs_an_integer(h):
    return Trial(from_apply(lambda w, x: w[0] * x, jnp.zeros(h["width"])), optax.sgd(0.1))


@pytest.mark.parametrize(
    ("space", "options", "error", "message"),
    [
        ({"rate": [0.1]}, {"trial": needs_a_number}, TypeError, "needs the value of a hyperpar"),
        ({"width": [1, 2]}, {"trial": needs_an_integer}, TypeError, r"traced, one of \[.*'width'"),
        ({"rate": [0.1]}, {"trial": lambda h: h}, TypeError, "must return a Trial"),
        ({"rate": [0.1]}, {"steps": 0}, ValueError, "steps must be at least 1, got 0"),
        ({"rate": [0.1]}, {"seed": -1}, ValueError, r"seed must lie in \[0, 2\^31\), got -1"),
        ({"rate": [0.1]}, {"trials": []}, ValueError, "trials must hold at least one"),
        ({"rate": [0.1]}, {"trials": [{"rat": 0.1}]}, ValueError, "value to each of"),
        ({"rate": [0.1]}, {"memory_budget": 10}, ValueError, "memory_budget must hold one trial"),
    ],
)
def test_what_cannot_be_trained_is_refused(space, options, error, message):
    with pytest.raises(error, match=message):
        run_quadratic(space, **options)


def test_validation_of_other_arrays_and_too_large_batches_are_refused():
    with pytest.raises(ValueError, match="validation must hold the same arrays as data"):
        sweep(quadratic, ONES, {"rate": [0.1]}, validation={"y": ONES["x"]}, steps=1, batch_size=4)
    with pytest.raises(ValueError, match="batch_size 5 exceeds the 4 examples"):
        sweep(quadratic, ONES, {"rate": [0.1]}, validation=ONES, steps=1, batch_size=5)
