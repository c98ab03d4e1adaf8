"""The section says what was planted: a fragile model, a blind attack, dead layers, and nothing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.sections.robustness import robustness_section
from xentjax.models import MLP, MLPConfig

RNG = np.random.default_rng(0)


def split_rows(predict, features, labels):
    return Rows(features, labels, np.asarray(predict(jnp.asarray(features)), np.float32))


def make_subject(predict, features, labels, **changes):
    rows = split_rows(predict, features, labels)
    classes = rows.logits.shape[1]
    subject = Classifier(
        name="tiny",
        class_names=tuple(f"class {c}" for c in range(classes)),
        train=rows,
        validation=rows,
        test=rows,
        predict=predict,
        make_model=lambda key: nnx.Linear(features.shape[1], classes, rngs=nnx.Rngs(key)),
        steps=20,
        batch_size=8,
        learning_rate=0.05,
    )
    return dataclasses.replace(subject, **changes)


def two_groups(gap, n=120, width=4):
    """Features in [−1, 1]; the classes are `gap` apart in the first."""
    labels = np.arange(n, dtype=np.int32) % 2
    features = RNG.uniform(-1, 1, (n, width)).astype(np.float32)
    features[:, 0] = np.where(labels == 1, 1, -1) * RNG.uniform(gap / 2, 1, n)
    return features.astype(np.float32), labels


def first_feature(x):
    return jnp.stack([-x[:, 0], x[:, 0]], axis=1)


def measure(section, words):
    return next(m for m in section.measures if words in m.name)


def test_classes_far_apart_are_safe_and_touching_ones_are_lost_to_one_percent():
    safe = robustness_section(make_subject(first_feature, *two_groups(1.0)), label_shares=())
    assert measure(safe, "attack").verdict == "good"
    assert measure(safe, "noise").verdict == "good"
    features, labels = two_groups(0.0)
    features[:, 0] *= np.where(np.arange(120) < 80, 0.01, 1)  # two thirds within 1 % of the line
    touching = robustness_section(make_subject(first_feature, features, labels), label_shares=())
    assert measure(touching, "attack").verdict == "act"
    assert touching.verdict == "act"
    assert any("adversarial training" in text for text in touching.advice)
    assert any("labels" in text for text in touching.unmeasured)
    assert any("model" in text for text in touching.unmeasured)


def test_a_blind_attack_is_called_an_upper_bound():
    def rounded(x):
        return first_feature(jnp.round(x * 8) / 8 + 1e-3)

    found = robustness_section(make_subject(rounded, *two_groups(0.5)), label_shares=())
    assert measure(found, "outlive").verdict == "watch"
    assert "upper bound" in found.advice[0]


@pytest.mark.slow
def test_layers_are_judged_where_the_model_is_given():
    features, labels = two_groups(1.0)
    shape = MLPConfig(in_features=4, hidden_features=(6, 6), classes=2)
    model = MLP(shape, rngs=nnx.Rngs(0))
    model.layers[1].bias[...] = model.layers[1].bias[...] - 100.0
    subject = make_subject(first_feature, features, labels)
    found = robustness_section(subject, model=model, label_shares=(), rows=32)
    dead = measure(found, "dead")
    assert (dead.value, dead.verdict) == (1.0, "act")
    assert found.grids[0].rows[-1][0] == "head"
    assert found.pictures[-1].svg.startswith("<?xml")


@pytest.mark.slow
def test_wrong_labels_are_measured_by_training():
    learns = {"steps": 300, "batch_size": 64}
    subject = make_subject(first_feature, *two_groups(1.0, n=400), **learns)
    found = robustness_section(subject, label_shares=(0.0, 0.2), trainings=1, rows=20)
    assert measure(found, "wrong training labels").verdict == "good"
    assert "20 % of the labels wrong" in found.finding


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (5, np.array([0, 1, 0, 1, 0])),
        pytest.param(1, np.array([2]), marks=pytest.mark.slow),
        pytest.param(30, np.zeros(30), marks=pytest.mark.slow),  # one class alone
        (30, np.full(30, 2)),  # never predicted: all wrong
    ],
)
def test_odd_subjects_do_not_raise(rows, labels):
    def three(x):
        return jnp.concatenate([first_feature(x), jnp.full((len(x), 1), -9.0)], axis=1)

    features = two_groups(0.5, n=rows)[0]
    subject = make_subject(three, features, labels.astype(np.int32))
    found = robustness_section(subject, label_shares=())
    assert found.verdict in ("good", "watch", "act", "unmeasured")
    if (labels == 2).all():
        assert any("no answer is right" in text for text in found.unmeasured)


def test_images_and_token_ids():
    images = RNG.uniform(size=(20, 3, 3, 1)).astype(np.float32)

    def mean_of_left(x):
        return jnp.stack([x[:, :, 0, 0].mean(axis=1), jnp.full(len(x), 0.5)], axis=1)

    labels = (images[:, :, 0, 0].mean(axis=1) < 0.5).astype(np.int32)
    pictures = make_subject(mean_of_left, images, labels, image_shape=(3, 3))
    assert robustness_section(pictures, label_shares=()).pictures
    tokens = make_subject(lambda x: jax.nn.one_hot(x[:, 0], 2), np.array([[0], [1]]), labels[:2])
    assert robustness_section(tokens).verdict == "unmeasured"
