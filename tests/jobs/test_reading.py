"""A run is read back as the model that was tested, or it is said what is wrong with it."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from xentjax.jobs import language
from xentjax.jobs.config import (
    ImageConfig,
    LanguageConfig,
    RunOptions,
    TabularConfig,
    TrainingOptions,
)
from xentjax.jobs.language import train_language, training_corpus
from xentjax.jobs.reading import read_run
from xentjax.jobs.stored_config import read_config
from xentjax.jobs.tabular import train_tabular
from xentjax.train.runs import create_run

QUIET = Console(quiet=True)
TEXT = "Ein Käuzchen saß im Wald.\nEs sang: der Mond ist groß.\n" * 120


def options(root, name):
    return RunOptions(name=name, out=root)


def configs(root):
    """Tiny runs; a high rate makes the best of the first not simply the last."""
    text = root / "rhyme.txt"
    text.write_text(TEXT)
    rows = TabularConfig(
        dataset="breast_cancer",
        seeds=2,
        steps=36,
        hidden=(8,),
        training=TrainingOptions(learning_rate=1.0, schedule="constant", ema=0.5),
        run=options(root, "rows"),
    )
    images = ImageConfig(seed=3, steps=4, widths=(4,), batch_size=128, run=options(root, "cnn"))
    words = LanguageConfig(
        text=text,
        tokens="char",
        steps=40,
        batch_size=4,
        block=16,
        layers=1,
        heads=2,
        width=16,
        sample_length=0,
        canaries=2,
        run=options(root, "words"),
    )
    return {"rows": rows, "cnn": images, "words": words}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The run of rows is trained; the others are trained by the slow tests alone."""
    root = tmp_path_factory.mktemp("runs")
    made = configs(root)
    train_tabular(made["rows"], create_run(root, "rows"), console=QUIET)
    for name, job in (("cnn", "cnn"), ("words", "gpt")):
        config = {"job": job, **dataclasses.asdict(made[name])}
        create_run(root, name).write_json("config.json", config)
    return root, made


def load(path, name):
    return json.loads((path / name).read_text())


def copy(runs, name, tmp_path):
    return Path(shutil.copytree(runs[0] / name, tmp_path / name))


@pytest.mark.parametrize("name", ["rows", "cnn", "words"])
def test_options_come_back_as_they_were_given(runs, name):
    root, configs = runs
    assert read_config(root / name) == configs[name]


@pytest.mark.parametrize("name", ["rows", "cnn", "words"])
def test_a_run_from_before_the_job_was_named_is_told_by_its_options(runs, name, tmp_path):
    path = copy(runs, name, tmp_path)
    content = load(path, "config.json")
    assert content.pop("job")
    content.pop("canaries", None)
    (path / "config.json").write_text(json.dumps(content))
    assert type(read_config(path)) is type(runs[1][name])


def check_rows(read, first):
    """Re-scored figures are those of summary.json: the same program on the same numbers."""
    summary = load(read.run.path, "summary.json")["seeds"][read.seed - first]
    score = read.task.score(read.state, "test")
    assert score.loss_nats == pytest.approx(summary["test_loss_nats"], rel=1e-6)
    assert score.correct / score.count == pytest.approx(summary["test_accuracy"])
    logits = read.state.to_model()(jnp.asarray(read.parts["test"]["features"]))
    right = np.asarray(logits).argmax(-1) == read.parts["test"]["labels"]
    assert right.sum() == score.correct


@pytest.mark.parametrize(("seed", "wanted"), [(None, 0), (1, 1)])
def test_the_model_of_rows_that_comes_back_is_the_one_that_was_tested(runs, seed, wanted):
    read = read_run(runs[0] / "rows", seed=seed)
    assert read.seed == wanted
    assert read.steps == 36
    check_rows(read, first=0)


@pytest.mark.slow
def test_the_model_of_images_that_comes_back_is_the_one_that_was_tested(tmp_path):
    config = configs(tmp_path)["cnn"]
    train_tabular(config, create_run(tmp_path, "cnn"), console=QUIET)
    read = read_run(tmp_path / "cnn")
    assert read.seed == 3
    check_rows(read, first=3)


def test_the_best_is_read_and_not_the_last(runs):
    read = read_run(runs[0] / "rows")
    path = runs[0] / "rows" / "seed-0" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    losses = [line["loss_nats"] for line in lines if line["split"] == "validation"]
    score = read.task.score(read.state, "validation")
    assert score.loss_nats == pytest.approx(min(losses), rel=1e-6)
    assert min(losses) < losses[-1] - 1e-4


@pytest.mark.slow
def test_the_language_model_that_comes_back_is_the_one_that_was_tested(tmp_path):
    train_language(configs(tmp_path)["words"], create_run(tmp_path, "words"), console=QUIET)
    read = read_run(tmp_path / "words")
    summary = load(tmp_path / "words", "summary.json")
    score = read.task.score(read.state, "test")
    assert score.loss_nats == pytest.approx(summary["test_loss_nats"], rel=1e-6)
    tokens = jnp.asarray(read.corpus.tokens["test"][None, :16])
    assert read.state.to_model()(tokens).shape == (1, 16, read.corpus.tokenizer.vocab_size)
    recorded = load(tmp_path / "words", "canaries.json")
    assert tuple(recorded["canaries"]) == read.canaries
    assert recorded["copies"] == [64, 16]


def test_canaries_are_planted_in_the_training_part_alone(tmp_path):
    corpus, canaries = training_corpus(configs(tmp_path)["words"])
    parts = {name: corpus.tokenizer.decode(tokens) for name, tokens in corpus.tokens.items()}
    for canary, copies in zip(canaries, (64, 16), strict=True):
        assert parts["train"].count(canary) == copies
        assert canary not in parts["validation"] + parts["test"]
    plain, none = training_corpus(dataclasses.replace(configs(tmp_path)["words"], canaries=0))
    assert none == ()
    assert plain.sha256 == corpus.sha256


def test_a_model_can_be_made_of_a_traced_key(runs):
    read = read_run(runs[0] / "rows")
    a, b = (read.task.make_model(jax.random.key(n)) for n in (0, 1))
    assert a.head.kernel.shape == b.head.kernel.shape
    assert not np.allclose(a.head.kernel[...], b.head.kernel[...])


def test_a_directory_that_is_no_run_names_the_runs_nearby(runs):
    root = runs[0]
    with pytest.raises(ValueError, match="row is no run: it does not exist; runs nearby") as error:
        read_run(root / "row")
    named = str(error.value).split("nearby: ")[1].split(", ")
    assert named[0] == str(root / "rows")
    assert set(named) >= {str(root / "cnn"), str(root / "words")}
    with pytest.raises(ValueError, match=r"has no config\.json; runs nearby"):
        read_run(root)


def test_where_no_run_is_near_a_command_makes_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="is no run: it does not exist; xentjax train digits"):
        read_run(tmp_path / "digits")


CHANGES = {
    "sweep": {"search": "grid"},
    "newer": {"xyzzy": 1},
    "job": {"job": "rnn"},
    "other rows held out": {"split_seed": 5},
    "data of no loader": {"dataset": "iris"},
    "no list": {"hidden": "x"},
    "list of texts": {"hidden": ["8"]},
    "no number": {"epochs": None},
    "a switch for a number": {"seeds": True},
    "a number out of range": {"epochs": 0},
    "no options": {"run": 3},
}


def damage(path, kind):
    """Make of a sound run one of another kind."""
    if kind == "unfinished":
        (path / "summary.json").unlink()
    elif kind == "no checkpoints":
        shutil.rmtree(path / "seed-0" / "checkpoints")
    elif kind == "other data":
        content = load(path, "environment.json")
        content["data"]["sha256"] = "0" * 64
        (path / "environment.json").write_text(json.dumps(content))
    elif kind == "no environment":
        (path / "environment.json").unlink()
    elif kind == "empty environment":
        (path / "environment.json").write_text("[]")
    elif kind == "no seeds":
        (path / "environment.json").write_text("{}")
    elif kind == "cut summary":
        (path / "summary.json").write_text('{"seeds": [')
    elif kind == "summary without figures":
        (path / "summary.json").write_text("{}")
    elif kind == "cut off":
        (path / "config.json").write_text('{"job": ')
    else:
        content = load(path, "config.json")
        content |= CHANGES.get(kind, {})
        if kind == "old":
            del content["training"]
        if kind == "few batches":
            content["training"]["overfit_batches"] = 2
        (path / "config.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("unfinished", r"is not finished: it has no summary\.json; go on .* --resume"),
        ("no checkpoints", "seed-0 has no checkpoints, so the model is lost; train it again"),
        ("other data", r"trained on breast_cancer with SHA-256 000000000000…, and what .* restore"),
        ("no environment", r"environment\.json is missing"),
        ("cut off", r"config\.json is damaged"),
        ("sweep", "is a sweep, which keeps no model"),
        ("old", "kept no checkpoints; train it again"),
        ("newer", "config.json: .*'xyzzy'"),
        ("job", "config.json: the job 'rnn' is not known"),
        ("few batches", "trained on 2 batches alone"),
        ("other rows held out", r"on its test split now, and summary\.json says"),
        ("empty environment", r"environment\.json is damaged: it holds no object"),
        ("no seeds", r"environment\.json is damaged: it has no seeds"),
        ("cut summary", r"summary\.json is damaged"),
        ("summary without figures", r"summary\.json is damaged: it has no seeds"),
        ("data of no loader", "dataset must be one of digits, breast_cancer, got 'iris'"),
        ("no list", "hidden must be a list of int, got 'x'"),
        ("list of texts", "hidden must be int, got '8'"),
        ("no number", "epochs must be int, got None"),
        ("a switch for a number", "seeds must be int, got True"),
        ("a number out of range", "epochs must be above 0"),
        ("no options", "RunOptions must be an object of options, got 3"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(runs, kind, message, tmp_path):
    path = copy(runs, "rows", tmp_path)
    damage(path, kind)
    with pytest.raises(ValueError, match=message):
        read_run(path)


def test_a_seed_that_was_not_trained_names_those_that_were(runs):
    with pytest.raises(ValueError, match="rows has no seed 7; it has 0, 1"):
        read_run(runs[0] / "rows", seed=7)


def test_checkpoints_from_before_there_were_canaries_can_be_resumed():
    # What a checkpoint was made with is compared by name: a new name would refuse old ones.
    assert "canaries" not in language._trained_with(LanguageConfig())
    assert language._trained_with(LanguageConfig(canaries=3))["canaries"] == 3
