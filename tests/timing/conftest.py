"""Time as an argument: a clock that moves only when work is done, so every figure is exact."""

import itertools
from types import SimpleNamespace

import jax
import pytest


class FakeClock:
    """A clock in seconds that stands still until somebody spends time."""

    def __init__(self):
        self.now = 0.0
        self.log = []  # who worked, in order

    def __call__(self):
        return self.now

    def spend(self, seconds, who=None):
        self.now += seconds
        if who is not None:
            self.log.append(who)

    def worker(self, seconds, who=None):
        """A function whose call takes `seconds`."""
        return self.worker_of(itertools.repeat(seconds), who)

    def worker_of(self, costs, who=None):
        """A function whose calls take the seconds listed, one after the other."""
        rest = iter(costs)

        def work(*_):
            self.spend(next(rest), who)
            return "done"  # a function that returned nothing would be warned about

        return work

    def pending(self, seconds):
        """A function that returns at once; its result is there `seconds` after one waits."""
        result = SimpleNamespace(block_until_ready=lambda: self.spend(seconds))
        return lambda *_: result

    def staged(self, *, trace, lower, compile, run, memory=(0, 0, 0)):
        """A stand-in for a jitted function whose stages take known seconds."""
        temp, argument, output = memory
        stats = SimpleNamespace(
            temp_size_in_bytes=temp, argument_size_in_bytes=argument, output_size_in_bytes=output
        )
        return _Staged(
            self, {"trace": trace, "lower": lower, "compile": compile, "run": run}, stats
        )


class _Staged:
    def __init__(self, clock, costs, stats):
        self._clock, self._costs, self._stats = clock, costs, stats

    def _stage(self, name):
        self._clock.spend(self._costs[name])
        return self

    def trace(self, *args):
        self.in_tree = jax.tree.structure((args, {}))
        return self._stage("trace")

    def lower(self):
        return self._stage("lower")

    def compile(self):
        return self._stage("compile")

    def memory_analysis(self):
        return self._stats

    def as_text(self):
        return None  # as of a backend that does not print its program

    def __call__(self, *_):
        self._stage("run")
        return "done"


@pytest.fixture
def clock():
    return FakeClock()
