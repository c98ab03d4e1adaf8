"""Settings every test runs under, and the figures that tests report at the end of a run."""

import gc

import jax
import pytest

# Millions of objects live as long as the programs that were compiled: to look through them every
# few thousand allocations took a seventh of the suite's time.
gc.set_threshold(100_000, 20, 100)

jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def x64():
    """Double precision inside one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def report_figure(record_property):
    """A measured figure, printed after the run whether or not anything failed."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter):
    """Prints the figures that passing tests measured."""
    figures = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
        for figure in figures:
            terminalreporter.write_line(figure)
