"""The commands, end to end on tiny runs: what they write, what they print, how they refuse."""

import json

import pytest

import xentjax
from xentjax.cli import main
from xentjax.jobs import language, tabular, task

TINY = {
    "digits": ["--steps", "6", "--hidden", "16", "--batch-size", "32"],
    "gpt": ["--steps", "4", "--batch-size", "4", "--block", "16", "--layers", "1", "--heads", "2"],
}
TINY["gpt"] += ["--width", "16", "--sample-length", "5"]
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "rhyme.txt"
    path.write_text("Ein Käuzchen saß im Wald und sang: der Mond ist groß. " * 60)
    return path


@pytest.fixture
def wide(monkeypatch):
    """A terminal wide enough that no line is broken."""
    monkeypatch.setenv("COLUMNS", "200")


def load(folder, name):
    return json.loads((folder / name).read_text())


def load_metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def _never(*_, **__):
    raise AssertionError("must not be reached")


@pytest.mark.usefixtures("wide")
def test_digits_writes_its_run_and_prints_its_accuracy_over_the_seeds(tmp_path, capsys):
    assert main(["train", "digits", "--seeds", "2", "--out", str(tmp_path), *TINY["digits"]]) == 0
    folder = tmp_path / "digits"
    assert (folder / "curves.png").read_bytes().startswith(PNG)
    assert load(folder, "config.json")["hidden"] == [16]
    environment, summary = load(folder, "environment.json"), load(folder, "summary.json")
    assert environment["seeds"] == [0, 1]
    assert len(environment["data"]["sha256"]) == 64
    assert sum(summary["rows"].values()) == 1797
    accuracies = [seed["test_accuracy"] for seed in summary["seeds"]]
    assert summary["test_accuracy"] == pytest.approx(sum(accuracies) / 2)
    # The sample standard deviation of two numbers is their distance over √2.
    assert summary["test_accuracy_std"] == pytest.approx(
        abs(accuracies[0] - accuracies[1]) / 2**0.5
    )
    for seed in (0, 1):
        steps = [(x["split"], x["step"]) for x in load_metrics(folder / f"seed-{seed}")]
        assert steps == [("validation", 0), ("train", 6), ("validation", 6)]
    printed = capsys.readouterr().out
    assert f"{summary['test_accuracy']:.2%} ± {summary['test_accuracy_std']:.2%}" in printed
    assert f"{summary['test_loss_nats']:.4f}" in printed
    assert f"{summary['test_loss_bits']:.4f}" in printed


@pytest.mark.usefixtures("wide")
def test_gpt_prints_bits_per_byte_beside_the_compressors(tmp_path, capsys):
    assert main(["train", "gpt", "--out", str(tmp_path), *TINY["gpt"]]) == 0
    folder = tmp_path / "gpt"
    assert (folder / "curves.png").read_bytes().startswith(PNG)
    summary = load(folder, "summary.json")
    # A byte is a token here, so its bits are the bits per byte.
    assert summary["bits_per_byte"] == pytest.approx(summary["test_loss_bits"], rel=1e-5)
    assert 2.5 < summary["test_unigram_nats"] < 3.5
    assert summary["sample"].startswith("The ")
    assert [line["step"] for line in load_metrics(folder)] == [0, 4, 4]
    printed = capsys.readouterr().out
    for name, figures in summary["compressors"].items():
        assert name in printed
        assert f"{figures['alone']:.3f}" in printed
    assert f"{summary['bits_per_byte']:.3f}" in printed
    assert f"unigram entropy {summary['validation_unigram_nats']:.3f}" in printed
    assert "a sample" in printed


@pytest.mark.slow
def test_characters_are_counted_as_characters_and_scored_per_byte(tmp_path, text):
    words = ["train", "gpt", "--text", str(text), "--tokens", "char", "--prompt", "Der "]
    # No capital D in the text: the prompt cannot be encoded, and the error says so.
    assert main([*words, "--out", str(tmp_path / "a"), *TINY["gpt"]]) == 1
    words[-1] = "Käuz"
    assert main([*words, "--out", str(tmp_path / "b"), *TINY["gpt"]]) == 0
    summary = load(tmp_path / "b" / "gpt", "summary.json")
    whole = text.read_text()
    held_out = whole[len(whole) - round(len(whole) * 0.05) :]
    ratio = len(held_out) / len(held_out.encode())
    assert ratio < 1
    assert summary["split_bytes"]["test"] == len(held_out.encode())
    assert summary["bits_per_byte"] == pytest.approx(summary["test_loss_bits"] * ratio, rel=1e-5)
    assert summary["sample"].startswith("Käuz")
    assert len(summary["sample"]) == 4 + 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tokens", "char", "--prompt", "Der "], "prompt has the character 'D' at position 0"),
        (["--top-k", "257"], "top_k must be at most 256, the size of the vocabulary, got 257"),
    ],
)
@pytest.mark.usefixtures("wide")
def test_a_sample_that_cannot_be_drawn_is_refused_before_the_training(
    words, message, tmp_path, text, capsys, monkeypatch
):
    monkeypatch.setattr(task, "fit", _never)
    assert main(["train", "gpt", "--text", str(text), *words, "--out", str(tmp_path / "runs")]) == 1
    assert f"error: {message}" in capsys.readouterr().err


@pytest.mark.slow
def test_figures_and_curves_are_written_before_the_sample_is_drawn(tmp_path, monkeypatch):
    def generate(*_, **__):
        raise ValueError("no sample")

    monkeypatch.setattr(language, "generate", generate)
    assert main(["train", "gpt", "--out", str(tmp_path), *TINY["gpt"]]) == 1
    assert load(tmp_path / "gpt", "summary.json")["bits_per_byte"] > 0
    assert (tmp_path / "gpt" / "curves.png").read_bytes().startswith(PNG)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_figures_in_a_directory_of_its_own(tmp_path):
    words = ["train", "digits", "--dataset", "breast_cancer", "--out", str(tmp_path)]
    for _ in range(2):
        assert main([*words, *TINY["digits"]]) == 0
    first, second = (
        load(tmp_path / name, "summary.json") for name in ("breast_cancer", "breast_cancer-2")
    )
    for name in ("test_loss_nats", "test_accuracy"):
        assert first[name] == second[name]
    assert main([*words, *TINY["digits"], "--overwrite"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["breast_cancer", "breast_cancer-2"]


def test_a_failed_training_is_one_line_and_not_a_traceback(tmp_path, capsys, monkeypatch):
    def load_broken():
        raise ImportError('pip install "xentjax[data]"')

    monkeypatch.setitem(tabular._LOADERS, "digits", load_broken)
    assert main(["train", "digits", "--out", str(tmp_path), *TINY["digits"]]) == 1
    assert capsys.readouterr().err == 'error: pip install "xentjax[data]"\n'


@pytest.mark.parametrize("job", ["digits", "gpt"])
@pytest.mark.usefixtures("wide")
def test_an_out_that_cannot_be_a_directory_is_one_line(job, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("mine")
    for out in (blocked, blocked / "below"):
        assert main(["train", job, "--out", str(out), *TINY[job]]) == 1
        printed = capsys.readouterr().err
        wanted = f"error: --out must be a directory that can be written, got '{out}'"
        assert printed.startswith(wanted)
        assert printed.count("\n") == 1
    assert blocked.read_text() == "mine"


@pytest.mark.parametrize("job", ["digits", "gpt"])
@pytest.mark.usefixtures("wide")
def test_an_interrupt_says_where_the_records_are(job, tmp_path, capsys, monkeypatch):
    def fit(*_, directory, **__):
        directory.mkdir(exist_ok=True)
        (directory / "metrics.jsonl").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "fit", fit)
    assert main(["train", job, "--out", str(tmp_path), *TINY[job]]) == 130
    stopped = f"stopped before the end; what was recorded is in {tmp_path / job}, and --resume"
    assert capsys.readouterr().err == f"{stopped} goes on\n"
    assert (tmp_path / job).exists()


@pytest.mark.usefixtures("wide")
def test_an_interrupt_before_any_record_leaves_nothing(tmp_path, capsys, monkeypatch):
    def fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(task, "fit", fit)
    assert main(["train", "digits", "--out", str(tmp_path), *TINY["digits"]]) == 130
    assert capsys.readouterr().err == "stopped before anything was recorded\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        (b"moon " * 600, ["--block", "5000"], "text is too short: its training part has 2700"),
        (b"moon " * 600, ["--block", "200"], "text is too short: its validation part has 150"),
        (b"moon " * 600, ["--batch-size", "2637"], "--batch-size must be at most 2636"),
        (b"moon\xff" * 600, ["--tokens", "char"], "text is not UTF-8: byte 0xff at offset 4"),
    ],
)
@pytest.mark.filterwarnings("ignore::xentjax.data.SmallSplitWarning")
@pytest.mark.usefixtures("wide")
def test_a_text_that_does_not_fit_is_refused_in_the_words_of_the_command(
    content, words, message, tmp_path, capsys
):
    path = tmp_path / "moon.txt"
    path.write_bytes(content)
    assert main(["train", "gpt", "--text", str(path), *words, "--out", str(tmp_path / "r")]) == 1
    printed = capsys.readouterr().err
    assert f"error: {message}" in printed
    assert "--block" in printed or "--batch-size" in printed or "--tokens byte" in printed


@pytest.mark.usefixtures("wide")
def test_a_batch_larger_than_the_training_rows_is_refused(tmp_path, capsys):
    assert main(["train", "digits", "--batch-size", "5000", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "error: --batch-size must be at most 1259, the number of training rows, got 5000\n"
    )


@pytest.mark.filterwarnings("default")
@pytest.mark.usefixtures("wide")
def test_a_warning_is_one_line_without_a_path(tmp_path, capsys):
    path = tmp_path / "moon.txt"
    path.write_text("hello moon " * 3)
    assert main(["train", "gpt", "--text", str(path), "--out", str(tmp_path / "r")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["warning", "warning", "error"]
    assert not any(".py" in line or "SmallSplitWarning" in line for line in lines)


def test_a_run_refused_before_its_training_leaves_its_name_free(tmp_path):
    words = ["train", "gpt", "--top-k", "999", "--out", str(tmp_path)]
    assert main([*words, *TINY["gpt"]]) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("default")
def test_a_learning_rate_that_explodes_stops_with_the_step(tmp_path, capsys):
    words = ["train", "digits", "--optimizer", "sgd", "--learning-rate", "1e30"]
    words += ["--schedule", "constant", "--out", str(tmp_path)]
    assert main([*words, *TINY["digits"]]) == 1
    assert "error: training stopped at step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("trane digits", "unknown command 'trane': did you mean 'train'?"),
        ("train digit", "unknown command 'digit': did you mean 'digits'?"),
        ("train gpt --lr 1", "unknown option '--lr': did you mean '--learning-rate'?"),
        ("train gpt --layer 1", "unknown option '--layer': did you mean '--layers'?"),
        ("train digits --optimizer=adm", "unknown --optimizer 'adm': did you mean 'adam'?"),
        ("train digits --dropout 2", "dropout must lie in [0, 1), got 2.0"),
    ],
)
@pytest.mark.usefixtures("wide")
def test_what_is_not_understood_exits_with_2_and_a_suggestion(words, message, capsys):
    assert main(words.split()) == 2
    printed = capsys.readouterr()
    assert message in printed.err + printed.out


@pytest.mark.parametrize("job", ["digits", "gpt"])
@pytest.mark.usefixtures("wide")
def test_a_misspelt_option_is_answered_by_its_own_command_alone(job, capsys):
    assert main(["train", job, "--step", "3"]) == 2
    printed = capsys.readouterr().err
    other = {"digits": "gpt", "gpt": "digits"}[job]
    assert f"xentjax train {job} --help" in printed
    assert other not in printed


@pytest.mark.parametrize("epochs", [["--epochs", "2"], ["--epochs=2"]])
def test_steps_and_epochs_together_are_refused(epochs, capsys):
    assert main(["train", "digits", *epochs, "--steps", "6"]) == 2
    assert capsys.readouterr().err == "error: give --epochs or --steps, not both\n"


def test_version_and_help_answer(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"xentjax {xentjax.__version__}\n"
    assert main([]) == 0
    assert "train" in capsys.readouterr().out
    assert main(["train", "digits", "--help"]) == 0
    assert "--label-smoothing" in capsys.readouterr().out
