"""An evaluation scores every example exactly once, however it is cut into batches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.models import MLP, MLPConfig
from xentjax.train import TrainState, cross_entropy, make_evaluate, padded_batches
from xentjax.train.evaluate import covering_windows

RNG = np.random.default_rng(0)
ROWS = {
    "features": RNG.normal(size=(23, 4)).astype(np.float32),
    "labels": RNG.integers(0, 3, 23).astype(np.int32),
}


def make_state(dropout=0.5):
    config = MLPConfig(in_features=4, hidden_features=(8,), classes=3, dropout=dropout)
    return TrainState.create(MLP(config, rngs=nnx.Rngs(0)), optax.sgd(0.1), key=jax.random.key(0))


@pytest.mark.parametrize("batch_size", [1, 5, 8, 23, 40])
def test_totals_do_not_depend_on_the_batch_size(batch_size):
    state = make_state()
    logits = np.asarray(state.to_model()(jnp.asarray(ROWS["features"])), np.float64)
    nll = np.log(np.exp(logits).sum(1)) - logits[np.arange(23), ROWS["labels"]]
    evaluate = make_evaluate(cross_entropy())
    totals = evaluate(state, padded_batches(ROWS, batch_size=batch_size))
    assert (totals.weight, totals.count) == (23, 23)
    assert totals.correct == (logits.argmax(1) == ROWS["labels"]).sum()
    # Float32 logits below 4, summed over 23 rows.
    np.testing.assert_allclose(totals.loss, nll.sum(), rtol=1e-6)


def test_an_evaluation_leaves_the_state_alone():
    state = make_state()
    make_evaluate(cross_entropy())(state, padded_batches(ROWS, batch_size=8))
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(state))


def test_a_mask_of_the_callers_own_is_kept():
    where = np.arange(5) != 1
    batches = padded_batches({"labels": np.arange(5), "where": where}, batch_size=3)
    assert [batch["where"].tolist() for batch in batches] == [
        [True, False, True],
        [True, True, False],
    ]


@pytest.mark.parametrize(
    ("arrays", "batch_size", "message"),
    [
        ({"x": np.ones(3), "y": np.ones(2)}, 1, "'x': 3, 'y': 2"),
        ({"x": np.ones(0)}, 1, "at least 1"),
        ({"x": np.ones(3)}, 0, "batch_size: got 0"),
    ],
)
def test_bad_arrays_are_refused(arrays, batch_size, message):
    with pytest.raises(ValueError, match=message):
        padded_batches(arrays, batch_size=batch_size)


@pytest.mark.parametrize("n", [9, 10, 12, 13, 31])
@pytest.mark.parametrize("stride", [1, 3, 8])
def test_every_token_but_the_first_is_predicted_once_with_enough_context(n, stride):
    windows = covering_windows(np.arange(n), length=8, stride=stride)
    np.testing.assert_array_equal(windows["labels"], windows["tokens"] + 1)
    where = windows["where"]
    assert sorted(windows["labels"][where].tolist()) == list(range(1, n))
    context = windows["labels"] - windows["tokens"][:, :1]
    later = where & (windows["labels"] > 8)
    assert context[later].min(initial=8) >= 8 - stride + 1


def test_windows_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="longer than one window, got 8 tokens"):
        covering_windows(np.arange(8), length=8, stride=4)
    with pytest.raises(ValueError, match=r"stride must lie in \[1, length\]"):
        covering_windows(np.arange(20), length=8, stride=9)
