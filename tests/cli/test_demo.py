"""What `make demo` promises, with the defaults it uses."""

import json

import pytest

from xentjax.cli import main


@pytest.mark.slow
def test_digits_reach_97_percent_on_average_over_three_seeds(tmp_path):
    arguments = ["train", "digits", "--seeds", "3", "--out", str(tmp_path)]
    assert main(arguments) == 0
    summary = json.loads((tmp_path / "digits" / "summary.json").read_text())
    accuracies = [seed["test_accuracy"] for seed in summary["seeds"]]
    assert len(accuracies) == 3
    assert sum(accuracies) / 3 >= 0.97


@pytest.mark.slow
def test_the_gpt_falls_well_below_the_unigram_entropy(tmp_path):
    assert main(["train", "gpt", "--out", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "gpt" / "summary.json").read_text())
    assert summary["validation_loss_nats"] < summary["validation_unigram_nats"] - 1
    assert summary["bits_per_byte"] < 2.2  # what gzip -9 needs for the same bytes alone
