"""What a classifier says of labelled rows, read once and kept exact in double precision.

Everything is computed from the logits. Where the likeliest class wins by 40, its probability is 1
in any dtype, but −log p = log1p(Σ_{j ≠ top} exp(x_j − x_top)) keeps all its digits.
"""

import dataclasses
import functools

import numpy as np

from xentjax.audit.given import Given, array_of, labels_of


@dataclasses.dataclass(frozen=True)
class ClassScores:
    """Logits and labels of the same rows.

    Attributes:
        logits: float64 [N, C], finite.
        labels: int64 [N], in [0, C).
    """

    logits: np.ndarray
    labels: np.ndarray

    @functools.cached_property
    def log_probabilities(self) -> np.ndarray:
        """[N, C], nats; exact at every margin."""
        return log_softmax(self.logits)

    @functools.cached_property
    def correct(self) -> np.ndarray:
        """[N] booleans: whether the first of the largest logits is the label's."""
        return self.logits.argmax(axis=1) == self.labels

    @property
    def log_confidence(self) -> np.ndarray:
        """[N], nats: the log-probability of the likeliest class."""
        return self.log_probabilities.max(axis=1)

    @property
    def confidence(self) -> np.ndarray:
        """[N]: the probability of the likeliest class."""
        return np.exp(self.log_confidence)

    @property
    def losses(self) -> np.ndarray:
        """[N], nats: the cross-entropy of every row."""
        return -self.log_probabilities[np.arange(len(self.labels)), self.labels]


def read_class_scores(logits: Given, labels: Given) -> ClassScores:
    """Checks logits [N, C] and labels [N], and takes them to double precision.

    Raises:
        TypeError: labels are not integers.
        ValueError: shapes do not fit, there is no row or a single class, a logit is not finite or
            a label lies outside [0, C).
    """
    values = read_logits(logits)
    n, classes = values.shape
    return ClassScores(values, labels_of(labels, rows=n, classes=classes))


def read_logits(logits: Given) -> np.ndarray:
    """Checks logits [N, C] and takes them to float64."""
    values = array_of(logits, "logits")
    if values.ndim != 2 or values.shape[0] < 1 or values.shape[1] < 2:
        raise ValueError(
            "logits must be [N, C] with at least 1 row and 2 classes, got shape "
            f"{values.shape}; for one logit x of an event give [0, x]"
        )
    values = values.astype(np.float64)
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise ValueError(
            f"logits must be finite, got {values[row, column]} at row {row}, class {column}; "
            "if a class is masked, leave its column out"
        )
    return values


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities [N, C] in float64, exact at every margin."""
    rows = np.arange(len(logits))
    top = logits.argmax(axis=1)
    shifted = logits - logits[rows, top][:, None]
    others = np.exp(shifted)
    # Without the top's own 1, which would swallow what is below 1e-16.
    others[rows, top] = 0.0
    return shifted - np.log1p(others.sum(axis=1))[:, None]
