"""`xentjax audit --private` reaches the section on membership, and says early where it cannot."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from tests.audit.reports import make_report
from xentjax.audit import auditing
from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.language_model import LanguageModel
from xentjax.audit.section import Section
from xentjax.cli import main
from xentjax.jobs.reading import TrainedLanguage

DATE = "2026-01-31"


def report(made_with):
    return make_report([], made_with=made_with)


def classifier():
    rows = Rows(np.eye(2), np.array([0, 1]), np.eye(2))
    return Classifier("a", ("b", "c"), rows, rows, rows, abs, abs, 1, 1, 0.1)


@pytest.fixture
def measured(monkeypatch):
    """What the sections of an audit of some classifier are given, by key."""
    given = {}

    def measure(danger, _subject, options, **_):
        given[danger.key] = options
        return Section(*danger.head, "good", "found")

    trained = SimpleNamespace(
        config=None,
        seed=0,
        state=SimpleNamespace(to_model=lambda: None, parameter_count=1),
        table=SimpleNamespace(name="rows", sha256=""),
    )
    monkeypatch.setattr(auditing, "read_run", lambda *_, **__: trained)
    monkeypatch.setattr(auditing, "classifier_subject", lambda _: classifier())
    monkeypatch.setattr(auditing, "model_name", lambda _: "MLP")
    monkeypatch.setattr(auditing, "measure_danger", measure)
    monkeypatch.setattr(auditing, "_report", lambda *_, made_with, **__: report(made_with))
    return given


@pytest.mark.parametrize("private", [True, False])
def test_the_option_reaches_the_sections(measured, private):
    pytest.importorskip("jax_privacy", reason="the accountant (extra privacy)")
    made_with = auditing.audit("runs/a", date=DATE, only=["privacy"], private=private).made_with
    assert measured["privacy"]["private"] is private
    assert made_with == "xentjax audit runs/a --only privacy" + " --private" * private


def test_without_the_danger_it_belongs_to_it_is_refused(measured):
    with pytest.raises(
        ValueError, match="private belongs to the danger 'privacy': add it to --onl"
    ):
        auditing.audit("runs/a", date=DATE, only=["fairness"], private=True)
    assert not measured


def test_for_a_language_model_it_is_refused(monkeypatch):
    language = object.__new__(TrainedLanguage)
    subject = LanguageModel("a", lambda _: None, None, {}, block=1)
    state = SimpleNamespace(to_model=lambda: None)
    object.__setattr__(language, "state", state)
    monkeypatch.setattr(auditing, "read_run", lambda *_, **__: language)
    monkeypatch.setattr(auditing, "language_subject", lambda _: subject)
    with pytest.raises(ValueError, match="private is for classifiers, and a is a language model"):
        auditing.audit("runs/a", date=DATE, private=True)


def test_a_missing_accountant_names_its_extra_before_anything_is_measured(
    measured, monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(sys.modules, "jax_privacy", None)
    assert main(["audit", "runs/a", "--private"]) == 1
    assert 'pip install "xentjax[privacy]"' in capsys.readouterr().err
    assert not measured
