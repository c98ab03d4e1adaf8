import pytest

from xentjax.timing.figures import bytes_text, ratio_text, seconds_text
from xentjax.timing.spread import Spread


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


def test_a_ratio_comes_with_the_error_of_its_median():
    # √(π/2) / 1.349 = 0.929 of the IQR, over √9.
    assert ratio_text(Spread(median=1.5, iqr=0.9, count=9)) == "1.50 ± 0.28"
    assert ratio_text(None) == "–"
