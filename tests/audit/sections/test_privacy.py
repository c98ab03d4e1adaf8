"""The section on privacy: learning by heart is found, sound models are not, odd ones are said."""

import sys

import numpy as np
import pytest
from flax import nnx

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.sections.privacy import privacy_section

pytest.importorskip("matplotlib", reason="the section draws")


def make_model(key):
    return nnx.Linear(60, 3, rngs=nnx.Rngs(key))


def rows(rng, count, margin=0.0):
    """Labels by the first three features, and logits that know them, with a margin on top."""
    features = rng.normal(size=(count, 60)).astype(np.float32)
    labels = features[:, :3].argmax(axis=1).astype(np.int32)
    logits = rng.normal(size=(count, 3)) + features[:, :3]
    logits[np.arange(count), labels] += margin
    return Rows(features, labels, logits.astype(np.float32))


def subject(seed=0, counts=(60, 50, 50), margin=0.0):
    rng = np.random.default_rng(seed)
    train = rows(rng, counts[0], margin)
    validation, test = (rows(rng, count) for count in counts[1:])
    return Classifier(
        name="toy",
        class_names=("a", "b", "c"),
        train=train,
        validation=validation,
        test=test,
        predict=lambda x: x[:, :3],
        make_model=make_model,
        steps=60,
        batch_size=20,
        learning_rate=0.02,
    )


def measure(section, name):
    return next(measure for measure in section.measures if name in measure.name)


def test_a_model_that_is_surer_of_its_rows_is_found_and_shown():
    section = privacy_section(subject(margin=5.0), shadows=0)
    assert section.verdict == "act"
    assert measure(section, "area under the ROC (losses, this model)").low > 0.6
    assert measure(section, "null").verdict is None
    assert len(section.pictures) == 2
    assert all("<svg" in picture.svg for picture in section.pictures)
    assert any("shadows=0" in text for text in section.unmeasured)
    assert any("private=True" in text for text in section.unmeasured)


def test_a_model_that_treats_all_rows_alike_is_not_accused():
    accused = [
        privacy_section(subject(seed, (2000, 2000, 2000)), shadows=0).verdict for seed in range(3)
    ]
    # Areas of 2000 × 2000 pairs have a deviation of 0.009: 0.6 is 11 of them away. Above 20 false
    # alarms of 2000 there are as many members, ± 6: 5 % would be 100.
    assert set(accused) == {"good"}


def test_shadow_models_find_what_a_linear_model_of_many_features_learns_by_heart():
    said = []
    section = privacy_section(subject(), shadows=8, progress=said.append)
    assert measure(section, "area under the ROC (likelihood ratio, shadow models)").low > 0.55
    assert measure(section, "null: area under the ROC (likelihood ratio").verdict is None
    assert measure(section, "(likelihood ratio, this model)").value > 0
    assert section.grids[1].title == "The most exposed rows"
    assert len(section.grids[1].rows) == 5
    # 60 training rows and 55 in half of train and test: 60 · 55 / 60 steps.
    assert said == ["training 8 shadow models, 55 steps each"]


def test_null_that_finds_something_is_said():
    odd = subject(margin=0.0)
    validation = Rows(odd.validation.features, odd.validation.labels, 9 * odd.test.logits)
    validation.logits[np.arange(50), validation.labels] += 40
    section = privacy_section(Classifier(**{**vars(odd), "validation": validation}), shadows=0)
    assert measure(section, "null").verdict == "watch"
    assert "splits may differ" in section.advice[0]


def test_a_private_training_is_put_beside():
    pytest.importorskip("jax_privacy", reason="the accountant (extra privacy)")
    section = privacy_section(subject(margin=5.0), shadows=0, private=True, epsilon=1.0)
    assert 0.9 < measure(section, "ε of a private").value <= 1.0
    own = measure(section, "area under the ROC (losses, this model)")
    assert measure(section, "(losses, private model)").high < own.low
    # e · 1 % + δ, with δ = 0.1 / 60
    assert "no attack whatsoever finds more than 2.9 %" in section.advice[-1]
    assert len(section.pictures) == 3


def test_a_missing_accountant_leaves_the_private_training_unmeasured(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax_privacy", None)
    section = privacy_section(subject(), shadows=0, private=True)
    assert any('pip install "xentjax[privacy]"' in text for text in section.unmeasured)


def one_class(odd):
    return Rows(odd.features, np.zeros_like(odd.labels), odd.logits)


def certain(odd, right):
    logits = np.full_like(odd.logits, 0.0)
    logits[np.arange(len(odd.labels)), (odd.labels + (not right)) % 3] = 2000.0
    return Rows(odd.features, odd.labels, logits)


@pytest.mark.parametrize(
    "change",
    [
        {"test": one_class(subject().test)},
        {"train": certain(subject().train, True), "test": certain(subject().test, True)},
        {"train": certain(subject().train, False), "test": certain(subject().test, False)},
        {"train": certain(subject().train, True), "test": certain(subject().test, False)},
        {"test": subject(counts=(60, 5, 5)).test},
        {"test": subject(counts=(60, 5, 1)).test, "train": subject(counts=(1, 5, 5)).train},
        {"validation": subject(counts=(60, 0, 5)).validation},
    ],
)
def test_odd_subjects_are_measured_or_said_not_to_be(change):
    section = privacy_section(Classifier(**{**vars(subject()), **change}), shadows=0)
    assert section.verdict in ("good", "watch", "act")
    assert np.isfinite([measure.value for measure in section.measures]).all()
    few = len(change.get("test", subject().test).labels) < 100
    assert any("held-out rows" in text for text in section.unmeasured) == few


def test_logits_that_are_not_finite_leave_it_unmeasured():
    test = subject().test
    test.logits[3, 1] = np.nan
    section = privacy_section(Classifier(**{**vars(subject()), "test": test}))
    assert section.verdict == "unmeasured"
    assert "not finite" in section.unmeasured[0]


@pytest.mark.parametrize("shadows", [1, 4, 7])
def test_shadows_that_cannot_be_halved_are_refused(shadows):
    with pytest.raises(
        ValueError, match=f"shadows must be 0, or even and at least 6, got {shadows}"
    ):
        privacy_section(subject(), shadows=shadows)
