"""Options are refused with their name when they make no sense, and they name what exists."""

import typing
from pathlib import Path

import pytest

from xentjax import models, optim
from xentjax.jobs.config import (
    Activation,
    ImageConfig,
    LanguageConfig,
    Optimizer,
    RunOptions,
    Schedule,
    TabularConfig,
    TrainingOptions,
)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (TabularConfig, {"seeds": 0}, "seeds must be above 0 and finite, got 0"),
        (TabularConfig, {"steps": 0}, "steps must be above 0 and finite, got 0"),
        (TabularConfig, {"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        (TabularConfig, {"seed": -1}, "seed must not be negative, got -1"),
        (TabularConfig, {"hidden": (8, 0)}, "hidden widths must be at least 1"),
        (TrainingOptions, {"learning_rate": float("nan")}, "learning_rate must be above 0"),
        (TrainingOptions, {"ema": 1.0}, r"ema must lie in \[0, 1\), got 1.0"),
        (TrainingOptions, {"early_stopping": 0}, "early_stopping must be above 0"),
        (RunOptions, {"resume": True, "overwrite": True}, "--resume or --overwrite, not both"),
        (ImageConfig, {"widths": ()}, "widths must name at least one width"),
        (LanguageConfig, {"width": 12, "heads": 4}, "width must be a multiple of 2·heads = 8"),
        (LanguageConfig, {"text": Path("/no/such")}, "text must be a file that exists"),
        (LanguageConfig, {"prompt": ""}, "prompt must hold at least one character"),
        (LanguageConfig, {"top_k": 0}, "top_k must be above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(config, options, message):
    with pytest.raises(ValueError, match=message):
        config(**options)


def test_every_choice_offered_exists():
    for name in typing.get_args(Activation):
        assert callable(models.activation(name))
    for name in typing.get_args(Optimizer):
        assert optim.optimizer(name, 0.1) is not None
    for name in typing.get_args(Schedule):
        assert optim.schedule(name, 0.1, steps=100)(50) >= 0


def test_runs_are_named_after_the_data_unless_told_otherwise():
    assert TabularConfig(dataset="breast_cancer").run_name == "breast_cancer"
    assert LanguageConfig().run_name == "gpt"
    assert LanguageConfig(run=RunOptions(name="mine")).run_name == "mine"


def test_an_empty_text_is_refused(tmp_path):
    path = tmp_path / "empty.txt"
    path.touch()
    with pytest.raises(ValueError, match="text must not be an empty file, got"):
        LanguageConfig(text=path)
