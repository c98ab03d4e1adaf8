"""Cross-validation: every row judged by models that never saw it, folds even in every class."""

import dataclasses

import jax
import numpy as np
import pytest
from flax import nnx

from xentjax.audit import cross_validation
from xentjax.audit.cross_validation import out_of_fold_logits, stratified_folds


@pytest.mark.parametrize("folds", [2, 3, 7])
def test_folds_are_even_in_all_and_in_each_class(folds):
    labels = np.random.default_rng(0).choice(4, 101, p=[0.6, 0.2, 0.15, 0.05])
    found = stratified_folds(labels, folds=folds, seed=1)
    for rows in [np.ones(101, bool), *(labels == c for c in range(4))]:
        sizes = np.bincount(found[rows], minlength=folds)
        assert sizes.max() - sizes.min() <= 1
    assert not np.array_equal(found, stratified_folds(labels, folds=folds, seed=2))


def make_linear(key):
    return nnx.Linear(6, 3, rngs=nnx.Rngs(key))


@dataclasses.dataclass
class Spoken:
    """A cohort whose models say of every row whether they were trained on it."""

    members: np.ndarray
    labels: np.ndarray

    def logits(self, features):
        trained_on = np.where(self.members, 50.0, 0.0)
        said = np.stack([trained_on, np.zeros_like(trained_on), self.labels], axis=-1)
        return said.astype(np.float32) + 0 * features[None, :, :1]


def test_every_row_is_judged_by_models_that_never_saw_it(monkeypatch):
    cohorts = []

    def spy(_, __, labels, *, members, **___):
        cohorts.append(Spoken(members, labels))
        return cohorts[0]

    monkeypatch.setattr(cross_validation, "train_cohort", spy)
    labels = np.stack([np.arange(30) % 3, np.arange(30) % 2])
    said = out_of_fold_logits(
        make_linear, np.zeros((30, 6), np.float32), labels, folds=3, repeats=2, steps=1
    )
    assert cohorts[0].members.shape == (2 * 2 * 3, 30)
    # A model that saw the row would say 50 for the first class, where the second has 0.
    np.testing.assert_allclose(said[..., 0], said[..., 1], atol=1e-6)
    # And the third says which labelling the model was trained on.
    np.testing.assert_allclose(said[..., 2] - said[..., 1], labels, atol=1e-6)


def test_several_labellings_and_repeats_are_averaged_as_probabilities():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(40, 6)).astype(np.float32)
    labels = np.stack([np.arange(40) % 3, (features[:, 0] > 0).astype(int)])
    said = out_of_fold_logits(
        make_linear, features, labels, folds=2, repeats=2, steps=40, learning_rate=0.1
    )
    assert said.shape == (2, 40, 3)
    np.testing.assert_allclose(np.exp(said).sum(axis=-1), 1, atol=1e-5)
    learned = said[1].argmax(axis=-1) == labels[1]
    assert learned.mean() > 0.8  # chance 0.5: 20 ± 3.2 of 40


def test_the_average_is_the_logarithm_of_the_mean_probability():
    logits = np.random.default_rng(3).normal(size=(2, 5, 4, 3)).astype(np.float32) * 20
    wanted = np.log(np.asarray(jax.nn.softmax(logits.astype(np.float64))).mean(axis=1))
    # Inputs of up to 60 in float32 and a softmax in float32: 60 · 2⁻²³ and a little.
    found = cross_validation._mean_probability(logits)
    np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folds": 1}, "folds must be at least 2"),
        ({"folds": 31}, "at most 30"),
        ({"repeats": 0}, "repeats must be"),
    ],
)
def test_bad_options_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        out_of_fold_logits(
            make_linear, np.zeros((30, 6), np.float32), np.zeros((1, 30), int), steps=1, **change
        )
