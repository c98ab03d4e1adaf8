"""The loop takes the steps asked for, stops at a bad one, and keeps the best parameters."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.models import MLP, MLPConfig
from xentjax.train import (
    NonFiniteLossError,
    SkippedStepWarning,
    Totals,
    TrainState,
    cross_entropy,
    make_evaluate,
    make_step,
    padded_batches,
    train_loop,
)
from xentjax.train.calls import call_lengths

RNG = np.random.default_rng(0)
ROWS = {
    "features": RNG.normal(size=(8, 4)).astype(np.float32),
    "labels": RNG.integers(0, 3, 8).astype(np.int32),
}
STEP = make_step(cross_entropy(), optax.sgd(0.5), learning_rate=0.5)


def make_state():
    model = MLP(MLPConfig(in_features=4, hidden_features=(), classes=3), rngs=nnx.Rngs(0))
    return TrainState.create(model, optax.sgd(0.5), key=jax.random.key(0))


def test_a_fit_lowers_the_loss_and_records_it():
    evaluate = make_evaluate(cross_entropy())
    padded = padded_batches(ROWS, batch_size=8)
    seen, ticks = [], itertools.count()
    result = train_loop(
        make_state(),
        STEP,
        itertools.repeat(ROWS),
        steps=20,
        steps_per_call=5,
        validate=lambda state: evaluate(state, padded),
        validate_every=10,
        on_record=seen.append,
        clock=lambda: float(next(ticks)),
    )
    assert seen == list(result.records)
    validations = [record for record in seen if record.split == "validation"]
    assert [record.step for record in validations] == [0, 10, 20]
    assert [record.step for record in seen if record.split == "train"] == [5, 10, 15, 20]
    assert validations[2].loss_nats < validations[1].loss_nats < validations[0].loss_nats
    assert (validations[0].learning_rate, validations[1].learning_rate) == (None, 0.5)
    assert seen[-1].items == 20 * 8
    assert seen[-1].seconds > seen[0].seconds > 0
    assert result.reason == "all steps taken"
    assert set(seen[0].to_metrics()) == {
        "step",
        "split",
        "loss_nats",
        "accuracy",
        "learning_rate",
        "seconds",
        "items",
        "grad_norm",
        "skipped",
    }


def test_the_best_parameters_are_those_of_the_best_validation():
    losses = iter([3.0, 1.0, 2.0])
    snapshots = []

    def validate(state):
        snapshots.append(jax.tree.map(np.array, state.params))
        return Totals(loss=next(losses), weight=1.0)

    result = train_loop(
        make_state(),
        STEP,
        itertools.repeat(ROWS),
        steps=4,
        steps_per_call=2,
        validate=validate,
        validate_every=2,
    )
    assert (result.best_step, result.best_validation_nats) == (2, 1.0)
    for name, snapshot in (("best", snapshots[1]), ("state", snapshots[2])):
        ours = jax.tree.leaves(getattr(result, name).params)
        for leaf, wanted in zip(ours, jax.tree.leaves(snapshot), strict=True):
            np.testing.assert_array_equal(leaf, wanted)


def test_the_state_passed_in_stays_usable():
    state = make_state()
    result = train_loop(state, STEP, itertools.repeat(ROWS), steps=2, steps_per_call=2)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    assert (int(state.step), int(result.state.step), result.best_step) == (0, 2, 2)


@pytest.mark.parametrize(
    "spoilt",
    [
        {**ROWS, "features": np.where(np.arange(8) == 3, np.nan, ROWS["features"].T).T},
        {**ROWS, "labels": np.full(8, 3, np.int32)},
    ],
    ids=["nan feature", "label outside the classes"],
)
def test_a_bad_batch_is_skipped_and_named(spoilt):
    batches = [ROWS] * 6 + [spoilt] + [ROWS] * 5
    with pytest.warns(SkippedStepWarning, match="step 7 was skipped: loss nan.* batch 7"):
        result = train_loop(make_state(), STEP, batches, steps=12, steps_per_call=4)
    assert [record.skipped for record in result.records] == [0, 1, 0]
    # As if the batch had not been there.
    without = train_loop(make_state(), STEP, [ROWS] * 11, steps=11, steps_per_call=4)
    jax.tree.map(np.testing.assert_allclose, result.state.params, without.state.params)


def test_too_many_bad_batches_in_a_row_stop_training_with_the_last_good_state():
    spoilt = {**ROWS, "labels": np.full(8, 3, np.int32)}
    batches = [ROWS] * 3 + [spoilt] + [ROWS] + [spoilt] * 7
    with (
        pytest.warns(SkippedStepWarning),
        pytest.raises(
            NonFiniteLossError, match=r"stopped at step 6: loss nan.* 2 steps after"
        ) as e,
    ):
        train_loop(make_state(), STEP, batches, steps=12, steps_per_call=4, max_skips=3)
    assert e.value.step == 6
    np.testing.assert_array_equal(e.value.batch["labels"], spoilt["labels"])
    good = train_loop(make_state(), STEP, [ROWS] * 4, steps=4, steps_per_call=4)
    jax.tree.map(np.testing.assert_allclose, e.value.state.params, good.state.params)


def test_a_bad_validation_stops_training():
    with pytest.raises(NonFiniteLossError, match="step 0: validation loss nan"):
        train_loop(
            make_state(),
            STEP,
            [ROWS],
            steps=1,
            validate=lambda _: Totals(float("nan"), 1.0),
        )


def test_batches_that_end_too_soon_are_an_error():
    with pytest.raises(ValueError, match="ended after 3 of 4 steps"):
        train_loop(make_state(), STEP, [ROWS] * 3, steps=4, steps_per_call=2)


def test_a_validation_in_which_nothing_counts_is_refused():
    with pytest.raises(ValueError, match="validation holds nothing that counts"):
        train_loop(make_state(), STEP, [ROWS], steps=1, validate=lambda _: Totals())


@pytest.mark.parametrize("name", ["steps", "steps_per_call", "max_skips"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        train_loop(make_state(), STEP, [ROWS], **{"steps": 1, "steps_per_call": 1, name: 0})


@pytest.mark.parametrize(
    ("steps", "per_call", "every"), [(10, 4, 5), (1, 10, 3), (23, 10, 7), (20, 5, 10)]
)
def test_calls_add_up_and_end_at_every_validation(steps, per_call, every):
    lengths = call_lengths(0, steps, per_call, [every])
    ends = set(np.cumsum(lengths).tolist())
    assert max(lengths) <= per_call
    assert {*range(every, steps, every), steps} <= ends
    assert max(ends) == steps


def test_accuracy_is_unknown_where_nobody_counted():
    def objective(model, batch, _):
        return jnp.sum(model(batch["features"])), jnp.float32(8), {}

    step = make_step(objective, optax.sgd(0.1), learning_rate=0.1)
    result = train_loop(make_state(), step, [ROWS], steps=1)
    assert result.records[0].accuracy is None
