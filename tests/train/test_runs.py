"""A run's directory is its own, and holds what a figure can be traced back by."""

import json
from pathlib import Path

import jax
import pytest

import xentjax
from xentjax.train import create_run
from xentjax.train.config import LanguageConfig
from xentjax.train.runs import environment


def test_a_second_run_of_a_name_gets_the_next_number(tmp_path):
    first = create_run(tmp_path / "new" / "runs", "digits")
    first.write_json("config.json", {"a": 1})
    again = [create_run(tmp_path / "new" / "runs", "digits").name for _ in range(2)]
    assert again == ["digits-2", "digits-3"]
    assert json.loads((first.path / "config.json").read_text()) == {"a": 1}


def test_overwriting_deletes_what_a_run_wrote_and_nothing_else(tmp_path):
    run = create_run(tmp_path, "digits")
    run.append_metrics({"step": 1})
    (run.path / "notes.txt").write_text("mine")
    again = create_run(tmp_path, "digits", overwrite=True)
    assert again.path == run.path
    assert [path.name for path in run.path.iterdir()] == ["notes.txt"]


def test_a_run_without_records_is_removed_and_its_name_is_free_again(tmp_path):
    run = create_run(tmp_path, "digits")
    run.write_json("config.json", {"a": 1})
    assert run.remove_if_unused()
    assert create_run(tmp_path, "digits").name == "digits"


@pytest.mark.parametrize("file", ["metrics.jsonl", "notes.txt"])
def test_a_run_that_holds_more_than_its_config_is_kept(tmp_path, file):
    run = create_run(tmp_path, "digits")
    run.write_json("config.json", {"a": 1})
    (run.path / file).write_text("kept")
    assert not run.remove_if_unused()
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", file]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp"])
def test_a_name_is_one_directory(tmp_path, name):
    with pytest.raises(ValueError, match="name must be one directory name"):
        create_run(tmp_path, name, overwrite=True)


def test_metrics_are_one_line_a_record(tmp_path):
    run = create_run(tmp_path, "digits")
    for step in range(3):
        run.append_metrics({"step": step})
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [0, 1, 2]


def test_configs_are_written_as_plain_json_and_nan_is_refused(tmp_path):
    run = create_run(tmp_path, "gpt")
    run.write_json("config.json", {"config": LanguageConfig(out=Path("there"))})
    assert json.loads((run.path / "config.json").read_text())["config"]["out"] == "there"
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("summary.json", {"loss": float("nan")})
    with pytest.raises(TypeError, match="cannot write a complex"):
        run.write_json("summary.json", {"loss": 1j})


def test_the_environment_names_versions_device_seeds_and_data():
    found = environment(seeds=[3, 4], data_name="digits", data_sha256="ab")
    assert found["versions"]["jax"] == jax.__version__
    assert found["versions"]["xentjax"] == xentjax.__version__
    assert found["device"]["count"] == jax.device_count()
    assert found["seeds"] == [3, 4]
    assert found["data"] == {"name": "digits", "sha256": "ab"}
