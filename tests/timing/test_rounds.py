from collections import Counter
from itertools import pairwise

import pytest

from xentjax.timing.contestant import Contestant
from xentjax.timing.rounds import round_order, time_rounds


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_each_contestant_stands_once_in_each_place_of_a_cycle(count):
    orders = [round_order(count, index) for index in range(count)]
    for place in range(count):
        assert sorted(order[place] for order in orders) == list(range(count))


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_over_two_cycles_a_follows_b_as_often_as_b_follows_a(count):
    follows = Counter(
        pair for index in range(2 * count) for pair in pairwise(round_order(count, index))
    )
    assert follows
    assert all(follows[a, b] == follows[b, a] for a, b in follows)


def test_every_round_runs_every_contestant_once(clock):
    contestants = [Contestant(name, clock.worker(1.0, name)) for name in "abc"]
    time_rounds(contestants, runs=4, warmup=0, clock=clock)
    rounds = ["".join(clock.log[start : start + 3]) for start in range(0, 12, 3)]
    assert rounds == ["abc", "bca", "cab", "cba"]


def test_warm_up_runs_happen_and_do_not_count(clock):
    slow_at_first = Contestant("a", clock.worker_of([64.0, 16.0, 1.0, 2.0, 4.0], "a"))
    (seconds,) = time_rounds([slow_at_first], runs=3, warmup=2, clock=clock)
    assert seconds == (1.0, 2.0, 4.0)
    assert len(clock.log) == 5


def test_index_r_of_every_contestant_is_round_r(clock):
    contestants = [
        Contestant("a", clock.worker_of([1.0, 2.0, 4.0])),
        Contestant("b", clock.worker_of([8.0, 16.0, 32.0])),
    ]
    seconds = time_rounds(contestants, runs=3, warmup=0, clock=clock)
    assert seconds == [(1.0, 2.0, 4.0), (8.0, 16.0, 32.0)]


@pytest.mark.parametrize(
    ("runs", "warmup", "message"),
    [(0, 0, "runs must be at least 1, got 0"), (1, -1, "warmup must be at least 0, got -1")],
)
def test_impossible_counts_are_refused(clock, runs, warmup, message):
    with pytest.raises(ValueError, match=message):
        time_rounds([Contestant("a", clock.worker(1.0))], runs=runs, warmup=warmup, clock=clock)
