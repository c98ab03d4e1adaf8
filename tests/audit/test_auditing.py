"""An audit runs every section that is asked for, in order, and outlives those that fail."""

import dataclasses
import inspect
import sys
import types
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rich.console import Console

from xentjax.audit.auditing import audit, audit_subject, measure_danger
from xentjax.audit.classifier import Classifier, Rows
from xentjax.audit.dangers import (
    CLASSIFIER_DANGERS,
    LANGUAGE_DANGERS,
    Danger,
    choose_dangers,
)
from xentjax.audit.heads import Head
from xentjax.audit.page import write_html
from xentjax.audit.report_json import read_json, write_json
from xentjax.audit.section import Section
from xentjax.audit.subjects import classifier_subject, language_subject
from xentjax.cli import main
from xentjax.cli.options import DangerKey
from xentjax.jobs.config import LanguageConfig, RunOptions, TabularConfig, TrainingOptions
from xentjax.jobs.corpus import read_corpus
from xentjax.jobs.language import language_task
from xentjax.jobs.reading import TrainedLanguage, read_run
from xentjax.jobs.tabular import train_tabular
from xentjax.train.record import read_records
from xentjax.train.runs import Run, create_run
from xentjax.train.state import TrainState

DATE = "2026-01-31"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    config = TabularConfig(
        dataset="digits",
        seed=4,
        steps=19,
        hidden=(16,),
        training=TrainingOptions(learning_rate=0.02),
        run=RunOptions(name="small", out=root),
    )
    made = create_run(root, "small")
    train_tabular(config, made, console=Console(quiet=True))
    return made.path


def found(key, verdict="good", finding="found"):
    return Section(key, key, f"{key}?", verdict, finding)


@pytest.fixture
def sections(monkeypatch):
    """Sections of the test's own, under the names that the tables have."""

    calls = []

    def overfitting_section(subject, *, seed, curve_repeats=3, progress=None):
        progress("fitting")
        calls.append((subject, seed, curve_repeats))
        return found("overfitting", finding=f"{subject.name} <b> {seed} {curve_repeats}")

    def fairness_section(_subject, **_options):
        raise ValueError("groups: " + "x" * 1000)

    def attribution_section(_subject, *, model):
        calls.append(model)
        return found("attribution", "act")

    functions = (overfitting_section, fairness_section, attribution_section)
    by_name = {function.__name__: function for function in functions}
    for danger in CLASSIFIER_DANGERS:
        module, name = danger.section.split(":")
        # None in sys.modules is a module that cannot be imported.
        fake = types.SimpleNamespace(**{name: by_name[name]}) if name in by_name else None
        monkeypatch.setitem(sys.modules, f"xentjax.audit.sections.{module}", fake)
    return calls


KEYS = [danger.key for danger in CLASSIFIER_DANGERS]


@pytest.mark.usefixtures("sections")
def test_sections_come_in_order_and_one_that_fails_is_said_to_be_unmeasured(run):
    told = []
    report = audit(run, date=DATE, only=KEYS[::-1], on_progress=lambda *words: told.append(words))
    assert [section.key for section in report.sections] == KEYS
    by_key = {section.key: section for section in report.sections}
    assert by_key["overfitting"].finding == "small <b> 0 3"
    assert by_key["attribution"].verdict == "act"
    failed = by_key["fairness"]
    assert failed.verdict == "unmeasured"
    assert failed.title == "Unequal treatment"
    assert failed.unmeasured[0].startswith("ValueError: groups: xxx")
    assert len(failed.unmeasured[0]) < 450
    assert by_key["privacy"].unmeasured[0].startswith("ModuleNotFoundError: ")
    assert told[:3] == [("Reading the run", ""), ("Overfitting", ""), ("Overfitting", "fitting")]


@pytest.mark.usefixtures("sections")
def test_errors_pass_where_they_are_asked_for(run):
    with pytest.raises(ValueError, match="groups: x"):
        audit(run, date=DATE, only=["fairness"], raise_errors=True)


def test_options_reach_the_sections_that_take_them(run, sections):
    audit(run, date=DATE, only=["overfitting", "attribution"], quick=True, draws=5)
    (subject, seed, repeats), model = sections
    assert (seed, repeats) == (5, 1)
    features = jnp.asarray(subject.test.features)
    np.testing.assert_array_equal(model(features), subject.predict(features))


@pytest.mark.usefixtures("sections")
def test_the_report_says_what_its_figures_depend_on(run):
    report = audit(run, date=DATE, only=["overfitting"], seed=4, draws=3)
    assert report.run == "small"
    assert report.sizes == {"training rows": 1259, "validation rows": 270, "test rows": 268}
    assert sum(report.sizes.values()) == 1797
    assert report.parameters == 64 * 16 + 16 + 16 * 10 + 10
    assert report.seeds == {"of the training": 4, "of the audit": 3}
    assert report.date == DATE
    assert len(report.data_sha256) == 64
    assert report.made_with == f"xentjax audit {run} --only overfitting --seed 4 --draws 3"
    assert {"jax", "xentjax", "numpy", "Python"} <= set(report.versions)


def test_the_command_without_a_run_asks_for_one(capsys):
    assert main(["audit"]) == 2
    assert "PATH" in capsys.readouterr().err


@pytest.mark.usefixtures("sections")
def test_a_classifier_of_ones_own_is_audited_without_a_run(run, tmp_path):
    trained = read_run(run)
    subject = dataclasses.replace(classifier_subject(trained), name="<mine>")
    ours = audit_subject(subject, date=DATE, data="scans", only=["overfitting"], draws=2)
    of_run = audit(run, date=DATE, only=["overfitting"], raise_errors=True)
    assert [section.finding for section in ours.sections] == ["<mine> <b> 2 3"]
    assert (ours.run, ours.data, ours.sizes) == ("<mine>", "scans", of_run.sizes)
    assert ours.parameters is None
    assert ours.seeds == {"of the audit": 2}
    write_html(ours, tmp_path / "audit.html")
    page = (tmp_path / "audit.html").read_text()
    assert "An audit of &lt;mine&gt;" in page
    assert "parameters" not in page.split("<dl")[1].split("</dl>")[0]
    write_json(ours, tmp_path / "audit.json")
    assert read_json(tmp_path / "audit.json").parameters is None
    with_model = audit_subject(subject, date=DATE, only=[KEYS[0]], model=trained.state.to_model())
    assert with_model.parameters == of_run.parameters
    other = dataclasses.replace(subject, test=subject.validation, groups={})
    changed = audit_subject(other, date=DATE, only=[KEYS[0]])
    assert changed.data_sha256 != ours.data_sha256 == with_model.data_sha256


def test_what_is_no_subject_is_refused():
    with pytest.raises(TypeError, match="must be a Classifier or a LanguageModel, got str; a run"):
        audit_subject("runs/digits", date=DATE)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": np.array([0, 2])}, ValueError, r"labels must lie in \[0, 2\), got 0 to 2"),
        ({"labels": np.array([-1, 1])}, ValueError, r"labels must lie in \[0, 2\), got -1 to 1"),
        ({"labels": np.array([0.0, 1.0])}, TypeError, "integer class indices, got float64"),
        ({"labels": np.array([0])}, ValueError, "of the same rows, got 2, 1 and 2"),
        ({"logits": np.zeros(2)}, ValueError, r"logits \[N, C\], got shapes \(2,\) and \(2,\)"),
        ({"features": np.zeros((3, 1))}, ValueError, "of the same rows, got 3, 2 and 2"),
    ],
)
def test_rows_that_do_not_belong_together_are_refused(change, error, message):
    rows = {"features": np.eye(2), "labels": np.array([0, 1]), "logits": np.eye(2)}
    Rows(**rows)
    with pytest.raises(error, match=message):
        Rows(**rows | change)


def test_a_subject_of_other_classes_or_groups_is_refused(run):
    subject = classifier_subject(read_run(run))
    with pytest.raises(ValueError, match=r"train: logits are of 10 classes, .* names 2"):
        dataclasses.replace(subject, class_names=("a", "b"))
    with pytest.raises(ValueError, match=r"groups\['ink'\] must name a group for each of the 268"):
        dataclasses.replace(subject, groups={"ink": np.array(["thin"])})


def test_a_danger_that_is_not_known_suggests_one():
    of_texts = "no danger 'memorization'; that is a danger of language models. It has overfitting"
    with pytest.raises(ValueError, match=of_texts):
        choose_dangers(CLASSIFIER_DANGERS, ["memorization"])
    with pytest.raises(ValueError, match="did you mean 'calibration'"):
        choose_dangers(LANGUAGE_DANGERS, ["calibratoin"])


def test_keys_are_distinct_words_that_the_command_takes():
    for table in (CLASSIFIER_DANGERS, LANGUAGE_DANGERS):
        keys = [danger.key for danger in table]
        assert len(set(keys)) == len(keys)
        assert set(keys) <= set(get_args(DangerKey))
    both = {danger.key for danger in (*CLASSIFIER_DANGERS, *LANGUAGE_DANGERS)}
    assert both == set(get_args(DangerKey))


def test_a_danger_without_its_module_is_unmeasured():
    danger = Danger(Head("k", "Title", "Why?"), "nowhere:nothing")
    section = measure_danger(danger, None, {})
    assert (section.key, section.title, section.question) == ("k", "Title", "Why?")
    assert section.verdict == "unmeasured"
    with pytest.raises(ModuleNotFoundError):
        measure_danger(danger, None, {}, raise_errors=True)


def test_the_classifier_of_a_run_says_what_the_tested_model_says(run):
    trained = read_run(run)
    subject = classifier_subject(trained)
    assert isinstance(subject, Classifier)
    assert subject.image_shape == (8, 8)
    assert subject.class_names == tuple("0123456789")
    for name in ("train", "validation", "test"):
        rows = getattr(subject, name)
        assert rows.logits.shape == (len(rows.labels), 10)
        assert rows.logits.dtype == np.float32
    score = trained.task.score(trained.state, "test")
    assert (subject.test.logits.argmax(-1) == subject.test.labels).sum() == score.correct
    steps = read_records(run / "seed-4" / "metrics.jsonl")[-1].step
    assert subject.steps == steps == 19
    assert subject.learning_rate == 0.02


def test_groups_are_thirds_of_the_training_rows_applied_to_the_test_rows(run):
    subject = classifier_subject(read_run(run))
    [(trait, groups)] = subject.groups.items()
    assert trait == "ink"
    assert groups.shape == subject.test.labels.shape
    ink = subject.test.features.mean(axis=1)
    thin, thick = (groups == f"{name} strokes" for name in ("thin", "thick"))
    assert ink[thin].max() <= ink[~thin].min()
    assert ink[thick].min() > ink[~thick].max()
    # A third of 268, ± three standard deviations √(269 · 1/3 · 2/3) = 7.7, and as much again for
    # the thirds, which are those of the training rows.
    assert all(abs((groups == name).sum() - 268 / 3) < 40 for name in set(groups))
    assert len(set(groups)) == 3


@pytest.mark.parametrize(
    ("optimizer", "rate", "wanted"),
    [("adamw", 0.5, 0.5), ("sgd", 0.5, 3e-3), ("adamw", None, 3e-3), ("prodigy", None, 3e-3)],
)
def test_cohorts_get_a_rate_that_suits_adam(run, optimizer, rate, wanted):
    trained = read_run(run)
    training = TrainingOptions(optimizer=optimizer, learning_rate=rate)
    changed = dataclasses.replace(
        trained, config=dataclasses.replace(trained.config, training=training)
    )
    assert classifier_subject(changed).learning_rate == wanted


def test_the_language_model_of_a_run_has_its_tokens_and_canaries(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("A line of text.\n" * 1000)
    config = LanguageConfig(text=path, block=16, layers=1, heads=2, width=16, steps=1)
    corpus = read_corpus(config)
    task = language_task(config, corpus)
    state = TrainState.create(task.make_model(0), optax.sgd(0.1), key=jax.random.key(0))
    trained = TrainedLanguage(Run(tmp_path), config, 0, corpus, ("secret",), task, state, 1)
    subject = language_subject(trained)
    assert (subject.block, subject.canaries) == (16, ("secret",))
    assert {name: part.dtype for name, part in subject.tokens.items()} == dict.fromkeys(
        ("train", "validation", "test"), np.dtype(np.int32)
    )
    assert subject.tokenizer.decode(subject.tokens["train"][:16]) == "A line of text.\n"


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.usefixtures("wide", "sections")
def test_the_command_writes_the_page_and_the_json_and_prints_the_verdicts(run, tmp_path, capsys):
    assert main(["audit", str(run), "--only", "overfitting", "attribution"]) == 0
    printed = capsys.readouterr().out
    assert "✖ act" in printed
    assert "small <b> 0 3" in printed
    page = run / "audit-overfitting-attribution.html"
    assert f"The report is in {page}" in printed
    assert "small &lt;b&gt; 0 3" in page.read_text()
    assert '"schema": 1' in page.with_suffix(".json").read_text()
    out = tmp_path / "a" / "b"
    words = ["--out", str(out), "--only", "overfitting", "overfitting", "--quick", "--seed", "4"]
    assert main(["audit", str(run), *words]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "audit-overfitting-quick.html",
        "audit-overfitting-quick.json",
    ]
    told = f"xentjax audit {run} --only overfitting --quick --seed 4 --out {out}"
    assert told in (out / "audit-overfitting-quick.html").read_text()


@pytest.mark.usefixtures("wide", "sections")
def test_a_place_that_cannot_be_written_is_found_before_anything_is_measured(
    run, tmp_path, capsys, sections
):
    file = tmp_path / "taken"
    file.write_text("kept")
    for out in (file, file / "below"):
        assert main(["audit", str(run), "--only", "overfitting", "--out", str(out)]) == 1
        assert "the report needs a directory that can be written" in capsys.readouterr().err
    assert sections == []
    assert file.read_text() == "kept"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["nowhere"], 1, "error: nowhere is no run: it does not exist"),
        (["RUN", "--only", "calibratoin"], 2, "did you mean 'calibration'?"),
        (["RUN", "--only", "memorization"], 1, "this model has no danger 'memorization'"),
        (["RUN", "--seed", "9"], 1, "has no seed 9; it has 4"),
        (["RUN", "--private", "--only", "fairness"], 1, "private belongs to the danger 'privacy'"),
        (["RUN", "--sed", "9"], 2, "unknown option '--sed': did you mean '--seed'?"),
        (["--quick"], 2, "PATH"),
        (["RUN", "--only"], 1, "--only wants a danger"),
    ],
)
@pytest.mark.usefixtures("wide")
def test_what_cannot_be_audited_is_said_in_a_line(run, words, status, message, capsys, tmp_path):
    words = [str(run) if word == "RUN" else word for word in words]
    assert main(["audit", *words, "--out", str(tmp_path / "out")]) == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_audit_lists_its_options_and_reads_a_file_of_them(run, tmp_path, capsys, monkeypatch):
    assert main(["audit", "--help"]) == 0
    assert "--only" in capsys.readouterr().out
    asked = {}
    monkeypatch.setattr(
        "xentjax.cli.auditing.run_audit", lambda options, _: asked.update(o=options)
    )
    file = tmp_path / "audit.toml"
    file.write_text('only = ["calibration", "fairness"]\nquick = true\n')
    assert main(["audit", "--config", str(file), str(run), "--draws", "4"]) == 0
    options = asked["o"]
    assert (options.run, options.only) == (run, ("calibration", "fairness"))
    assert (options.quick, options.draws) == (True, 4)


def test_overwriting_a_run_takes_its_audit_away(tmp_path):
    made = create_run(tmp_path, "digits")
    for name in ("audit.html", "audit.json", "canaries.json", "notes.txt"):
        (made.path / name).write_text("{}")
    create_run(tmp_path, "digits", overwrite=True)
    assert [path.name for path in made.path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    "danger", [*CLASSIFIER_DANGERS, *LANGUAGE_DANGERS], ids=lambda danger: danger.section
)
def test_every_section_of_the_tables_takes_a_subject_a_seed_and_its_quick_options(danger):
    taken = inspect.signature(danger.load()).parameters
    first, *_ = taken.values()
    assert first.name == "subject"
    assert {"seed", "progress", *danger.quick} <= set(taken)
