"""fit puts a training together in one line: every kind of data, rules, records, resumption."""

import json
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax import optim, squared_error
from xentjax.data import TokenWindows, batches
from xentjax.models import GPT, MLP, GPTConfig, MLPConfig
from xentjax.train import EarlyStopping, SkippedStepWarning, TargetLoss, fit, from_apply

RNG = np.random.default_rng(0)
CENTRES = RNG.normal(size=(3, 4)) * 2
LABELS = RNG.integers(0, 3, 96).astype(np.int32)
X = (CENTRES[LABELS] + RNG.normal(size=(96, 4))).astype(np.float32)
ROWS = {"x": X[:64], "labels": LABELS[:64]}
HELD_OUT = {"x": X[64:], "labels": LABELS[64:]}


def model(seed=0, **options):
    config = MLPConfig(in_features=4, hidden_features=(8,), classes=3, **options)
    return MLP(config, rngs=nnx.Rngs(seed))


def leaves(state):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(state.params)]


def same(one, other):
    return all((a == b).all() for a, b in zip(leaves(one), leaves(other), strict=True))


@pytest.mark.parametrize("kind", [pytest.param("dict", marks=pytest.mark.slow), "pair", "iterator"])
def test_any_form_of_the_same_data_gives_the_same_parameters(kind):
    data = {
        "dict": ROWS,
        "pair": (ROWS["x"], ROWS["labels"]),
        "iterator": batches(ROWS, batch_size=16, seed=0),
    }[kind]
    result = fit(model(), data, steps=8, batch_size=16, validation=HELD_OUT)
    wanted = fit(model(), ROWS, epochs=2, batch_size=16, validation=HELD_OUT)
    assert same(result.state, wanted.state)
    assert result.best_validation_nats == wanted.best_validation_nats
    assert result.reason == "all steps taken"


@pytest.mark.slow
def test_windows_of_tokens_are_trained_on_and_validated():
    tokens = np.tile(np.arange(5), 40)
    gpt = GPT(GPTConfig(vocab_size=5, block_size=8, layers=1, heads=2, width=16), rngs=nnx.Rngs(0))
    held_out = TokenWindows(tokens[:41], 8, stride=8)
    result = fit(
        gpt, TokenWindows(tokens, 8), steps=60, batch_size=8, schedule=0.01, validation=held_out
    )
    # The next of five tokens in a row is certain.
    assert result.best_validation_nats < 0.1 < result.records[0].loss_nats


def test_a_loss_of_ones_own_and_an_optax_optimizer_fit_a_line():
    x = RNG.normal(size=(32, 1)).astype(np.float32)
    data = {"x": x, "labels": (3 * x[:, 0] - 1)}
    line = from_apply(lambda p, x: x @ p["w"] + p["b"], {"w": jnp.zeros(1), "b": jnp.zeros(())})
    result = fit(line, data, loss=squared_error, optimizer=optax.sgd(0.2), steps=60, batch_size=32)
    np.testing.assert_allclose(result.state.params["w"], [3.0], atol=1e-3)
    np.testing.assert_allclose(result.state.params["b"], -1.0, atol=1e-3)


@pytest.mark.parametrize(
    "name", ["sam", "schedule_free", pytest.param("muon", marks=pytest.mark.slow)]
)
def test_optimizers_that_want_more_than_gradients_get_it(name):
    rule = optim.optimizer(name, 0.05)
    result = fit(model(), ROWS, optimizer=rule, steps=20, batch_size=64, validation=HELD_OUT)
    first = next(record for record in result.records if record.split == "validation")
    assert result.best_validation_nats < 0.7 * first.loss_nats


@pytest.mark.parametrize("name", optim.RATE_FREE)
def test_optimizers_that_find_their_rate_learn_with_the_default_schedule(name):
    result = fit(model(), ROWS, optimizer=name, steps=60, batch_size=64, validation=HELD_OUT)
    first = next(record for record in result.records if record.split == "validation")
    assert result.best_validation_nats < 0.9 * first.loss_nats


def test_averages_are_what_is_validated_and_returned():
    def make(rate):
        return optim.ema(optim.adam(rate), decay=0.9)

    result = fit(model(), ROWS, optimizer=make, schedule=0.05, steps=20, batch_size=64)
    averaged = optim.evaluation_params(result.state.opt_state, result.state.params)
    for ours, wanted in zip(leaves(result.best), jax.tree.leaves(averaged), strict=True):
        np.testing.assert_array_equal(ours, wanted)
    assert not same(result.best, result.state)
    x = jnp.asarray(X[:2])
    np.testing.assert_array_equal(result.best.to_model()(x), result.state.to_model()(x))


def test_rules_end_a_fit_and_say_why():
    result = fit(
        model(), ROWS, schedule=0.1, steps=500, batch_size=64, validation=HELD_OUT,
        validate_every=10, stop=[EarlyStopping(patience=3), TargetLoss(1e-6)],
    )  # fmt: skip
    assert result.reason.startswith("early stopping: 3 validations without improvement")
    assert int(result.state.step) == result.best_step + 30 < 500


def test_a_penalty_shrinks_what_it_is_of():
    plain, penalized = (
        fit(model(), ROWS, steps=40, batch_size=64, schedule=0.02, penalty=penalty).state
        for penalty in (None, optim.l1(0.05))
    )
    kernels = [jax.tree.leaves(s.params)[-1] for s in (plain, penalized)]
    assert float(jnp.abs(kernels[1]).sum()) < 0.8 * float(jnp.abs(kernels[0]).sum())


def test_a_few_batches_are_learnt_by_heart():
    result = fit(
        model(), ROWS, steps=150, batch_size=16, overfit_batches=1, schedule=0.05, optimizer="adam"
    )
    assert result.best_validation_nats < 0.02


def test_a_fast_dev_run_takes_three_steps_and_leaves_no_file(tmp_path):
    result = fit(
        model(), ROWS, steps=10_000, fast_dev_run=True, validation=HELD_OUT, directory=tmp_path
    )
    assert int(result.state.step) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_fit_goes_on_from_its_directory_bit_for_bit(tmp_path):
    options = {"batch_size": 16, "validation": HELD_OUT, "validate_every": 10, "schedule": 0.05}
    alone = fit(model(dropout=0.5), ROWS, steps=40, **options, directory=tmp_path / "alone")
    fit(model(dropout=0.5), ROWS, steps=20, **options, directory=tmp_path / "run")
    result = fit(
        model(dropout=0.5), ROWS, steps=40, **options, directory=tmp_path / "run", resume=True
    )
    assert same(alone.state, result.state)
    assert same(alone.best, result.best)
    assert alone.best_validation_nats == result.best_validation_nats
    lines = [
        [
            {k: v for k, v in json.loads(line).items() if k != "seconds"}
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        ]
        for name in ("alone", "run")
    ]
    assert lines[0] == lines[1]
    with pytest.raises(ValueError, match="holds a run that got to step 40; resume it"):
        fit(model(), ROWS, steps=40, **options, directory=tmp_path / "run")


def test_a_skipped_step_is_recorded(tmp_path):
    spoilt = {**ROWS, "x": ROWS["x"].copy()}
    spoilt["x"][3] = np.nan
    with pytest.warns(SkippedStepWarning):
        result = fit(model(), spoilt, steps=8, batch_size=16, directory=tmp_path)
    assert sum(record.skipped for record in result.records) == 2
    assert all(np.isfinite(leaf).all() for leaf in leaves(result.state))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give steps or epochs, one of the two, got None and None"),
        ({"steps": 1, "epochs": 1}, "give steps or epochs, one of the two, got 1 and 1"),
        ({"steps": 1, "resume": True}, "resume wants the directory"),
        ({"steps": 1, "loss": squared_error, "objective": lambda *_: None}, "not both"),
        ({"steps": 1, "optimizer": optax.sgd(0.1), "schedule": 0.1}, "leave schedule out"),
        ({"steps": 1, "optimizer": "adamm"}, "did you mean 'adam'"),
        ({"steps": 1, "overfit_batches": 0}, "overfit_batches must be at least 1"),
        ({"steps": 1, "batch_size": 65}, "batch_size 65 exceeds the 64 examples"),
        ({"steps": 1, "stop": EarlyStopping()}, "EarlyStopping.* wants a validation"),
        ({"steps": 1, "stop": [TargetLoss(0.1)]}, "TargetLoss.* wants a validation"),
        ({"steps": 1, "validation": []}, "validation must hold at least one batch"),
        ({"steps": 1, "validation": iter([])}, "validation: got an iterator"),
        ({"steps": 1, "validate_every": 0}, "every must be at least 1, got 0"),
        ({"steps": 1, "shard": "nonsense"}, "want a mesh"),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fit(model(), ROWS, **options)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([X, LABELS], TypeError, "got a list of arrays, wanted a dict of arrays, a pair"),
        (X, TypeError, "got a ndarray, wanted a dict of arrays"),
        ({"x": X, "labels": np.array(["a"] * 96)}, ValueError, "labels must be numbers, got <U1"),
        ({"x": X, "y": X, "labels": LABELS}, ValueError, "the model's input is not clear"),
    ],
)
def test_data_of_another_kind_are_refused(data, error, message):
    with pytest.raises(error, match=message):
        fit(model(), data, steps=1)


def test_distributions_as_labels_are_trained_on_and_validated():
    soft = np.eye(3, dtype=np.float32)[LABELS]
    options = {"steps": 4, "batch_size": 16}
    hard = fit(model(), ROWS, validation=HELD_OUT, **options)
    result = fit(
        model(),
        {"x": X[:64], "labels": soft[:64]},
        validation={"x": X[64:], "labels": soft[64:]},
        **options,
    )
    np.testing.assert_allclose(result.best_validation_nats, hard.best_validation_nats, rtol=1e-5)
    assert result.records[-1].items == hard.records[-1].items == 64


@pytest.mark.slow
def test_a_loader_with_a_length_is_begun_again():
    loader = [{"x": X[i : i + 16], "labels": LABELS[i : i + 16]} for i in range(0, 64, 16)]
    result = fit(model(), loader, epochs=3, schedule="cosine")
    assert int(result.state.step) == 12


def test_the_input_can_be_named_among_others():
    rows = {**ROWS, "mask": np.ones(64)}
    assert fit(model(), rows, steps=2, inputs="x").records[-1].accuracy is not None


def test_a_run_that_had_ended_gives_its_records_again(tmp_path):
    options = {"steps": 6, "batch_size": 16, "directory": tmp_path, "resume": True}
    first, again = (fit(model(), ROWS, schedule=0.1, **options) for _ in range(2))
    assert [r.loss_nats for r in again.records] == [r.loss_nats for r in first.records]
    assert again.reason == first.reason == "all steps taken"
    with pytest.raises(ValueError, match="learning rates"):
        fit(model(), ROWS, schedule=0.2, **options)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    with warnings.catch_warnings():
        runs = [
            fit(model(dropout=0.3), ROWS, steps=6, batch_size=16, seed=s).state for s in (0, 0, 1)
        ]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


AUTO = (jax.sharding.AxisType.Auto,)


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["examples", "examples and vocabulary"])
def test_a_mesh_changes_where_a_fit_runs_and_not_what_it_learns(shared):
    tokens = RNG.integers(0, 16, 200)
    config = GPTConfig(vocab_size=16, block_size=8, layers=1, heads=2, width=16, tied=False)
    options = {"steps": 6, "batch_size": 8, "schedule": 0.01, "optimizer": "sgd"}
    options["validation"] = TokenWindows(tokens[:65], 8, stride=8)
    data = TokenWindows(tokens, 8)
    alone = fit(GPT(config, rngs=nnx.Rngs(0)), data, **options)
    places = {"mesh": jax.make_mesh((8,), ("data",), axis_types=AUTO)}
    if shared != "examples":
        places = {
            "mesh": jax.make_mesh((4, 2), ("data", "model"), axis_types=AUTO * 2),
            "specs": {"head/kernel": jax.sharding.PartitionSpec(None, "model")},
        }
    result = fit(GPT(config, rngs=nnx.Rngs(0)), data, **options, **places)
    assert len(jax.tree.leaves(result.state.params)[0].sharding.device_set) == 8
    # Sums over eight devices are rounded in another order; six steps at a rate of 0.01.
    for ours, wanted in zip(leaves(result.state), leaves(alone.state), strict=True):
        np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(result.best_validation_nats, alone.best_validation_nats, rtol=2e-6)
