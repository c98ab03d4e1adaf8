"""The commands around training, end to end on tiny runs: resume, search, summarize, draw."""

import json

import pytest

from xentjax.cli import main
from xentjax.cli import training as module
from xentjax.jobs.task import Interrupted

PNG = b"\x89PNG\r\n\x1a\n"
TINY = ["--steps", "6", "--hidden", "8", "--batch-size", "32", "--checkpoint-every", "3"]


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.slow
def test_a_training_that_was_ended_is_resumed_to_the_same_figures(tmp_path, capsys, monkeypatch):
    assert main(["train", "digits", *TINY, "--name", "alone", "--out", str(tmp_path)]) == 0
    words = ["train", "digits", *TINY, "--name", "ended", "--out", str(tmp_path)]
    # Told to end after its first call of two, as by SIGTERM.
    polls = iter(["terminated by SIGTERM; resume to go on"])
    monkeypatch.setattr(
        "xentjax.train.fitting.shared_interruption", lambda _: lambda: next(polls, None)
    )
    assert main(words) == 0
    assert "digits, seed 0, step" in (printed := capsys.readouterr().out)
    assert "terminated by SIGTERM; resume to go on. The checkpoint is in" in printed
    assert not (tmp_path / "ended" / "summary.json").exists()
    assert main([*words, "--resume"]) == 0
    alone, ended = (summary_of(tmp_path / name)["seeds"][0] for name in ("alone", "ended"))
    assert {**alone, "seconds": 0} == {**ended, "seconds": 0}
    # Another learning rate is another run.
    assert main([*words, "--resume", "--learning-rate", "0.5"]) == 1
    assert "training.learning_rate: None in the checkpoint, 0.5 now" in capsys.readouterr().err


def test_ctrl_c_in_good_order_is_said_once_and_ends_with_130(tmp_path, capsys, monkeypatch):
    def train(*_, **__):
        raise Interrupted("digits, seed 0, step 3: terminated by SIGINT; resume to go on")

    monkeypatch.setattr(module, "train_tabular", train)
    assert main(["train", "digits", *TINY, "--out", str(tmp_path)]) == 130
    printed = capsys.readouterr()
    assert printed.out.count("SIGINT") == 1
    assert printed.err == ""


@pytest.mark.slow
def test_a_fast_dev_run_of_the_cnn_keeps_nothing(tmp_path, capsys):
    words = ["train", "cnn", "--fast-dev-run", "--widths", "4", "--batch-size", "32"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert list(tmp_path.iterdir()) == []
    assert "nothing is kept" in capsys.readouterr().out


def test_a_sweep_writes_its_table_and_its_pictures(tmp_path, capsys):
    words = ["sweep", "digits", "--trials", "4", "--steps", "18", "--widths", "8", "--halving"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    folder = tmp_path / "sweep"
    for name in ("heat_map.png", "parallel.png"):
        assert (folder / name).read_bytes().startswith(PNG)
    rows = json.loads((folder / "sweep.json").read_text())["rows"]
    assert len(rows) == 4
    assert [row["steps"] for row in rows] == sorted((r["steps"] for r in rows), reverse=True)
    printed = capsys.readouterr().out
    assert f"{rows[0]['validation_nats']:.4f}" in printed
    assert "on the test rows" in printed


def test_a_range_test_draws_its_curve_and_suggests(tmp_path, capsys):
    picture = tmp_path / "new" / "curve.png"
    words = ["lr-find", "digits", "--hidden", "8", "--tries", "20", "--low", "1e-4"]
    assert main([*words, "--picture", str(picture)]) == 0
    assert picture.read_bytes().startswith(PNG)
    assert "minimum_tenth" in capsys.readouterr().out
    assert main([*words, "--ema", "0.9", "--resume"]) == 1
    assert "lr-find has no use for" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "parameters"),
    [
        (["mlp", "--hidden-features", "8"], 64 * 8 + 8 + 8 * 10 + 10),
        (["gpt", "--layers", "1", "--width", "16"], 256 * 16 + 12 * 16**2 + 2 * 16 + 16),
        (["rnn", "--cell", "gru", "--width", "8"], None),
        (["cnn"], None),
    ],
)
def test_a_summary_counts_parameters(words, parameters, capsys):
    assert main(["summary", *words]) == 0
    printed = capsys.readouterr().out
    if parameters:
        assert f"{parameters:,} parameters" in printed
    assert main(["summary", *words, "--batch", "0"]) == 1


def test_schedules_are_drawn(tmp_path):
    picture = tmp_path / "schedules.png"
    names = ["constant", "sgdr", "triangular"]
    assert main(["plot", "schedule", "--names", *names, "--out", str(picture)]) == 0
    assert picture.read_bytes().startswith(PNG)
    assert main(["plot", "schedule", "--out", str(tmp_path)]) == 1
