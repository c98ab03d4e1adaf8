"""Shadow models: exact halves, a null that shows chance, and an overfitted kind that is found."""

import numpy as np
import pytest
from flax import nnx

from xentjax.audit.likelihood_ratio import leave_one_out_scores, offline_scores
from xentjax.audit.membership import loss_threshold_attack, membership_attack
from xentjax.audit.shadows import balanced_members, train_shadows
from xentjax.models import MLP, MLPConfig

N = 120


def make_model(key):
    return MLP(MLPConfig(in_features=40, hidden_features=(32,), classes=2), rngs=nnx.Rngs(key))


@pytest.fixture(scope="module")
def coins():
    """Rows whose labels are coins: all that can be learned of them is learned by heart."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, 40)).astype(np.float32), rng.integers(0, 2, N).astype(np.int32)


@pytest.fixture(scope="module")
def shadows(coins):
    return train_shadows(make_model, *coins, models=8, steps=100, batch_size=32, learning_rate=0.01)


@pytest.mark.parametrize(("models", "rows"), [(2, 2), (8, 31), (32, 100)])
def test_each_row_is_in_exactly_half_of_the_models(models, rows):
    members = balanced_members(models, rows, seed=3)
    assert (members.sum(axis=0) == models // 2).all()
    assert set(members.sum(axis=1)) <= {rows // 2, rows - rows // 2}


def test_pairs_are_drawn_independently():
    members = balanced_members(200, 50)[::2]
    # Two rows are together in 24/49 of the halves: 100 pairs, 3.9 standard deviations of 5.
    together = (members[:, :1] == members[:, 1:]).sum(axis=0)
    assert np.abs(together - 100 * 24 / 49).max() < 20


def test_labels_learned_by_heart_are_found(shadows):
    found = membership_attack(
        leave_one_out_scores(shadows.confidences, shadows.members), shadows.members
    )
    assert found.auc_low > 0.8
    assert found.points[1].low > 3 * found.points[1].false_positive_high


def test_a_model_that_never_saw_the_members_shows_chance(shadows):
    """The null: "members" are half of the rows that the attacked model was not trained on."""
    unseen = np.flatnonzero(~shadows.members[0])
    pretended = balanced_members(2, unseen.size, seed=9)[0]
    confidences = shadows.confidences[0, unseen]
    losses = np.logaddexp(0, -confidences)  # −log p_y = log(1 + e^−φ)
    scores = offline_scores(
        confidences, shadows.confidences[2:, unseen], shadows.members[2:, unseen]
    )
    for found in (
        loss_threshold_attack(losses[pretended], losses[~pretended]),
        membership_attack(scores, pretended),
    ):
        assert found.auc_low < 0.5 < found.auc_high
        point = found.points[1]
        # Not one of 30 others may be accused. That k of 30 members come before all of them has the
        # probability ½ · 29/59 · …, for k = 7 less than 1 in 100.
        assert not point.resolved
        assert point.true_positive_rate < 7 / 30


def test_a_mask_that_was_not_trained_on_shows_chance(shadows):
    other = balanced_members(8, N, seed=77)
    found = membership_attack(leave_one_out_scores(shadows.confidences, other), other)
    assert found.auc_low < 0.5 < found.auc_high
    point = found.points[1]
    # 480 of each: the share found above the fifth false positive is 1 % ± 0.9 points or so.
    assert point.resolved
    assert point.true_positive_rate < 0.04


@pytest.mark.parametrize(
    ("models", "rows", "name"), [(3, 4, "models"), (0, 4, "models"), (2, 1, "rows")]
)
def test_halves_that_do_not_exist_are_refused(models, rows, name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        balanced_members(models, rows)
