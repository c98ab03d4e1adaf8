"""Where data comes from: a `Table` of labelled rows or a `Text`, with a hash of what was loaded.

Prefer the embedded sets to try an idea (they need no network and are the same everywhere),
`table_from_arrays` and `load_text` for your own. The hash goes into a run's record, so that a
figure can be traced to the bytes it was measured on.
"""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Labelled rows, checked once so that nothing after it has to.

    Attributes:
        name: what to call the data in a report.
        features: float32 `[N, F]`, finite.
        labels: int32 `[N]`, each in `[0, len(class_names))`.
        class_names: one name a class, in the order of the labels.
        sha256: hash of the features' bytes followed by the labels' bytes, in C order.
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]
    sha256: str

    def __post_init__(self) -> None:
        features, labels = self.features, self.labels
        if features.ndim != 2 or features.dtype != np.float32:
            raise ValueError(
                f"features must be float32 of shape (N, F), got {features.dtype} of shape "
                f"{features.shape}; table_from_arrays converts for you"
            )
        if labels.shape != features.shape[:1] or labels.dtype != np.int32:
            raise ValueError(
                f"labels must be int32 of shape ({features.shape[0]},), one label a row of "
                f"features, got {labels.dtype} of shape {labels.shape}"
            )
        if not np.isfinite(features).all():
            row, column = np.argwhere(~np.isfinite(features))[0]
            raise ValueError(
                f"features must be finite, got {features[row, column]} at row {row}, column "
                f"{column}; impute or drop the row first"
            )
        _check_label_range(labels, len(self.class_names))


@dataclasses.dataclass(frozen=True)
class Text:
    """A text as the bytes that were read.

    Attributes:
        name: what to call the data in a report.
        data: the raw bytes, the unit in which compression is compared.
        sha256: hash of `data`.
    """

    name: str
    data: bytes = dataclasses.field(repr=False)
    sha256: str

    @property
    def text(self) -> str:
        """The bytes decoded as UTF-8."""
        try:
            return self.data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{self.name} is not UTF-8: byte {self.data[error.start]:#04x} at offset "
                f"{error.start}; use .data with ByteTokenizer, which takes any bytes"
            ) from error


def table_from_arrays(
    name: str, features: Any, labels: Any, *, class_names: Sequence[str] | None = None
) -> Table:
    """Makes a `Table` of the user's own arrays.

    Args:
        name: what to call the data in a report.
        features: `[N, F]` numbers, converted to float32.
        labels: `[N]` integers in `[0, C)`.
        class_names: C names; by default "0", "1", … up to the largest label.

    Returns:
        The table, with its hash.

    Raises:
        ValueError: if shapes disagree, a feature is not finite, or a label is not an integer
            or lies outside the classes.

    Example:
        >>> table_from_arrays("two", [[0.0, 1.0], [2.0, 3.0]], [0, 1]).class_names
        ('0', '1')
    """
    features = np.ascontiguousarray(features, dtype=np.float32)
    labels = np.ascontiguousarray(labels)
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"labels must be integers, class indices from 0, got {labels.dtype}; "
            "np.unique(labels, return_inverse=True) turns names into indices"
        )
    if class_names is None:
        class_names = [str(label) for label in range(int(labels.max(initial=-1)) + 1)]
    # In the labels' own dtype: 2**32 would become class 0 on its way to int32.
    _check_label_range(labels, len(class_names))
    labels = labels.astype(np.int32)
    digest = hashlib.sha256(features.tobytes() + labels.tobytes()).hexdigest()
    return Table(name, features, labels, tuple(class_names), digest)


def load_digits() -> Table:
    """Handwritten digits: 1797 images of 8 × 8 pixels in 10 classes, scaled to [0, 1].

    Returns:
        The table; features are `[1797, 64]`.

    Raises:
        ImportError: if scikit-learn, which carries the data, is not installed.

    Example:
        >>> load_digits().features.shape
        (1797, 64)

    Reference:
        E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """
    bunch = _sklearn_datasets().load_digits()
    # Pixels count the set bits of 4 × 4 blocks: integers from 0 to 16.
    names = [str(name) for name in bunch.target_names]
    return table_from_arrays("digits", bunch.data / 16.0, bunch.target, class_names=names)


def load_breast_cancer() -> Table:
    """Breast cancer diagnosis: 569 tumours, 30 measurements, malignant (0) or benign (1).

    The features are raw and differ in scale by a factor of 10⁵; `standardize` them with the
    statistics of the training split.

    Returns:
        The table; features are `[569, 30]`.

    Raises:
        ImportError: if scikit-learn, which carries the data, is not installed.

    Example:
        >>> load_breast_cancer().class_names
        ('malignant', 'benign')

    Reference:
        W. Wolberg, O. Mangasarian, N. Street and W. Street, "Breast Cancer Wisconsin
        (Diagnostic)", UCI, 1995.
    """
    bunch = _sklearn_datasets().load_breast_cancer()
    names = [str(name) for name in bunch.target_names]
    return table_from_arrays("breast_cancer", bunch.data, bunch.target, class_names=names)


def load_manual() -> Text:
    """The Python manual's help topics: English that every Python installation carries.

    All of `pydoc_data.topics`, sorted by topic and joined by a blank line: 465,000 to 511,000
    characters from Python 3.11 to 3.13, which is why the hash differs between versions.

    Returns:
        The text, encoded as UTF-8.

    Example:
        >>> len(load_manual().text) > 400_000
        True
    """
    from pydoc_data.topics import topics

    data = "\n\n".join(topics[topic] for topic in sorted(topics)).encode("utf-8")
    return Text("manual", data, hashlib.sha256(data).hexdigest())


def load_text(path: str | os.PathLike[str]) -> Text:
    """Reads a file of the user's own.

    Args:
        path: the file; any bytes are accepted, UTF-8 is wanted only by `Text.text`.

    Returns:
        The text, named after the file without its ending.

    Raises:
        ValueError: if the file is empty.
    """
    path = Path(path)
    data = path.read_bytes()
    if not data:
        raise ValueError(f"path names an empty file: {path}")
    return Text(path.stem, data, hashlib.sha256(data).hexdigest())


def _check_label_range(labels: np.ndarray, classes: int) -> None:
    outside = (labels < 0) | (labels >= classes)
    if outside.any():
        row = int(np.argmax(outside))
        raise ValueError(
            f"labels must lie in [0, {classes}), one index a class name, got {labels[row]} at "
            f"row {row}"
        )


def _sklearn_datasets() -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise ImportError(
            'this data set comes with scikit-learn: pip install "xentjax[data]"'
        ) from error
    return datasets
