"""A resumed run's metrics hold every step once."""

import pytest

from xentjax.train.metrics_file import trim_metrics

LINES = ['{"step": 0}\n', '{"step": 10}\n', '{"step": 10, "split": "validation"}\n']


def write(folder, *lines):
    path = folder / "metrics.jsonl"
    path.write_text("".join(lines))
    return path


def test_lines_beyond_the_step_are_dropped_and_those_of_it_stay(tmp_path):
    path = write(tmp_path, *LINES, '{"step": 12}\n', '{"step": 20}\n')
    assert trim_metrics(path, 10) == 2
    assert path.read_text() == "".join(LINES)
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.jsonl"]


@pytest.mark.parametrize("torn", ['{"st', '{"step": 10}', '{"step": 1', "{"])
def test_a_torn_last_line_is_dropped(tmp_path, torn):
    # Also where what is left of it could be read: its end may be missing.
    path = write(tmp_path, *LINES, torn)
    assert trim_metrics(path, 10) == 1
    assert path.read_text() == "".join(LINES)


def test_a_file_that_needs_no_trimming_is_not_touched(tmp_path):
    path = write(tmp_path, *LINES)
    before = path.stat().st_ino, path.stat().st_mtime_ns
    assert trim_metrics(path, 10) == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == before
    assert trim_metrics(tmp_path / "none.jsonl", 10) == 0
    assert trim_metrics(write(tmp_path), 10) == 0


def test_a_run_that_begins_anew_keeps_no_line(tmp_path):
    path = write(tmp_path, *LINES)
    assert trim_metrics(path, -1) == 3
    assert path.read_text() == ""


@pytest.mark.parametrize("odd", ["no JSON\n", "[1]\n", '{"loss": 1}\n', '{"step": "x"}\n', "\n"])
def test_a_line_that_is_no_record_is_named_and_nothing_is_lost(tmp_path, odd):
    path = write(tmp_path, LINES[0], odd, *LINES[1:])
    content = path.read_text()
    with pytest.raises(ValueError, match=r"line 2 of .*metrics.jsonl is not a record"):
        trim_metrics(path, 10)
    assert path.read_text() == content
