"""Data quality: what is planted turns the verdict, clean data do not, odd subjects do not raise."""

import dataclasses
import json

import numpy as np
import pytest
from flax import nnx

from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.sections.class_shares import class_shares_part
from xentjax.audit.sections.data_quality import data_quality_section, language_data_section
from xentjax.audit.sections.leaks import leaks_part
from xentjax.audit.sections.moved_features import moved_features_part
from xentjax.audit.sections.suspect_labels import suspect_labels_part
from xentjax.data import ByteTokenizer


def make_subject(sizes=(240, 60, 120), classes=3, seed=0, dimension=8):
    """Rows about class centres far apart, and a classifier that is always right."""
    rng = np.random.default_rng(seed)
    centres = 4 * np.eye(classes, dimension)

    def rows(n):
        labels = (np.arange(n) % classes).astype(np.int32)
        features = (centres[labels] + rng.normal(size=(n, dimension))).astype(np.float32)
        return Rows(features, labels, (9 * np.eye(classes)[labels]).astype(np.float32))

    return Classifier(
        name="clouds",
        class_names=tuple(f"class {c}" for c in range(classes)),
        train=rows(sizes[0]),
        validation=rows(sizes[1]),
        test=rows(sizes[2]),
        predict=lambda features: features[:, :classes],
        make_model=lambda key: nnx.Linear(dimension, classes, rngs=nnx.Rngs(key)),
        steps=60,
        batch_size=32,
        learning_rate=0.1,
    )


def with_rows(subject, split, **changes):
    rows = dataclasses.replace(getattr(subject, split), **changes)
    return dataclasses.replace(subject, **{split: rows})


def measure(part, name):
    return next(m for m in part.measures if m.name.startswith(name))


def look_for_errors(subject):
    return suspect_labels_part(subject, seed=0, folds=3, repeats=1, steps=60)


@pytest.fixture
def clean():
    return make_subject()


def test_clean_rows_are_found_good(clean):
    for part in (leaks_part(clean), class_shares_part(clean, seed=0)):
        assert part.verdict == "good", part.sentence
        assert not part.unmeasured


@pytest.mark.slow
def test_labels_and_features_without_fault_are_found_good(clean):
    for part in (look_for_errors(clean), moved_features_part(clean, seed=0)):
        assert part.verdict == "good", part.sentence
        assert not part.unmeasured


def test_planted_leaks_are_told_with_the_accuracy_without_them(clean):
    features = clean.test.features.copy()
    features[:12] = clean.train.features[:12]
    features[12:24] = clean.train.features[12:24] + 1e-4
    logits = clean.test.logits.copy()
    logits[24:48] = -logits[24:48]  # a fifth of all, a quarter of the rows not leaked, are wrong
    part = leaks_part(with_rows(clean, "test", features=features, logits=logits))
    assert part.verdict == "act"
    assert part.sentence.startswith("24 of 120 test rows (20.0 %)")
    assert "12 of them exactly" in part.sentence
    assert measure(part, "test rows that train holds").value == pytest.approx(0.2)
    assert measure(part, "accuracy on all").value == pytest.approx(0.8)
    assert measure(part, "accuracy without").value == pytest.approx(0.75)
    assert len(part.grids[0].rows) == 10


def test_copies_in_train_and_contradictions_are_told(clean):
    features, labels = clean.train.features.copy(), clean.train.labels.copy()
    features[:12] = features[12:24]
    part = leaks_part(with_rows(clean, "train", features=features))
    assert part.verdict == "watch"
    assert "24 of 240 training rows (10.0 %) have a copy in train" in part.sentence
    labels[:12] = (labels[12:24] + 1) % 3
    part = leaks_part(with_rows(clean, "train", features=features, labels=labels))
    assert part.verdict == "act"
    assert "24 rows have exact copies that carry another label" in part.sentence


def test_whole_numbers_that_repeat_by_nature_are_no_leak_to_act_on():
    subject = make_subject(dimension=2, classes=2)
    for split in ("train", "validation", "test"):
        rows = getattr(subject, split)
        subject = with_rows(subject, split, features=np.round(rows.features))
    part = leaks_part(subject)
    assert measure(part, "test rows that train holds").value > 0.5
    assert measure(part, "test rows that train holds").verdict == "watch"


def test_rows_in_a_plane_come_near_by_chance_and_only_exact_copies_count():
    part = leaks_part(make_subject(dimension=2, classes=2))
    assert part.verdict == "good"
    # A tenth of the median distance in a plane: 1 − 2^−0.01 = 0.7 % of the rows.
    assert part.unmeasured[0].startswith("Near duplicates")


def test_planted_label_errors_turn_the_verdict_and_are_listed(clean):
    labels = clean.train.labels.copy()
    wrong = np.random.default_rng(1).choice(240, 36, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 3
    subject = dataclasses.replace(with_rows(clean, "train", labels=labels), image_shape=(2, 4))
    part = look_for_errors(subject)
    assert part.verdict == "act"
    # 36 of 420; classes four deviations apart touch in Φ(−4/√2) = 0.2 % of the rows.
    assert 0.07 < measure(part, "labels under suspicion").value < 0.1
    listed = part.grids[0].rows
    assert all(split == "train" and row in wrong for split, row, *_ in listed)
    given = [labels[row] for _, row, *_ in listed]
    assert [name for _, _, name, *_ in listed] == [f"class {c}" for c in given]
    assert all(
        rather == f"class {(c - 1) % 3}" for c, (*_, rather, _) in zip(given, listed, strict=True)
    )
    assert "of 21 errors planted" in part.sentence
    assert part.pictures[0].svg.count("<image") == 12


@pytest.mark.slow
def test_a_planted_shift_turns_the_verdict_and_names_the_feature(clean):
    features = clean.test.features.copy()
    features[:, 5] += 1.5
    part = moved_features_part(with_rows(clean, "test", features=features), seed=0)
    # A gap of 1.5 deviations has AUC Φ(1.5/√2) = 0.86, and its interval lies above 0.6.
    assert part.verdict == "act"
    assert "(feature 5)" in part.measures[2].name
    assert part.measures[3].verdict == "watch"
    assert len(part.pictures) == 1


def test_uneven_missing_and_rare_classes_are_told():
    subject = make_subject()
    few = (subject.train.labels != 2) | (np.arange(240) < 6)  # class 2 keeps 2 rows of 80
    uneven = with_rows(
        subject,
        "train",
        **{f: getattr(subject.train, f)[few] for f in ("features", "labels", "logits")},
    )
    part = class_shares_part(uneven, seed=0)
    assert measure(part, "largest class").value == 40
    assert part.verdict == "act"
    assert "class 2" in part.sentence
    assert measure(part, "p-value").verdict == "watch"
    none = subject.train.labels != 2
    gone = with_rows(
        subject,
        "train",
        **{f: getattr(subject.train, f)[none] for f in ("features", "labels", "logits")},
    )
    part = class_shares_part(gone, seed=0)
    assert part.sentence == "No training row shows class 2: the model cannot have learned it."
    assert part.verdict == "act"
    rare = class_shares_part(make_subject(sizes=(240, 60, 9)), seed=0)
    assert measure(rare, "classes too rare").value == 3


def odd_subjects():
    small = make_subject(sizes=(24, 5, 5))
    yield "five test rows", small
    two = make_subject(sizes=(60, 20, 20), classes=2)
    yield "all wrong", with_rows(two, "test", logits=-two.test.logits)
    labels = np.zeros(20, np.int32)
    yield "a class absent in test", with_rows(two, "test", labels=labels)
    same = two
    for split in ("train", "validation", "test"):
        features = np.ones_like(getattr(two, split).features)
        same = with_rows(same, split, features=features)
    yield "all rows alike", same
    one = two
    for split in ("train", "validation", "test"):
        one = with_rows(one, split, labels=np.zeros_like(getattr(two, split).labels))
    yield "one label", one
    features = two.train.features.copy()
    features[0, 0] = np.nan
    yield "a missing value", with_rows(two, "train", features=features)
    yield "all of test from train", dataclasses.replace(two, test=two.train)


QUICK = ("five test rows", "a missing value")
ODD = [
    pytest.param(name, subject, id=name, marks=[] if name in QUICK else pytest.mark.slow)
    for name, subject in odd_subjects()
]


@pytest.mark.parametrize(("name", "subject"), ODD)
def test_odd_subjects_get_a_section_that_json_can_hold(name, subject):
    section = data_quality_section(subject, folds=2, steps=5)
    assert section.finding
    assert section.verdict in ("act", "watch", "good")
    numbers = [n for m in section.measures for n in (m.value, m.low, m.high) if n is not None]
    assert np.isfinite(numbers).all(), name
    json.dumps([grid.rows for grid in section.grids], allow_nan=False)
    for m in section.measures:
        assert m.low is None or m.low <= m.value + 1e-6, m
        assert m.high is None or m.value - 1e-6 <= m.high, m
    if name in (*QUICK, "one label"):
        assert section.unmeasured


def words(n, seed):
    rng = np.random.default_rng(seed)
    return "\n".join(
        " ".join(f"w{k}" for k in row) for row in rng.integers(0, 5000, (n, 8))
    ).encode()


def language_subject(train, test):
    tokenizer = ByteTokenizer()
    tokens = {
        k: tokenizer.encode(v).astype(np.int32) for k, v in (("train", train), ("test", test))
    }
    return LanguageModel("words", None, tokenizer, tokens, 64)


def test_a_text_of_its_own_is_good_and_a_planted_passage_is_acted_on():
    train, test = words(600, 0), words(150, 1)
    clean = language_data_section(language_subject(train, test))
    assert clean.verdict == "good"
    assert clean.measures[0].value == 0
    assert clean.grids[0].rows[1][3] == "0.0 %"  # shuffled
    planted = test[:2000] + train[10_000:13_000] + test[2000:]
    found = language_data_section(language_subject(train, planted))
    assert found.verdict == "act"
    share = (3000 - 49) / (len(planted) - 49)
    assert found.measures[0].value == pytest.approx(share, abs=2 / len(planted))
    assert found.measures[2].value >= 3000
    assert "The test repeats training text" in found.finding


def test_a_text_too_short_is_unmeasured_and_says_what_would_do():
    section = language_data_section(language_subject(words(100, 0), b"short text"))
    assert section.verdict == "unmeasured"
    assert len(section.unmeasured) == 2
    with pytest.raises(ValueError, match="judged must be one of lengths"):
        language_data_section(language_subject(b"a", b"b"), judged=7)


@pytest.mark.slow
def test_the_worst_is_told_first_and_progress_is_reported(clean):
    features = clean.test.features.copy()
    features[:, 5] += 3
    told = []
    section = data_quality_section(
        with_rows(clean, "test", features=features), folds=2, progress=told.append
    )
    assert section.verdict == "act"
    assert section.finding.startswith("Test rows differ from training rows")
    assert len(told) == 4
