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
        labels: integers [N], in [0, C).
        logits: floats [N, C], what the audited model says of them.

    Raises:
        ValueError: if they are not of the same N, or a label is no index of a class.
        TypeError: if one is no numpy array, or labels are no integers.
    """

    features: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    def __post_init__(self) -> None:
        for name in ("features", "labels", "logits"):
            if not isinstance(getattr(self, name), np.ndarray):
                kind = type(getattr(self, name)).__name__
                raise TypeError(f"{name} must be a numpy array, got {kind}; use np.asarray")
        if not np.issubdtype(self.labels.dtype, np.integer):
            raise TypeError(f"labels must be integer class indices, got {self.labels.dtype}")
        if self.labels.ndim != 1 or self.logits.ndim != 2:
            raise ValueError(
                f"labels must be [N] and logits [N, C], got shapes {self.labels.shape} and "
                f"{self.logits.shape}"
            )
        if not len(self.features) == len(self.labels) == len(self.logits):
            raise ValueError(
                f"features, labels and logits must be of the same rows, got "
                f"{len(self.features)}, {len(self.labels)} and {len(self.logits)}"
            )
        classes = self.logits.shape[1]
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < classes:
            raise ValueError(
                f"labels must lie in [0, {classes}), got {self.labels.min()} to {self.labels.max()}"
            )


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

    Raises:
        ValueError: if the logits are not of as many classes as there are names, or a grouping is
            not of the test rows.
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

    def __post_init__(self) -> None:
        for name in ("train", "validation", "test"):
            classes = getattr(self, name).logits.shape[1]
            if classes != len(self.class_names):
                raise ValueError(
                    f"{name}: logits are of {classes} classes, and class_names names "
                    f"{len(self.class_names)}"
                )
        for name, names in self.groups.items():
            if np.shape(names) != self.test.labels.shape:
                raise ValueError(
                    f"groups[{name!r}] must name a group for each of the "
                    f"{len(self.test.labels)} test rows, got shape {np.shape(names)}"
                )
