"""How far two right computations of the same number may lie apart.

Every tolerance of the contract follows from a dtype here; none is tuned to a loss.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def rounding(dtype: Any, terms: int, scale: float, wanted: Any) -> float:
    """The bound 4·eps·√terms·(1 + scale)·max(1, max |wanted|).

    Two orders of summing `terms` numbers differ by some eps·√terms. Rounding a logit of size
    `scale` moves its exponential by the relative amount eps·scale.

    Args:
      dtype: the dtype computed in.
      terms: how many numbers enter one result.
      scale: the largest finite |logit|.
      wanted: an array or a tree of arrays, the right answer.

    Returns:
      An absolute tolerance.
    """
    eps = float(jnp.finfo(dtype).eps)
    return 4 * eps * terms**0.5 * (1 + scale) * max(1.0, largest(wanted))


def largest(tree: Any) -> float:
    """The largest finite magnitude in a tree of arrays, 0 when there is none."""
    values = [np.abs(np.asarray(x).astype(np.float64)).ravel() for x in jax.tree.leaves(tree)]
    return max((float(np.max(v[np.isfinite(v)], initial=0.0)) for v in values), default=0.0)
