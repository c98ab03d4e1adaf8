"""Which training rows an answer rests on, as a table and a picture of that section."""

from typing import Any, NamedTuple

import numpy as np

from xentjax.audit.classifier import Classifier
from xentjax.audit.influence import gradient_influence
from xentjax.audit.section import Grid, Picture, picture
from xentjax.audit.sections.explanations import as_image, called
from xentjax.plots.neighbours import Neighbours, draw_neighbours

_TESTS = 4
_SHOWN = 4
# A multiple of how many are held at once, so that one loop body is compiled and not two.
_TRAINING_ROWS = 512


class InfluentialRows(NamedTuple):
    """Test rows and the training rows whose gradients are most alike theirs."""

    tests: np.ndarray
    answers: np.ndarray
    nearest: np.ndarray  # [tests, shown], positions in the training split
    cosine: np.ndarray  # of the same shape


def influential_rows(subject: Classifier, model: Any, seed: int) -> InfluentialRows:
    """Asks of some test rows, wrong ones first, which training rows pull towards the answer given.

    The loss is that of the model's answer, not of the true label: the rows found are those that
    made the model say what it says.
    """
    rng = np.random.default_rng(seed)
    test, train = subject.test, subject.train
    answers = test.logits.argmax(axis=1)
    order = rng.permutation(len(test.labels))
    tests = order[np.argsort(answers[order] == test.labels[order], kind="stable")][:_TESTS]
    if (answers[tests] != test.labels[tests]).all() and len(order) > len(tests):
        # One right answer to compare with.
        right = order[answers[order] == test.labels[order]]
        tests = np.concatenate([tests[: _TESTS - 1], right[:1]])
    rows = np.sort(rng.permutation(len(train.labels))[:_TRAINING_ROWS])
    found = gradient_influence(
        model, train.features[rows], train.labels[rows], test.features[tests], answers[tests]
    )
    top = np.stack([found.most(number, _SHOWN) for number in range(len(tests))])
    return InfluentialRows(
        tests, answers[tests], rows[top], np.take_along_axis(found.cosine, top, axis=1)
    )


def influence_grid(subject: Classifier, found: InfluentialRows) -> Grid:
    """A line for each test row."""
    labels = subject.train.labels
    lines = [
        [
            f"{test}",
            called(subject, int(subject.test.labels[test]), int(answer)),
            ", ".join(
                f"{row} ({subject.class_names[labels[row]]}, {alike:.2f})"
                for row, alike in zip(nearest, cosine, strict=True)
            ),
        ]
        for test, answer, nearest, cosine in zip(*found, strict=True)
    ]
    return Grid(
        "Training rows an answer rests on",
        ["test row", "what it is", "training rows (label, likeness of gradients)"],
        lines,
        "A likeness of 1 is a gradient of the same direction. Look at a training row with a "
        "label that surprises: it may be labelled wrongly.",
    )


def influence_picture(subject: Classifier, found: InfluentialRows) -> Picture:
    """The same for images."""
    shape, train = subject.image_shape, subject.train
    assert shape is not None
    rows = [
        Neighbours(
            called(subject, int(subject.test.labels[test]), int(answer)),
            as_image(subject.test.features[test], shape),
            [as_image(train.features[row], shape) for row in nearest],
            [subject.class_names[train.labels[row]] for row in nearest],
            [bool(train.labels[row] == subject.test.labels[test]) for row in nearest],
        )
        for test, answer, nearest, _ in zip(*found, strict=True)
    ]
    return picture(
        "Training images an answer rests on",
        "Left a test image, right of it the training images whose gradients are most alike; a "
        "blue frame has the test image's label, a red one another.",
        draw_neighbours,
        rows,
        "Training images an answer rests on",
    )
