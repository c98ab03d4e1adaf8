"""The README's table of concepts: every function it names exists, and every notebook."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NAME = re.compile(r"`(xentjax(?:\.\w+)+)`")
LINK = re.compile(r"\]\((notebooks/[^)]+)\)")


def concept_rows():
    """The cells of each row under the heading, without the head and the names of the groups."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.split("\n## Concepts\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if not row[0].startswith("**")]


def resolve(name):
    """What a dotted name stands for."""
    room, _, last = name.rpartition(".")
    return getattr(importlib.import_module(room), last)


@pytest.mark.parametrize("row", concept_rows(), ids=lambda row: row[0])
def test_row_names_functions_and_notebooks_that_exist(row):
    _, functions, notebooks = row
    names, links = NAME.findall(functions), LINK.findall(notebooks)
    assert names
    assert links
    for name in names:
        assert callable(resolve(name)), name
    for link in links:
        assert (ROOT / link).is_file(), link


def test_every_notebook_stands_in_the_table():
    linked = {link for row in concept_rows() for link in LINK.findall(row[2])}
    written = {f"notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    assert linked == written


def test_name_that_does_not_exist_is_found():
    with pytest.raises(AttributeError):
        resolve("xentjax.losses.softmax_cross_entropy_of_nothing")
