"""Figures show as many digits as their interval leaves them, and bars what the figures say."""

import math

import pytest

from xentjax.audit.figures import cell_text, figure_text, interval_text, measure_text
from xentjax.audit.interval_bar import bar_scale, interval_bar
from xentjax.audit.page_text import shade
from xentjax.audit.section import Measure


@pytest.mark.parametrize(
    ("value", "unit", "wanted"),
    [
        (0.0, "share", "0 %"),
        (1.0, "share", "100 %"),
        (-0.021, "share", "−2.10 %"),
        (1234567.0, "", "1,234,567"),
        (2.5e-9, "nats", "2.50e−09 nats"),
        (math.inf, "nats", "∞ nats"),
        (math.nan, "share", "not a number %"),
    ],
)
def test_a_number_alone_shows_three_digits_that_count(value, unit, wanted):
    assert figure_text(value, unit) == wanted


@pytest.mark.parametrize(
    ("measure", "value", "interval"),
    [
        # Half widths 1.75 %, 0.0005 and 500: two digits of each are shown.
        (Measure("a", 0.97431, 0.95, 0.985, "share"), "97.4 %", "95.0 to 98.5 %"),
        (Measure("a", 1.23456, 1.234, 1.235, "nats"), "1.2346 nats", "1.2340 to 1.2350 nats"),
        (Measure("a", 12345.6, 12000.0, 13000.0), "12,346", "12,000 to 13,000"),
        (Measure("a", 0.5, 0.5, 0.5, "share"), "50.0 %", "50.0 to 50.0 %"),
        (Measure("a", 0.5), "0.500", ""),
        (Measure("a", -0.0001, -0.3, 0.3), "0.00", "−0.30 to 0.30"),
    ],
)
def test_a_measure_is_as_exact_as_its_interval(measure, value, interval):
    assert (measure_text(measure), interval_text(measure)) == (value, interval)


def test_cells_are_texts_and_numbers():
    cells = [None, True, 7, 12345, 0.12345, "a", math.nan]
    assert [cell_text(cell) for cell in cells] == [
        *("–", "True", "7", "12,345", "0.123", "a", "not a number"),
    ]


@pytest.mark.parametrize(
    "numbers",
    [(0.3, 0.1, 0.9), (-3.0, -4.0, -1.0), (0.0, 0.0, 0.0), (5e-324, 0.0, 1e-300), (7e8, 1.0, 9e8)],
)
def test_the_scale_of_a_bar_holds_zero_and_all_it_shows(numbers):
    low, high = bar_scale(Measure("a", *numbers))
    assert low <= min(0.0, *numbers) <= max(0.0, *numbers) <= high
    assert low < high


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.7e308])
def test_what_is_not_finite_has_no_bar(value):
    assert interval_bar(Measure("a", value)) == ""


def test_a_bar_puts_dot_and_interval_in_their_places():
    drawn = interval_bar(Measure("a", 0.25, 0.1, 0.4, "share"))  # on a scale from 0 to 50 %
    assert 'class="span" x1="20.00%" x2="80.00%"' in drawn
    assert 'class="dot" cx="50.00%"' in drawn
    assert "<span>0</span><span>50 %</span>" in drawn


def test_shades_grow_with_the_number_and_none_is_for_none():
    assert [shade(x, 0.0, 9.0) for x in (0.0, 0.6, 1.0, 8.6, 9.0, 99.0)] == [0, 1, 1, 9, 9, 9]
    assert [shade(x, 0.0, 1.0) for x in (math.nan, -math.inf, math.inf)] == [0, 0, 9]
    assert shade(1.0, 1.0, 1.0) == shade(1.0, 0.0, math.inf) == 0
