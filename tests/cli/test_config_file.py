"""A config file is read as if its lines had been typed first, and what is wrong in it is named."""

import pytest

from xentjax.cli.config_file import with_config_file

FILE = """
steps = 60
hidden = [32, 16]
[training]
optimizer = "lion"
learning_rate = 1e-3
fast_dev_run = true
[run]
resume = false
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text(FILE)
    return str(path)


def test_keys_become_options_before_those_typed(path):
    words = with_config_file(["train", "digits", "--dropout", "0.1", f"--config={path}"])
    assert words == [
        *("train", "digits", "--steps=60", "--hidden", "32", "16", "--optimizer=lion"),
        *("--learning-rate=0.001", "--fast-dev-run", "--dropout", "0.1"),
    ]


def test_what_is_typed_wins_and_epochs_put_the_steps_of_the_file_out_of_force(path):
    typed = ["--epochs", "3", "--optimizer", "adam"]
    words = with_config_file(["train", "digits", "--config", path, *typed])
    assert words[-4:] == typed
    assert not any(word.startswith(("--steps", "--optimizer=lion")) for word in words)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("hiden = [32]", "there is no option 'hiden'; did you mean 'hidden'?"),
        ("steps = ", "run.toml: Invalid value"),
        ("learning_rate = -1.0\nxyzzy = 1", "there is no option 'xyzzy'"),
    ],
)
def test_what_is_wrong_in_the_file_is_named(path, content, message):
    with open(path, "w") as file:
        file.write(content)
    with pytest.raises(ValueError, match=r"run\.toml") as error:
        with_config_file(["train", "digits", "--config", path])
    assert message in str(error.value)


def test_a_file_that_is_missing_is_named():
    with pytest.raises(ValueError, match=r"--config nowhere\.toml: there is no such file"):
        with_config_file(["train", "digits", "--config", "nowhere.toml"])
    with pytest.raises(ValueError, match="--config wants a file"):
        with_config_file(["train", "digits", "--config"])


def test_words_without_a_file_stay_as_they_are():
    words = ["train", "digits", "--dropout", "0.1"]
    assert with_config_file(words) == words
