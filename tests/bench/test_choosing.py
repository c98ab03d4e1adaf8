"""The document of choosing quotes the kept figures, and names losses that exist."""

import importlib
import json
import pkgutil
import re

import numpy as np
import pytest

import xentjax.fused
import xentjax.losses

pytest.importorskip("sklearn", reason='the bench reads its digits: pip install "xentjax[data]"')

from bench import choosing, choosing_tables
from bench.choosing_training import CLASSES, Outputs, Part, Task, balanced_splits

TEXT = choosing_tables.DOCUMENT.read_text("utf-8")
RESULTS = json.loads(choosing.RESULTS.read_text("utf-8"))


def test_the_document_holds_the_tables_of_the_kept_figures():
    assert choosing_tables.with_tables(TEXT, RESULTS) == TEXT
    assert f"({choosing_tables.PICTURE.name})" in TEXT
    assert choosing_tables.PICTURE.exists()


def test_the_kept_figures_are_those_of_the_contestants():
    assert RESULTS["seeds"] >= 10
    losses = {
        "imbalance": choosing.IMBALANCE,
        "symmetric noise": choosing.NOISE,
        "pair noise": choosing.NOISE,
    }
    assert {name: list(rows) for name, rows in RESULTS["experiments"].items()} == {
        name: list(rows) for name, rows in losses.items()
    }
    for rows in RESULTS["experiments"].values():
        for figures in rows.values():
            assert {len(values) for values in figures.values()} == {RESULTS["seeds"]}


def test_every_function_the_document_names_exists():
    names = set()
    for package in (xentjax.losses, xentjax.fused):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            names |= vars(importlib.import_module(module.name)).keys()
    named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+)+)`", TEXT))
    assert "softmax_cross_entropy" in named
    assert named <= names, f"unknown: {sorted(named - names)}"


def test_splits_share_no_image_and_hold_every_class_alike():
    parts = balanced_splits(2)
    for seed in range(2):
        rows = np.concatenate([part.features[seed] for part in parts])
        assert len(np.unique(rows, axis=0)) == len(rows)
        for part in parts:
            assert len(set(np.bincount(part.labels[seed], minlength=CLASSES))) == 1
    assert np.any(parts[0].features[0] != parts[0].features[1])


def test_long_tails_have_the_counts_they_say():
    task = choosing.long_tailed(2)
    for labels, counts in zip(task.train.labels, task.context["counts"], strict=True):
        np.testing.assert_array_equal(np.bincount(labels), counts)
    assert sorted(task.context["counts"][0]) == sorted(choosing.COUNTS)
    assert (choosing.COUNTS.max(), choosing.COUNTS.min()) == (100, 2)


@pytest.mark.parametrize("matrix", [choosing.symmetric_noise(), choosing.pair_noise()])
def test_labels_flip_as_often_as_the_matrix_says(matrix):
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), 4000)[None]
    noisy = choosing.flipped(Part(labels, labels), matrix, np.random.default_rng(0)).labels
    counts = np.zeros_like(matrix)
    np.add.at(counts, (labels, noisy), 1)
    # Five standard deviations of a count of 4000 draws.
    np.testing.assert_allclose(counts / 4000, matrix, atol=5 * 0.5 / 4000**0.5)


def test_validation_chooses_and_the_test_judges():
    """Rate 1, checkpoint 0 has the best validation; untuned is rate 1, checkpoint 1."""
    labels = np.repeat(np.arange(CLASSES), 2)[None]
    right = np.eye(CLASSES)[labels[0]]
    wrong = np.roll(right, 1, axis=1)
    first = np.where((labels[0] == 0)[:, None], right, wrong)
    validation = np.array([[[wrong, first], [right, wrong]]])
    test = np.array([[[wrong, wrong], [first, right]]])
    part = Part(labels, labels)
    task = Task(part, part, part, {"counts": np.array([[11.0] + [1.0] * 9])})
    scores = choosing.scores(Outputs(validation, validation, test), task)
    assert scores == {
        "chosen": [0.1],
        "chosen, worst class": [0.0],
        "chosen, as frequent as in training": [0.55],
        "untuned": [1.0],
    }


def test_intervals_are_students_and_differences_are_paired():
    # Mean 2, standard deviation 1, three seeds: 4.3027 / √3.
    mean, width = choosing_tables.interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert width == pytest.approx(4.30265 / 3**0.5, rel=1e-5)
    rows = {"a": {"end": [0.1, 0.5, 0.9]}, "b": {"end": [0.2, 0.6, 1.0]}}
    assert choosing_tables.gain(rows, "b", "a", "end") == pytest.approx((0.1, 0.0), abs=1e-9)


@pytest.mark.slow
def test_anchors_find_a_noise_matrix():
    task = choosing.noisy(choosing.pair_noise(), 2)
    estimated = task.context["estimated_noise"]
    np.testing.assert_allclose(estimated.sum(-1), 1, rtol=1e-5)
    # Most of a row stands where it belongs, on the class and the one it is taken for.
    belongs = choosing.pair_noise() > 0
    assert (estimated * belongs).sum(-1).mean() > 0.8
