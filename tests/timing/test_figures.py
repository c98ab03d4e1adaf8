import pytest

from xentjax.timing.figures import bytes_text, ratio_text, seconds_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.0, "0.00 ns"),
        (2.5e-8, "25.0 ns"),
        (1e-6, "1.00 µs"),
        (0.099961, "100 ms"),
        (0.0123456, "12.3 ms"),
        (1.5, "1.50 s"),
        (250.0, "250 s"),
    ],
)
def test_seconds_keep_three_digits_and_name_their_unit(seconds, text):
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (134_217_728, "134 MB")],
)
def test_bytes_are_decimal(count, text):
    assert bytes_text(count) == text


def test_an_unknown_ratio_is_a_dash():
    assert ratio_text(None) == "–"
