"""The sections on overfitting and fairness raise for no odd subject, and their verdicts differ."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.sections.fairness import fairness_section
from xentjax.audit.sections.overfitting import language_overfitting_section, overfitting_section


def subject(train, test, *, classes=3, groups=None, steps=5):
    """A classifier that says what the logits say, of (logits, labels) of train and test."""
    rows = [
        Rows(np.zeros((len(labels), 2), np.float32), labels, logits.astype(np.float32))
        for logits, labels in (train, test, test)
    ]
    return Classifier(
        name="odd",
        class_names=tuple(f"class {i}" for i in range(classes)),
        train=rows[0],
        validation=rows[1],
        test=rows[2],
        predict=lambda x: jnp.zeros((len(x), classes)),
        make_model=lambda key: nnx.Linear(2, classes, rngs=nnx.Rngs(key)),
        steps=steps,
        batch_size=8,
        learning_rate=1e-3,
        groups=groups or {},
    )


def says(labels, *, right=1.0, sure=5.0, classes=3):
    """Logits that name the label of the first of the rows and another class for the rest."""
    named = np.where(np.arange(len(labels)) < right * len(labels), labels, (labels + 1) % classes)
    return sure * np.eye(classes)[named], labels


MANY, FEW = np.arange(400) % 3, np.arange(5) % 3


@pytest.mark.parametrize(
    ("train", "test", "verdict"),
    [
        (says(MANY), says(MANY), "good"),
        (says(MANY), says(MANY, right=0.5), "act"),
        (says(MANY, sure=0.0), says(MANY, sure=0.0), "act"),
        (says(MANY), says(FEW), "watch"),
        (says(MANY), says(FEW, right=0.0), "act"),
        (says(0 * MANY), says(0 * MANY), "good"),  # one class of three
        ((np.full((400, 3), np.nan), MANY), says(MANY), "act"),
        (
            (np.zeros((40, 1)), np.zeros(40, int)),
            (np.zeros((9, 1)), np.zeros(9, int)),
            "unmeasured",
        ),
        (says(MANY), says(np.zeros(0, int)), "unmeasured"),
    ],
)
def test_verdicts_follow_from_the_scores(train, test, verdict):
    told = []
    odd = subject(train, test, classes=train[0].shape[1])
    section = overfitting_section(odd, curve_repeats=0, progress=told.append)
    assert section.verdict == verdict
    assert section.finding
    if verdict != "unmeasured" and section.measures:
        assert told
        assert all(np.isfinite(measure.value) for measure in section.measures)
        assert section.pictures[0].svg.lstrip().startswith("<?xml")


@pytest.mark.slow
def test_a_learning_curve_joins_the_section():
    section = overfitting_section(subject(says(MANY), says(MANY)), curve_repeats=2)
    assert [picture.title for picture in section.pictures][1] == (
        "Loss over the size of the training data"
    )
    assert "twice the data" in section.finding
    tiny = overfitting_section(subject(says(FEW), says(FEW)), curve_repeats=2)
    assert any("Forecast" in text for text in tiny.unmeasured)


def test_the_worst_class_is_always_measured_and_missing_groups_are_named():
    section = fairness_section(subject(says(MANY), says(MANY)))
    assert section.verdict == "good"
    assert "groups" in section.unmeasured[-1]
    # 134 rows are of class 0: wrong on all of them is far beyond ten points.
    labels = MANY
    wrong = np.where(labels == 0, 1, labels)
    section = fairness_section(subject(says(MANY), (5.0 * np.eye(3)[wrong], labels)))
    assert section.verdict == "act"
    assert "class 0" in section.finding


@pytest.mark.parametrize("favourable", [pytest.param(None, marks=pytest.mark.slow), 1])
def test_a_group_that_is_served_worse_is_found_and_others_are_not(favourable):
    rng = np.random.default_rng(0)
    side = np.where(rng.random(400) < 0.4, "left", "right")
    coin = rng.choice(["heads", "tails"], 400)
    named = np.where((side == "left") & (rng.random(400) < 0.5), (MANY + 1) % 3, MANY)
    found = fairness_section(
        subject(says(MANY), (5.0 * np.eye(3)[named], MANY), groups={"side": side, "coin": coin}),
        favourable=favourable,
    )
    assert found.verdict == "act"
    verdicts = {m.name: m.verdict for m in found.measures}
    assert verdicts["gap in accuracy, by side"] == "act"
    assert verdicts["gap in accuracy, by coin"] != "act"
    assert "“left” fares worst" in found.finding


@pytest.mark.parametrize(
    "groups",
    [
        np.array(["a"] * 5),
        np.array(["a", None, "b", "b", None], object),
        np.array([0.5, np.nan, 1.0, 1.0, 1.0]),
        np.array(list("abcde")),
    ],
)
@pytest.mark.slow
def test_five_rows_with_odd_groups_raise_nothing(groups):
    for right in (0.0, 1.0):
        section = fairness_section(
            subject(says(FEW), says(FEW, right=right), groups={"kind": groups})
        )
        assert section.verdict in ("watch", "good", "act")
        one_class = np.zeros(5, int)
        section = fairness_section(subject(says(FEW), says(one_class, right=right)))
        assert section.verdict == "unmeasured"
        assert any("one class only" in text for text in section.unmeasured)


class Vocabulary:
    vocab_size = 5


def test_a_language_model_that_knows_only_its_training_text_is_overfit():
    rng = np.random.default_rng(0)
    train = np.arange(3001) % 5
    other = rng.integers(0, 5, 3001)

    def successor(tokens):
        return 4.0 * jnp.eye(5)[(tokens + 1) % 5]

    def judged(held_out):
        tokens = {"train": train, "validation": held_out, "test": held_out}
        return language_overfitting_section(
            LanguageModel("odd", successor, Vocabulary(), tokens, 16), most_passages=40
        )

    assert judged(train).verdict == "good"
    assert judged(other).verdict == "act"
    assert judged(other[:9]).verdict == "watch"
    assert judged(other[:1]).verdict == "unmeasured"
