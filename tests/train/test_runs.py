"""A run's directory is its own, and holds what a figure can be traced back by."""

import json
import math
from pathlib import Path

import jax
import pytest

import xentjax
from xentjax.jobs.config import LanguageConfig, RunOptions
from xentjax.train import Record, create_run
from xentjax.train.record import read_records
from xentjax.train.runs import environment


def test_a_second_run_of_a_name_gets_the_next_number(tmp_path):
    first = create_run(tmp_path / "new" / "runs", "digits")
    first.write_json("config.json", {"a": 1})
    again = [create_run(tmp_path / "new" / "runs", "digits").name for _ in range(2)]
    assert again == ["digits-2", "digits-3"]
    assert json.loads((first.path / "config.json").read_text()) == {"a": 1}


def test_overwriting_deletes_what_a_run_wrote_and_nothing_else(tmp_path):
    run = create_run(tmp_path, "digits")
    (run.path / "metrics.jsonl").write_text("{}")
    (run.path / "seed-0" / "checkpoints").mkdir(parents=True)
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


def test_records_are_read_back_as_they_were_written(tmp_path):
    run = create_run(tmp_path, "digits")
    records = [
        Record(0, "validation", 2.0, 0.1, None, 0.5, 0),
        Record(3, "train", float("nan"), None, 0.1, 1.0, 0, None, 3),
    ]
    lines = [json.dumps(record.to_metrics(), allow_nan=False) + "\n" for record in records]
    (run.path / "metrics.jsonl").write_text("".join(lines))
    read = read_records(run.path / "metrics.jsonl")
    assert read[0] == records[0]
    assert math.isnan(read[1].loss_nats)
    assert read[1].skipped == 3
    assert read_records(run.path / "metrics.jsonl", until=2) == read[:1]
    assert read_records(run.path / "none.jsonl") == ()


def test_a_run_to_resume_is_the_one_of_that_very_name(tmp_path):
    first = create_run(tmp_path, "digits", resume=True)
    (first.path / "metrics.jsonl").write_text("{}")
    assert create_run(tmp_path, "digits", resume=True).path == first.path
    assert (first.path / "metrics.jsonl").exists()


def test_configs_are_written_as_plain_json_and_nan_is_refused(tmp_path):
    run = create_run(tmp_path, "gpt")
    run.write_json("config.json", {"config": LanguageConfig(run=RunOptions(out=Path("there")))})
    assert json.loads((run.path / "config.json").read_text())["config"]["run"]["out"] == "there"
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
