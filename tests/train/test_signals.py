"""A signal becomes a reason to stop, once, and only inside the block."""

import signal
import threading

import pytest

from xentjax.train.signals import terminations


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_becomes_a_reason(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with terminations() as interrupted:
        assert interrupted() is None
        signal.raise_signal(number)
        assert interrupted() == f"terminated by {name}; resume to go on"
        # The next one does what it always does: it kills.
        assert signal.getsignal(number) is signal.SIG_DFL
    assert signal.getsignal(number) is before


def test_the_first_of_two_signals_is_the_reason():
    with terminations() as interrupted:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)
        assert interrupted() == "terminated by SIGUSR1; resume to go on"


def test_handlers_from_before_are_back_even_after_an_error():
    def own(number, frame):
        raise AssertionError(number, frame)

    before = signal.signal(signal.SIGTERM, own)
    try:
        with pytest.raises(KeyError), terminations():
            raise KeyError
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_outside_the_main_thread_nothing_is_set():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with terminations() as interrupted:
            seen.extend([signal.getsignal(signal.SIGTERM), interrupted()])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, None]
