"""The ball of an attack: which changes have size ε, and which of them gains most along a slope."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from xentjax.audit.attack_box import AttackBox, clipped


class Ball(NamedTuple):
    """A norm's changes, in units of ε."""

    draw: Callable[[Array, tuple[int, ...]], Array]  # a random one
    steepest: Callable[[Array], Array]  # the one along slopes that gains most
    nearest: Callable[[Array, AttackBox], Array]  # the nearest point within ε and the range


def _draw_in_cube(key, shape):
    return jax.random.uniform(key, shape, minval=-1, maxval=1)


def _draw_on_sphere(key, shape):
    return _of_length_one(jax.random.normal(key, shape))


def _of_length_one(x):
    return x / jnp.maximum(_lengths(x), 1e-30)


def _nearest_in_sphere(moved, box):
    away = moved - box.rows
    shrunk = box.rows + away * jnp.minimum(1, box.epsilon / jnp.maximum(_lengths(away), 1e-30))
    # Clipping only shortens what is away, for the row itself lies inside.
    return jnp.clip(shrunk, box.low, box.high)


def _lengths(x):
    return jnp.sqrt((x**2).sum(axis=tuple(range(1, x.ndim)), keepdims=True))


CUBE = Ball(_draw_in_cube, jnp.sign, clipped)
SPHERE = Ball(_draw_on_sphere, _of_length_one, _nearest_in_sphere)
