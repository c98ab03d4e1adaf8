"""A sweep's table is sorted, printable and readable again."""

import csv
import io
import json
import math

from rich.console import Console

from xentjax.search.sweep_result import SweepGroup, SweepResult, SweepRow, ranked


def row(number, nats, *, diverged=False, rung=0):
    return SweepRow(
        number=number,
        hyperparameters={"rate": 0.1 * (number + 1), "name": "adam"},
        validation_nats=nats,
        accuracy=None if number == 0 else 0.5,
        train_nats=nats,
        skipped=0,
        steps=10,
        diverged=diverged,
        rung=rung,
    )


ROWS = ranked(
    [row(0, 0.5), row(1, math.nan, diverged=True), row(2, 0.4), row(3, 0.1, diverged=True)]
)
GROUP = SweepGroup({"name": "adam"}, 4, 4, 1000, 1, 2.0, 1.0)
RESULT = SweepResult(ROWS, (GROUP, GROUP), 7.0)


def test_rows_are_sorted_by_loss_and_the_diverged_are_last():
    assert [each.number for each in ROWS] == [2, 0, 3, 1]
    assert RESULT.best.number == 2


def test_trials_that_went_on_come_before_those_that_were_stopped():
    rows = ranked([row(0, 0.1, rung=0), row(1, 0.3, rung=1), row(2, 0.2, rung=1)])
    assert [each.number for each in rows] == [2, 1, 0]


def test_equal_losses_keep_the_order_of_the_trials():
    assert [each.number for each in ranked([row(4, 0.1), row(2, 0.1)])] == [2, 4]


def test_the_groups_add_up():
    assert (RESULT.programs, RESULT.compile_seconds, RESULT.run_seconds) == (2, 4.0, 2.0)


def refuse(constant):
    raise AssertionError(f"{constant} is not JSON")


def test_the_json_is_strict_and_a_nan_is_null(tmp_path):
    path = tmp_path / "sweep.json"
    RESULT.write_json(path)
    read = json.loads(path.read_text(), parse_constant=refuse)
    assert [each["number"] for each in read["rows"]] == [2, 0, 3, 1]
    assert read["rows"][-1]["validation_nats"] is None
    assert read["groups"][0]["static"] == {"name": "adam"}


def test_the_csv_has_a_column_for_each_hyperparameter_and_figure():
    read = list(csv.DictReader(io.StringIO(RESULT.to_csv())))
    assert [each["validation_nats"] for each in read] == ["0.4", "0.5", "0.1", "nan"]
    assert {"rate", "name", "accuracy", "diverged", "rung"} <= set(read[0])


def test_the_summary_prints_the_best_rows_and_what_it_took():
    console = Console(file=io.StringIO(), width=120)
    console.print(RESULT.summary(rows=3))
    text = console.file.getvalue()
    assert "0.4000" in text
    assert "diverged" in text
    assert "4 trials, 2 programs, the best 3 shown" in text
    assert "4.0 s compiling, 2.0 s running" in text
    assert "all with name adam" in text
