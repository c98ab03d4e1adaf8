"""`python -m bench compare`: by ratio, beyond both spreads, with an exit code."""

import dataclasses

import pytest

from bench.__main__ import main
from bench.regressions import changes
from tests.bench.records import contest, memory, record


@pytest.fixture
def compared(tmp_path):
    def run(old, new):
        paths = [tmp_path / "old.json", tmp_path / "new.json"]
        for path, each in zip(paths, (old, new), strict=True):
            each.write(path)
        return main(["compare", *map(str, paths)])

    return run


def test_the_same_figures_are_no_regression(compared):
    assert compared(record(contest()), record(contest())) == 0


def test_a_worse_ratio_is_one(compared, capsys):
    assert compared(record(contest(factor=1.0)), record(contest(factor=1.2))) == 1
    told = capsys.readouterr().out
    assert "worse" in told
    assert "value: a" in told


def test_within_the_spreads_is_none(compared):
    old, new = contest(factor=1.0, scatter=0.5), contest(factor=1.2, scatter=0.5)
    assert compared(record(old), record(new)) == 0


def test_a_slower_machine_is_none(compared):
    """Every contestant takes three times as long: all ratios stay."""
    old = contest()
    slower = tuple(
        dataclasses.replace(entry, samples=tuple(3 * s for s in entry.samples))
        for entry in old.entries
    )
    assert compared(record(old), record(dataclasses.replace(old, entries=slower))) == 0


def test_a_better_ratio_is_told_and_is_none(compared, capsys):
    assert compared(record(contest(factor=1.2)), record(contest(factor=1.0))) == 0
    assert "better" in capsys.readouterr().out


def test_more_memory_is_a_regression(compared):
    assert compared(record(memory(ours=1.0)), record(memory(ours=1.1))) == 1


def test_rows_of_one_record_only_are_named(compared, capsys):
    assert compared(record(contest("a"), contest("b")), record(contest("a"), contest("c"))) == 0
    told = capsys.readouterr().out
    assert "only in the old record: value: b" in told
    assert "only in the new record: value: c" in told


def test_two_benches_cannot_be_compared(compared, capsys):
    assert compared(record(contest()), record(contest(), bench="ctc")) == 2
    assert "two benches" in capsys.readouterr().out
    with pytest.raises(ValueError, match="no ratio in common"):
        changes(record(contest("a")), record(contest("b")))


@pytest.mark.parametrize(
    ("files", "told"), [([], "takes two"), (["no.json", "none.json"], "no file no.json")]
)
def test_what_cannot_be_read_is_named(files, told, capsys):
    assert main(["compare", *files]) == 2
    assert told in capsys.readouterr().out


@pytest.mark.parametrize("command", ["compare", "report"])
def test_help_is_given_on_every_command(command, capsys):
    assert main([command, "--help"]) == 0
    assert "python -m bench compare OLD.json NEW.json" in capsys.readouterr().out
