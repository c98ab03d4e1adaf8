"""The private gradient: which rows a step draws, and a noisy mean that hides each of them.

The two halves of what an accountant assumes of DP-SGD.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array


def private_aggregate(
    clip_norm: float, noise_multiplier: float, batch_size: int, largest_batch: int, key: Array
) -> optax.GradientTransformation:
    r"""From the gradients of single rows to a noisy mean that hides each of them.

        ĝ = (Σᵢ gᵢ · min(1, C/‖gᵢ‖) + N(0, σ²C² I)) / B

    `optax.contrib.differentially_private_aggregate`, divided by the expected number of rows
    instead of the padded one. A gradient that is not finite counts as 0, or it would be seen.

    Args:
        clip_norm: C.
        noise_multiplier: σ.
        batch_size: B, the expected number of rows.
        largest_batch: gradients on the leading axis of every array; 0 for a row that is not there.
        key: of the noise.

    Returns:
        An optax transformation, to stand first in a chain.

    Example:
        >>> rule = private_aggregate(1.0, 0.0, 2, 3, jax.random.key(0))  # without noise
        >>> rows = jnp.array([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
        >>> mean, _ = rule.update(rows, rule.init(rows[0]))
        >>> print(*(f"{x:.2f}" for x in mean))  # ((0.6, 0.8) + (0.3, 0.4)) / 2, clipped from 5
        0.45 0.60

    Reference:
        M. Abadi et al., Deep Learning with Differential Privacy, 2016.
    """
    aggregate = optax.contrib.differentially_private_aggregate(clip_norm, noise_multiplier, key)

    def update(updates, state, params=None):
        finite = [
            jnp.isfinite(leaf).reshape(largest_batch, -1).all(axis=1)
            for leaf in jax.tree.leaves(updates)
        ]
        keep = jnp.stack(finite).all(axis=0)
        noisy, state = aggregate.update(kept_rows(updates, keep), state, params)
        return jax.tree.map(lambda leaf: leaf * (largest_batch / batch_size), noisy), state

    return optax.GradientTransformation(aggregate.init, update)


def poisson_batch(
    key: Array, rows: int, probability: float, largest_batch: int
) -> tuple[Array, Array, Array]:
    """Draws each row independently, and cuts a draw that is too large to a random part of it.

    Args:
        key: of the draw.
        rows: N.
        probability: q, of each row.
        largest_batch: how many rows there is room for, at most N.

    Returns:
        Row numbers [largest_batch], which of them were drawn, and how many were in all.

    Example:
        >>> numbers, drawn, count = poisson_batch(jax.random.key(0), 5, 1.0, 5)
        >>> sorted(numbers.tolist()), bool(drawn.all()), int(count)  # probability 1
        ([0, 1, 2, 3, 4], True, 5)

    Reference:
        M. Abadi et al., Deep Learning with Differential Privacy, 2016.
    """
    lots = jax.random.uniform(key, (rows,))
    # The smallest lots first: those drawn, and of too many a random part, since lots below the
    # probability are again uniform.
    lowest, numbers = jax.lax.top_k(-lots, largest_batch)
    return numbers, -lowest < probability, jnp.sum(lots < probability)


def kept_rows(gradients: Any, keep: Array) -> Any:
    """The gradients of single rows, with 0 for those that are not kept."""
    return jax.tree.map(
        lambda leaf: jnp.where(keep.reshape(-1, *(1,) * (leaf.ndim - 1)), leaf, 0), gradients
    )
