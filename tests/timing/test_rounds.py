from collections import Counter
from itertools import pairwise, permutations

import pytest

from xentjax.timing.contestant import Contestant
from xentjax.timing.rounds import round_orders, time_rounds


@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_order_holds_each_contestant_once(count):
    orders = round_orders(count, rounds=20, seed=0)
    assert len(orders) == 20
    assert all(sorted(order) == list(range(count)) for order in orders)


def test_a_contestant_follows_every_other_equally_often():
    # 4000 neighbours: 3000 within rounds over 12 pairs, 999 between rounds over 16. A count is
    # about binomial with mean 312 and standard deviation 17; five of these are allowed.
    runs = [which for order in round_orders(4, rounds=1000, seed=0) for which in order]
    follows = Counter(pairwise(runs))
    for a, b in permutations(range(4), 2):
        assert abs(follows[a, b] - (3000 / 12 + 999 / 16)) < 5 * 17


def test_orders_follow_from_the_seed():
    assert round_orders(4, rounds=9, seed=1) == round_orders(4, rounds=9, seed=1)
    assert round_orders(4, rounds=9, seed=1) != round_orders(4, rounds=9, seed=2)


def test_every_round_runs_every_contestant_once(clock):
    contestants = [Contestant(name, clock.worker(1.0, name)) for name in "abc"]
    time_rounds(contestants, runs=8, warmup=2, clock=clock)
    rounds = ["".join(clock.log[start : start + 3]) for start in range(0, 30, 3)]
    assert {"".join(sorted(order)) for order in rounds} == {"abc"}
    assert len(set(rounds)) > 1


def test_warm_up_runs_happen_and_do_not_count(clock):
    slow_at_first = Contestant("a", clock.worker_of([64.0, 16.0, 1.0, 2.0, 4.0], "a"))
    (seen,) = time_rounds([slow_at_first], runs=3, warmup=2, clock=clock)
    assert seen.seconds == (1.0, 2.0, 4.0)
    assert len(clock.log) == 5


def test_index_r_of_every_contestant_is_round_r(clock):
    contestants = [
        Contestant("a", clock.worker_of([1.0, 2.0, 4.0])),
        Contestant("b", clock.worker_of([8.0, 16.0, 32.0])),
    ]
    seen = time_rounds(contestants, runs=3, warmup=0, clock=clock)
    assert [runs.seconds for runs in seen] == [(1.0, 2.0, 4.0), (8.0, 16.0, 32.0)]


@pytest.mark.parametrize(
    ("runs", "warmup", "message"),
    [(0, 0, "runs must be at least 1, got 0"), (1, -1, "warmup must be at least 0, got -1")],
)
def test_impossible_counts_are_refused(clock, runs, warmup, message):
    with pytest.raises(ValueError, match=message):
        time_rounds([Contestant("a", clock.worker(1.0))], runs=runs, warmup=warmup, clock=clock)
