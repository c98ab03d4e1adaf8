import pytest

from xentjax.timing.contestant import Contestant
from xentjax.timing.rounds import time_rounds


class FakeDevice:
    """A device whose account says what a contestant wrote into it."""

    def __init__(self, **account):
        self.account = account

    def memory_stats(self):
        return dict(self.account) or None

    def taking(self, extra):
        """A run that takes `extra` bytes and gives them back."""

        def run():
            top = self.account["bytes_in_use"] + extra
            self.account["peak_bytes_in_use"] = max(self.account["peak_bytes_in_use"], top)
            return 0.0

        return run


def peaks(clock, devices, *runs):
    contestants = [Contestant(str(index), run) for index, run in enumerate(runs)]
    seen = time_rounds(contestants, runs=2, warmup=1, clock=clock, devices=devices)
    return [runs.peak_bytes for runs in seen]


def test_peak_is_what_a_run_takes_on_top_of_what_was_in_use(clock):
    device = FakeDevice(bytes_in_use=1000, peak_bytes_in_use=1200)
    assert peaks(clock, [device], device.taking(500)) == [500]


def test_a_run_below_an_earlier_peak_is_unmeasured(clock):
    device = FakeDevice(bytes_in_use=1000, peak_bytes_in_use=2000)
    assert peaks(clock, [device], device.taking(500)) == [None]


def test_the_fullest_device_counts(clock):
    small, large = (FakeDevice(bytes_in_use=10, peak_bytes_in_use=10) for _ in range(2))

    def run():
        small.taking(100)()
        return large.taking(300)()

    assert peaks(clock, [small, large], run) == [300]


@pytest.mark.parametrize("account", [{}, {"bytes_in_use": 10}])
def test_a_backend_that_does_not_tell_is_unmeasured(clock, account):
    assert peaks(clock, [FakeDevice(**account)], lambda: 0.0) == [None]
