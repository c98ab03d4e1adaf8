"""Stopping rules stop at the record where the rule of the book says so, and not before."""

import math

import numpy as np
import pytest

from xentjax.train import EarlyStopping, Plateau, Record, StoppingRule, TargetLoss, TimeBudget


def run(rule, losses, split="validation", memory=None):
    """(records looked at, reason, memory) of a rule shown these losses."""
    memory = rule.start() if memory is None else memory
    for count, loss in enumerate(losses, 1):
        record = Record(10 * count, split, float(loss), None, None, float(count), 0)
        memory, reason = rule.look(memory, record)
        if reason:
            return count, reason, memory
    return len(losses), None, memory


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "stopped_at"),
    [
        ([3, 2, 2.5, 2.4, 2.3, 1], 3, 0.0, 5),
        ([3, 2, 2.5, 2.4, 1.9, 2, 2], 3, 0.0, None),
        ([3, 2.95, 2.9, 2.85], 2, 0.2, 3),
        ([3, 2.75, 2.5, 2.25], 2, 0.2, None),
        ([3, 3, 3], 2, 0.0, 3),
        ([3, math.nan, math.nan], 2, 0.0, 3),
    ],
)
def test_early_stopping_waits_for_its_patience(losses, patience, min_delta, stopped_at):
    count, reason, _ = run(EarlyStopping(patience, min_delta), losses)
    assert (count if reason else None) == stopped_at
    if reason:
        assert f"{patience} validations without improvement" in reason


def test_early_stopping_ignores_training_losses():
    assert run(EarlyStopping(1), [1, 2, 3], split="train")[1] is None


def test_a_memory_handed_on_stops_where_one_run_would():
    rule, losses = EarlyStopping(3), [3, 2, 2.5, 2.4, 2.3, 1]
    whole, _, _ = run(rule, losses)
    _, _, memory = run(rule, losses[:4])
    rest, reason, _ = run(rule, losses[4:], memory=memory)
    assert reason
    assert 4 + rest == whole


@pytest.mark.parametrize("split", ["validation", "train"])
def test_a_target_is_reached_at_or_below_it(split):
    assert run(TargetLoss(1.0, split), [2, 1.1, 1.0, 0.5], split=split)[0] == 3
    other = "train" if split == "validation" else "validation"
    assert run(TargetLoss(1.0, split), [0.5], split=other)[1] is None


def test_a_plateau_is_a_training_loss_that_stays():
    falling = list(np.geomspace(3, 0.1, 40))
    assert run(Plateau(window=5), falling, split="train")[1] is None
    count, reason, _ = run(Plateau(window=5), [*falling[:10], *[0.5] * 60], split="train")
    assert 15 <= count < 70
    assert "stayed near 0.5" in reason
    # Noise of a tenth around a level is a plateau too.
    noisy = 1 + 0.1 * np.random.default_rng(0).normal(size=200)
    assert "plateau" in run(Plateau(window=10), noisy.tolist(), split="train")[1]


def test_a_time_budget_counts_seconds():
    count, reason, _ = run(TimeBudget(2.5), [1, 1, 1, 1])
    assert (count, reason) == (3, "time budget of 2.5 s used up after 3.0 s")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarlyStopping(0), "patience must be at least 1, got 0"),
        (lambda: EarlyStopping(1, -0.1), "min_delta must be not negative"),
        (lambda: TargetLoss(math.nan), "nats must be finite"),
        (lambda: TargetLoss(1.0, "test"), "split must be train or validation, got test"),
        (lambda: Plateau(1), "window must be at least 2"),
        (lambda: Plateau(5, 1.0), r"tolerance must be in \[0, 1\)"),
        (lambda: TimeBudget(0.0), "seconds must be positive"),
    ],
)
def test_rules_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_rule_keeps_the_protocol():
    assert all(
        isinstance(rule, StoppingRule)
        for rule in (EarlyStopping(), TargetLoss(1.0), Plateau(), TimeBudget(1.0))
    )
