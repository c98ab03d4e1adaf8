"""Cases of the segmentation losses."""

from functools import partial

import jax
import numpy as np
import optax

from bench.cases.case import LossCase, normal
from xentjax.losses.segmentation import dice_loss, tversky_loss

_SIZE = (32, 8)
# One loss for the pixels and classes of an image.
_IMAGES = {"event_dims": 3}


def _side(n: int) -> int:
    """A bench of many images takes real ones; the few of the contract are as small as can be."""
    return 2 if n < 16 else 64


def _labelled_images(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    shape = (n, _side(n), _side(n))
    return normal(rng, *shape, classes), rng.integers(classes, size=shape, dtype=np.int32)


def _soft_images(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    shape = (n, _side(n), _side(n))
    masses = rng.dirichlet(np.ones(classes), shape).astype(np.float32)
    return normal(rng, *shape, classes), masses


def _regions(rng: np.random.Generator, n: int, classes: int) -> tuple[np.ndarray, ...]:
    """One channel, whatever the number of classes."""
    del classes
    shape = (n, _side(n), _side(n), 1)
    return normal(rng, *shape), rng.integers(0, 2, shape).astype(np.float32)


def _optax_dice(logits: jax.Array, labels: jax.Array) -> jax.Array:
    one_hot = jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return optax.losses.dice_loss(logits, one_hot)


CASES: dict[str, LossCase] = {
    "Dice, integer labels": LossCase(
        dice_loss, _labelled_images, _IMAGES, optax=_optax_dice, size=_SIZE
    ),
    "Dice, one region": LossCase(
        dice_loss, _regions, _IMAGES, optax=optax.losses.dice_loss, size=_SIZE
    ),
    "Tversky, soft labels": LossCase(
        tversky_loss,
        _soft_images,
        _IMAGES,
        optax=partial(optax.losses.dice_loss, alpha=0.3, beta=0.7),
        size=_SIZE,
    ),
}
