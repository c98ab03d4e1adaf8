"""A quick audit has wider intervals, and still enough of everything to be called good."""

import pytest

from xentjax.audit.dangers import CLASSIFIER_DANGERS, LANGUAGE_DANGERS
from xentjax.audit.fit_state import FitThresholds
from xentjax.audit.sections.attribution import _ROWS_FOR_A_VERDICT


@pytest.mark.parametrize(
    ("dangers", "key", "option", "least"),
    [
        (LANGUAGE_DANGERS, "overfitting", "most_passages", FitThresholds().rows),
        (LANGUAGE_DANGERS, "calibration", "most_passages", FitThresholds().rows),
        (CLASSIFIER_DANGERS, "attribution", "rows", _ROWS_FOR_A_VERDICT),
    ],
)
def test_quick_options_leave_enough_for_a_verdict(dangers, key, option, least):
    [danger] = [danger for danger in dangers if danger.key == key]
    assert danger.quick[option] >= least
