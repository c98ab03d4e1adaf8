"""The weighted mean of anything measured per example: a loss, a hit, a count of bytes."""

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Num, Shaped

from xentjax.losses.reduction import example_mask
from xentjax.metrics import tally
from xentjax.metrics.examples import number_array, read_weights
from xentjax.metrics.tally import Tally


class MeanState(NamedTuple):
    """Σ mᵢ wᵢ xᵢ and Σ mᵢ wᵢ."""

    total: Tally
    weight: Tally


@dataclass(frozen=True)
class Mean:
    """Σ mᵢ wᵢ xᵢ / Σ mᵢ wᵢ over everything seen; NaN when nothing was counted.

    Example:
      >>> import jax.numpy as jnp
      >>> mean = Mean()
      >>> state = mean.update(mean.init(), jnp.array([1.0, 5.0]), weights=jnp.array([3.0, 1.0]))
      >>> print(mean.compute(state))  # (3 + 5) / 4
      2.0
    """

    def init(self) -> MeanState:
        """Nothing seen."""
        return MeanState(tally.zeros(), tally.zeros())

    def update(
        self,
        state: MeanState,
        values: Num[ArrayLike, "..."] | Bool[ArrayLike, "..."],
        *,
        where: Shaped[ArrayLike, "..."] | None = None,
        weights: Num[ArrayLike, "..."] | None = None,
    ) -> MeanState:
        """Adds values (or booleans: hits) of any shape; `where` and `weights` broadcast to it.

        Weights are non-negative: ValueError, or a result of NaN under jit, where one is not.
        """
        values = number_array(values)
        keep = example_mask(where, values.shape)
        scale = read_weights(weights, keep, values.shape)
        counted = jnp.ones(values.shape, bool)
        return MeanState(
            tally.add_sum(state.total, values, where=keep, weights=scale),
            tally.add_sum(state.weight, counted, where=keep, weights=scale),
        )

    def compute(self, state: MeanState) -> Float[Array, ""]:
        """The mean."""
        return tally.value(state.total) / tally.value(state.weight)


def add_hits(
    state: MeanState, hits: Array, good: Array, keep: Array | None, weights: Array | None
) -> MeanState:
    """A fraction's state with booleans added, counted as integers; NaN unless all are good."""
    state = Mean().update(state, hits, where=keep, weights=weights)
    return state._replace(total=tally.nan_unless(state.total, jnp.all(good)))
