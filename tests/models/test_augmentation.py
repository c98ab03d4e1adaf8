"""A shifted image is the image moved, by every distance allowed and by no other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from xentjax.models.augmentation import random_shift


def moved(image, down, right):
    """The image at an offset, by slices of numpy: an oracle without padding."""
    out = np.zeros_like(image)
    height, width = image.shape[:2]
    for i in range(height):
        for j in range(width):
            if 0 <= i + down < height and 0 <= j + right < width:
                out[i, j] = image[i + down, j + right]
    return out


def test_every_image_moves_by_itself_and_all_moves_occur_equally_often():
    image = np.arange(1.0, 13.0, dtype=np.float32).reshape(3, 4, 1)
    count = 900
    got = np.asarray(random_shift(jnp.tile(image, (count, 1, 1, 1)), jax.random.key(0)))
    distances = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    seen = [int(np.sum(np.all(got == moved(image, *d), axis=(1, 2, 3)))) for d in distances]
    assert sum(seen) == count  # nothing but moves
    # 900 draws of 9 moves: 100 each, standard deviation 9.4; five of them.
    assert all(abs(number - 100) < 47 for number in seen)


def test_the_key_decides():
    images = jax.random.normal(jax.random.key(1), (8, 5, 5, 2))
    first = random_shift(images, jax.random.key(0), pixels=2)
    np.testing.assert_array_equal(first, random_shift(images, jax.random.key(0), pixels=2))
    assert not np.array_equal(first, random_shift(images, jax.random.key(2), pixels=2))
    np.testing.assert_array_equal(images, random_shift(images, jax.random.key(0), pixels=0))


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match=r"pixels must be .* 3 and 4, got 3"):
        random_shift(jnp.ones((1, 3, 4, 1)), jax.random.key(0), pixels=3)
