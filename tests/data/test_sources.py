"""The sources load what they say, and refuse what would train wrongly."""

import builtins
import hashlib
import pydoc_data.topics

import numpy as np
import pytest

from xentjax.data import (
    Table,
    load_breast_cancer,
    load_digits,
    load_manual,
    load_text,
    table_from_arrays,
)


def test_digits_are_the_1797_images_scaled_to_the_unit_interval():
    table = load_digits()
    assert table.features.shape == (1797, 64)
    assert (table.features.dtype, table.labels.dtype) == (np.float32, np.int32)
    assert (table.features.min(), table.features.max()) == (0.0, 1.0)
    # Class counts as published with the data set.
    np.testing.assert_array_equal(
        np.bincount(table.labels), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    )


def test_breast_cancer_is_raw_with_212_malignant_and_357_benign():
    table = load_breast_cancer()
    assert table.features.shape == (569, 30)
    assert table.class_names == ("malignant", "benign")
    np.testing.assert_array_equal(np.bincount(table.labels), [212, 357])
    assert table.features.max() > 4000  # the worst area, in its own unit


def test_table_hash_is_of_features_then_labels_and_changes_with_one_number():
    features, labels = np.eye(3, dtype=np.float32), np.arange(3, dtype=np.int32)
    table = table_from_arrays("eye", features, labels)
    assert table.sha256 == hashlib.sha256(features.tobytes() + labels.tobytes()).hexdigest()
    assert table_from_arrays("eye", 2 * features, labels).sha256 != table.sha256
    assert table_from_arrays("eye", np.asfortranarray(features), labels).sha256 == table.sha256


def test_manual_holds_every_topic_in_order_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(builtins, "__import__", _import_without("sklearn"))
    manual = load_manual()
    topics = pydoc_data.topics.topics
    assert manual.text == "\n\n".join(topics[name] for name in sorted(topics))
    assert manual.sha256 == hashlib.sha256(manual.data).hexdigest()


def test_missing_scikit_learn_names_the_extra(monkeypatch):
    monkeypatch.setattr(builtins, "__import__", _import_without("sklearn"))
    with pytest.raises(ImportError, match=r'pip install "xentjax\[data\]"'):
        load_digits()


def test_text_file_round_trips_its_bytes(tmp_path):
    path = tmp_path / "poem.txt"
    path.write_bytes("né\r\n".encode())
    text = load_text(path)
    assert (text.name, text.data, text.text) == ("poem", b"n\xc3\xa9\r\n", "né\r\n")


def test_text_that_is_not_utf8_says_where_and_what_to_do(tmp_path):
    path = tmp_path / "raw.bin"
    path.write_bytes(b"ab\xff")
    with pytest.raises(ValueError, match=r"raw is not UTF-8: byte 0xff at offset 2.*ByteTokenizer"):
        _ = load_text(path).text


def test_empty_file_is_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(ValueError, match="empty file"):
        load_text(path)


@pytest.mark.parametrize(
    ("features", "labels", "names", "message"),
    [
        ([[1.0], [np.nan]], [0, 1], None, "got nan at row 1, column 0"),
        ([[1.0]], [0, 1], None, r"labels must be int32 of shape \(1,\).*\(2,\)"),
        ([1.0, 2.0], [0, 1], None, r"features must be float32 of shape \(N, F\)"),
        ([[1.0], [2.0]], [0.0, 1.0], None, "labels must be integers.*np.unique"),
        ([[1.0], [2.0]], [0, -1], None, r"\[0, 1\).*got -1 at row 1"),
        ([[1.0], [2.0]], [0, 2], ("a", "b"), r"\[0, 2\).*got 2 at row 1"),
        ([[1.0], [2.0]], np.array([0, 2**32]), ("a", "b"), "got 4294967296 at row 1"),
    ],
)
def test_bad_tables_are_refused(features, labels, names, message):
    with pytest.raises(ValueError, match=message):
        table_from_arrays("bad", features, labels, class_names=names)


def test_table_refuses_double_precision_and_names_the_converter():
    with pytest.raises(ValueError, match=r"float64.*table_from_arrays"):
        Table("bad", np.ones((2, 1)), np.zeros(2, np.int32), ("a",), "")


def _import_without(package):
    real = builtins.__import__

    def importer(name, *args, **kwargs):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    return importer
