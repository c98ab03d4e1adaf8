"""Groups made from pixels are thirds within each class, and see what they are named for."""

import numpy as np
import pytest

from xentjax.audit.grouping import slant_groups, stroke_groups, tercile_groups


def test_thirds_are_within_classes_and_even():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 300)
    # The classes lie far apart, so thirds of the whole would be classes.
    groups = tercile_groups(100.0 * labels + rng.random(300), labels)
    for label in range(4):
        _, counts = np.unique(groups[labels == label], return_counts=True)
        assert len(counts) == 3
        assert np.ptp(counts) <= 1


def test_equal_scores_share_a_group_whatever_their_order():
    scores = np.array([1.0, 1.0, 1.0, 1.0, 5.0])
    groups = tercile_groups(scores, np.zeros(5, int))
    assert len(set(groups[:4])) == 1
    assert groups[4] == "high"
    assert set(tercile_groups(np.ones(7), np.zeros(7, int))) == {"middle"}


def test_digits_with_more_ink_are_thick():
    from xentjax.data import load_digits

    table = load_digits()
    groups = stroke_groups(table.features, table.labels)
    ink = table.features.sum(axis=1)
    for label in range(10):
        rows = table.labels == label
        thin, thick = (ink[rows & (groups == f"{name} strokes")] for name in ("thin", "thick"))
        assert thin.max() < thick.min()


def test_a_sheared_bar_leans_as_it_was_sheared():
    bar = np.zeros((7, 7))
    bar[:, 3] = 1
    forward = np.stack([np.roll(bar[y], (3 - y) // 2) for y in range(7)])
    images = np.stack([bar, forward, forward[:, ::-1]]).reshape(3, -1)
    groups = slant_groups(images, np.zeros(3, int), image_shape=(7, 7))
    assert groups.tolist() == ["upright", "slants forward", "slants back"]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="scores must be finite"):
        tercile_groups(np.array([np.nan, 1.0]), np.zeros(2, int))
