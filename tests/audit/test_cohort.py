"""A cohort's models see their own rows and nothing else."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.cohort import train_cohort
from xentjax.models import MLP, MLPConfig


def make_model(key):
    shape = MLPConfig(in_features=3, hidden_features=(8,), classes=2, dropout=0.1)
    return MLP(shape, rngs=nnx.Rngs(key))


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 3)).astype(np.float32)
    return features, (features[:, 0] > 0).astype(np.int32), rng.random((5, 40)) < 0.5


def train(features, labels, members, **options):
    return train_cohort(
        make_model, features, labels, members=members, steps=30, batch_size=8, **options
    )


def test_rows_outside_the_mask_change_nothing(rows):
    features, labels, members = rows
    wanted = train(features, labels, members).logits(features)
    other_labels = np.where(members, labels, 1 - labels)
    np.testing.assert_array_equal(train(features, other_labels, members).logits(features), wanted)
    flipped = np.where(members, 1 - labels, labels)
    assert not np.allclose(train(features, flipped, members).logits(features), wanted, atol=0.1)


@pytest.mark.slow
def test_how_many_train_side_by_side_changes_roundings_only(rows):
    features, labels, members = rows
    one, three = (train(features, labels, members, together=n).logits(features) for n in (1, 3))
    # 30 steps of Adam at 3e-3, whose first steps are near ± the rate whatever the gradient.
    np.testing.assert_allclose(one, three, atol=1e-4)


def test_models_differ_by_start_and_order_unless_told_otherwise(rows):
    features, labels, members = rows
    everyone = np.ones_like(members)
    apart = train(features, labels, everyone).logits(features)
    assert np.abs(apart[0] - apart[1]).max() > 0.01
    again = train(features, labels, everyone).logits(features)
    np.testing.assert_array_equal(apart, again)
    other = train(features, labels, everyone, seed=1).logits(features)
    assert np.abs(apart - other).max() > 0.01


def test_a_state_of_the_cohort_is_the_model_that_spoke(rows):
    features, labels, members = rows
    cohort = train(features, labels, members)
    alone = cohort.state(3).to_model()(jnp.asarray(features))
    np.testing.assert_allclose(alone, cohort.logits(features)[3], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"members": np.ones((2, 39), bool)}, r"members must be \[models, 40\]"),
        ({"members": np.zeros((2, 40), bool)}, "members: model 0 has no row"),
        ({"labels": np.zeros((2, 40), np.int32)}, r"labels must be .* of shape \(5, 40\)"),
        ({"steps": 0}, "steps must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(rows, change, message):
    features, labels, members = rows
    given = {"labels": labels, "members": members, "steps": 3} | change
    with pytest.raises(ValueError, match=message):
        train_cohort(make_model, features, given.pop("labels"), **given)
