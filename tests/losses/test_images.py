"""What a segmentation loss is told of its images: axes that cannot be right are refused."""

import jax.numpy as jnp
import pytest

from xentjax import dice_loss


def test_masses_over_another_axis_than_the_classes_are_refused():
    sure, mask = jnp.full((2, 1, 4, 4), 20.0), jnp.ones((2, 1, 4, 4))
    with pytest.raises(ValueError, match=r"sum to at most 1 over its classes, got 4\.0 .*axis="):
        dice_loss(sure, mask)
    assert dice_loss(sure, mask, axis=1, reduction="mean") < 1e-8
    half = jnp.full((2, 4, 4, 2), 0.5)
    assert dice_loss(jnp.zeros((2, 4, 4, 2)), half).shape == (2,)
