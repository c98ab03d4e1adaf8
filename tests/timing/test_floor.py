import pytest

from xentjax.timing.floor import Floor, FloorRatio
from xentjax.timing.spread import Spread


def test_floor_is_work_over_rate_and_the_longer_of_the_two():
    assert Floor(bytes=6e9, bytes_per_second=2e9).seconds == 3.0
    assert Floor(flops=8, flops_per_second=2).seconds == 4.0
    both = Floor(bytes=6e9, bytes_per_second=2e9, flops=8e9, flops_per_second=2e9)
    assert both.seconds == 4.0


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({}, "neither bytes nor flops"),
        ({"bytes": 8}, "bytes_per_second is missing"),
        ({"flops_per_second": 8}, "neither bytes nor flops"),
        ({"bytes": 8, "bytes_per_second": 1, "flops_per_second": 8}, "flops is missing"),
        ({"bytes": 0, "bytes_per_second": 1}, "bytes must be positive and finite, got 0"),
        ({"flops": 1, "flops_per_second": -2.0}, "flops_per_second must be positive"),
        ({"flops": float("inf"), "flops_per_second": 1}, "flops must be positive and finite"),
    ],
)
def test_a_floor_that_says_nothing_is_refused(figures, message):
    with pytest.raises(ValueError, match=message):
        Floor(**figures)


def test_ratio_to_a_computed_floor():
    ratio = FloorRatio.computed([4.0, 6.0, 8.0], Floor(bytes=2, bytes_per_second=1))
    assert ratio == FloorRatio("floor", 2.0, Spread(median=3.0, iqr=1.0, count=3), bound="memory")


def test_ratio_to_a_bare_operation_is_paired_by_round():
    ratio = FloorRatio.measured([2.0, 20.0, 4.0], "copy", [1.0, 10.0, 2.0])
    assert ratio == FloorRatio("copy", 2.0, Spread(median=2.0, iqr=0.0, count=3))
