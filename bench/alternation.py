"""Contests whose samples are no runs of a compiled function: compile times, subprocesses, sweeps.

Each contestant is a function that does the work once and says what it cost.
"""

from collections.abc import Callable, Mapping

from bench.contest import Entry, Role
from xentjax.timing.rounds import round_orders

# name → (role, () → one sample in the contest's unit)
Samplers = Mapping[str, tuple[Role, Callable[[], float]]]


def alternate(samplers: Samplers, rounds: int, seed: int = 0) -> tuple[Entry, ...]:
    """Every contestant once a round, in an order drawn anew.

    Args:
        samplers: the contestants.
        rounds: at least 1; all of them count.
        seed: draws the orders.

    Returns:
        The entries, in the order given.
    """
    names = list(samplers)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for order in round_orders(len(names), rounds, seed):
        for index in order:
            name = names[index]
            samples[name].append(samplers[name][1]())
    return tuple(Entry(name, samplers[name][0], tuple(samples[name])) for name in names)
