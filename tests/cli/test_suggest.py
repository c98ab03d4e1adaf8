"""Suggestions name the nearest known word, and nothing where none is near."""

import pytest

from xentjax.cli.suggest import suggestions


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("trian", ["unknown command 'trian': did you mean 'train'?"]),
        ("train GTP", ["unknown command 'GTP': did you mean 'gpt'?"]),
        ("train digits --dataset cancer", ["'cancer': did you mean 'breast_cancer'?"]),
        ("train digits --activation=Rulu", ["'Rulu': did you mean 'relu'?"]),
        ("train digits --wd 0", ["unknown option '--wd': did you mean '--weight-decay'?"]),
        ("train gpt --batch_sise 3", ["'--batch-sise': did you mean '--batch-size'?"]),
        ("train gpt --steps x --batch_size 3 --optimizer adam", []),
        ("xyzzy", []),
        ("train --help", []),
        ("train gpt --optimizer", []),
        ("", []),
    ],
)
def test_suggestions_are_the_nearest_known_word(words, wanted):
    found = suggestions(words.split())
    assert len(found) == len(wanted)
    assert all(line.endswith(end) for line, end in zip(found, wanted, strict=True))
