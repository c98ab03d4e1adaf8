"""DP-SGD as a whole: one row moves little, and attacks find less."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from xentjax.audit.cohort import train_cohort
from xentjax.audit.likelihood_ratio import label_confidences
from xentjax.audit.membership import loss_threshold_attack
from xentjax.audit.privacy_budget import true_positive_bound
from xentjax.audit.private_training import train_private


def make_model(key):
    return nnx.Linear(80, 2, rngs=nnx.Rngs(key))


@pytest.fixture(scope="module")
def coins():
    """Rows whose labels are coins: all that can be learned of them is learned by heart."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 80)).astype(np.float32)
    return features, rng.integers(0, 2, 120).astype(np.int32)


@pytest.fixture
def _accountant():
    pytest.importorskip("jax_privacy", reason="the accountant (extra privacy)")


def norm_of_difference(one, other):
    return float(optax.tree.norm(jax.tree.map(jnp.subtract, one, other)))


@pytest.mark.usefixtures("_accountant")
def test_a_row_moves_the_trained_parameters_by_no_more_than_twice_the_clip(coins):
    features, labels = (array[:20] for array in coins)
    outlier = features.copy()
    outlier[7] *= 1e8
    options = {
        "noise_multiplier": 1.0,
        "delta": 1e-3,
        "clip_norm": 0.5,
        "batch_size": 20,
        "steps": 1,
        "optimizer": lambda _: optax.sgd(1.0),
    }
    states = [train_private(make_model, x, labels, **options).state for x in (features, outlier)]
    moved = norm_of_difference(states[0].params, states[1].params)
    # One row replaced in the one step: 2 C / B.
    assert 0 < moved <= 2 * 0.5 / 20 * (1 + 1e-4)


@pytest.mark.usefixtures("_accountant")
def test_a_private_model_is_told_from_its_rows_less_than_a_plain_one(coins):
    features, labels = coins
    seen = np.arange(120) < 60
    training = {"steps": 60, "batch_size": 20, "learning_rate": 0.02}
    private = train_private(
        make_model, features[seen], labels[seen], noise_multiplier=4.0, delta=1e-3, **training
    )
    plain = train_cohort(make_model, features, labels, members=seen[np.newaxis], **training)
    attacks = []
    for logits in (private.logits(features), plain.logits(features)[0]):
        losses = np.logaddexp(0, -label_confidences(logits, labels))
        attacks.append(loss_threshold_attack(losses[seen], losses[~seen]))
    assert attacks[0].auc_high < attacks[1].auc_low
    assert private.cut_steps == 0
    # The promise, checked where it says something: no attack finds more than it allows.
    for point in attacks[0].points:
        allowed = true_positive_bound(point.false_positive_high, private.epsilon, private.delta)
        assert point.low <= allowed < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epsilon": 1.0, "noise_multiplier": 1.0}, "exactly one of epsilon and noise_multiplier"),
        ({}, "exactly one of epsilon and noise_multiplier"),
        ({"epsilon": 1.0, "clip_norm": 0.0}, "clip_norm must be positive"),
        ({"epsilon": 1.0, "batch_size": 200}, "batch_size must lie in"),
    ],
)
def test_what_does_not_fit_is_refused(coins, change, message):
    with pytest.raises(ValueError, match=message):
        train_private(make_model, *coins, delta=1e-3, steps=2, **change)
    with pytest.raises(ValueError, match=r"labels must be \[N\] of shape \(120,\)"):
        train_private(make_model, coins[0], coins[1][:3], epsilon=1.0, delta=1e-3, steps=2)


@pytest.mark.parametrize(
    ("row", "label", "message"),
    [
        (0.0, 2, r"labels must lie in \[0, 2\), got 2 at position 5"),
        (np.nan, 0, "features must be finite, got nan"),
    ],
)
def test_rows_that_would_be_left_out_unseen_are_refused(coins, row, label, message):
    features, labels = (array.copy() for array in coins)
    features[5], labels[5] = row, label
    with pytest.raises(ValueError, match=message):
        train_private(make_model, features, labels, epsilon=1.0, delta=1e-3, steps=2)
