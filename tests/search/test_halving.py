"""Halving keeps the best, drops the diverged, and never chooses just before the end."""

import math

import pytest

from xentjax.search.halving import Halving


@pytest.mark.parametrize(
    ("steps", "rungs"),
    [(90, [10, 30, 90]), (100, [10, 30, 100]), (89, [10, 89]), (30, [10, 30]), (11, [10, 11])],
)
def test_rungs_rise_by_the_factor_and_the_last_stretch_is_no_shorter(steps, rungs):
    assert Halving(factor=3, min_steps=10).rungs(steps) == rungs


def test_the_lowest_losses_go_on_and_ties_go_by_number():
    losses = {5: 0.2, 3: 0.2, 1: 0.9, 8: 0.1, 2: 0.8, 0: 0.7}
    assert Halving(factor=2).survivors(losses) == [3, 5, 8]
    assert Halving(factor=3).survivors(losses) == [3, 8]


def test_diverged_trials_never_go_on():
    halving = Halving(factor=2)
    assert halving.survivors({0: math.nan, 1: math.inf, 2: 3.0, 3: math.nan}) == [2]
    assert halving.survivors({0: math.nan, 1: math.inf}) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Halving(factor=1), "Halving factor must be at least 2, got 1"),
        (lambda: Halving(min_steps=0), "Halving min_steps must be at least 1, got 0"),
        (lambda: Halving(min_steps=50).rungs(50), "min_steps must be below steps, got 50 and 50"),
    ],
)
def test_a_halving_that_halves_nothing_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
