"""The subject of an audit of a classifier: its data, what it says of them, how it is trained."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Rows:
    """Labelled examples of one split.

    Attributes:
        features: [N, …], as the model takes them.
        labels: int32 [N].
        logits: float32 [N, C], what the audited model says of them.
    """

    features: np.ndarray
    labels: np.ndarray
    logits: np.ndarray


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A trained classifier and all that its audit may ask.

    Attributes:
        name: of the run.
        class_names: in the order of the logits.
        train: the rows it was trained on.
        validation: those that chose its parameters.
        test: those it has not seen.
        predict: JAX features [n, …] → logits [n, C], in evaluation mode, differentiable.
        make_model: typed JAX key → a new model of the same kind, for `train_cohort`.
        steps: optimizer steps that it was trained for.
        batch_size: rows a step.
        learning_rate: the peak it was trained with.
        image_shape: (height, width) of features that are pixels, or None.
        groups: name of a grouping → the group's name of each test row, [N_test].
    """

    name: str
    class_names: tuple[str, ...]
    train: Rows
    validation: Rows
    test: Rows
    predict: Callable[[Any], Any]
    make_model: Callable[[Any], Any]
    steps: int
    batch_size: int
    learning_rate: float
    image_shape: tuple[int, int] | None = None
    groups: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
