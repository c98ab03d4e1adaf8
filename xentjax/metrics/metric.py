"""What a metric is: four pure functions around a state made of tallies.

    state = metric.init()
    state = metric.update(state, predictions, labels, where=where, weights=weights)  # jit, scan
    state = merge(state, other)  # another part of the data, another device, another host
    metric.compute(state)

Arrays that a mesh shares: on Auto axes an update under jit is the update of the whole; inside
`shard_map` each device updates its own state, and `merge_devices` makes them one. (JAX refuses the
scatters and sorts of some metrics on Explicit axes.)

States are sums, never means, so any split of the data gives the same result. A state is a pytree
whose leaves are `Tally`s, which is all `merge` needs to know.
"""

from typing import Any, Protocol, TypeVar

import jax
import jax.numpy as jnp

from xentjax.metrics import tally
from xentjax.metrics.tally import Tally

State = TypeVar("State")


class Metric(Protocol[State]):
    """A metric: a frozen dataclass of options with these methods, all of them pure."""

    def init(self) -> State:
        """The state of no data at all."""
        ...

    def update(self, state: State, /, *batch: Any, where: Any = None, weights: Any = None) -> State:
        """The state with one batch added."""
        ...

    def compute(self, state: State, /) -> Any:
        """The metric of all data in the state."""
        ...


def merge(a: State, b: State) -> State:
    """The state of two parts of the data together; the parts may differ in size and weight.

    Args:
      a: a state of some metric.
      b: a state of the same metric.

    Returns:
      The state that one pass over both parts gives.

    Raises:
      ValueError: the states differ in structure or shape. What they do not hold (the name of the
        metric, the range of a histogram) cannot be compared.

    Example:
      >>> import jax.numpy as jnp
      >>> from xentjax.metrics import Mean, merge
      >>> mean = Mean()
      >>> one = mean.update(mean.init(), jnp.array([1.0, 2.0, 6.0]))
      >>> two = mean.update(mean.init(), jnp.array([11.0]))
      >>> print(mean.compute(merge(one, two)))  # 20 / 4, where a mean of means is 7
      5.0
    """
    forms = [jax.tree.map(lambda x: jnp.shape(x), state) for state in (a, b)]
    if type(a) is not type(b) or forms[0] != forms[1]:
        told = " and ".join(
            f"{type(s).__name__} of {f}" for s, f in zip((a, b), forms, strict=True)
        )
        raise ValueError(f"states of one metric, with the same options, can be merged; got {told}")
    return jax.tree.map(tally.merge, a, b, is_leaf=_is_tally)


def merge_devices(state: State, axis_name: str) -> State:
    """Inside `shard_map`: the state of all devices along a mesh axis, the same on each of them.

    Args:
      state: what this device has seen.
      axis_name: the mesh axis the data is split over.

    Returns:
      The state of the whole.
    """

    def over(part: Tally) -> Tally:
        devices, own = jax.lax.axis_size(axis_name), jax.lax.axis_index(axis_name)
        # Gathered by a sum with zeros, so that shard_map knows that all devices hold the same.
        slots = [jnp.zeros((devices, *x.shape), x.dtype).at[own].set(x) for x in part]
        gathered = Tally(*jax.lax.psum(slots, axis_name))
        first, others = Tally(*(x[0] for x in gathered)), Tally(*(x[1:] for x in gathered))
        whole, _ = jax.lax.scan(lambda a, b: (tally.merge(a, b), None), first, others)
        return whole

    return jax.tree.map(over, state, is_leaf=_is_tally)


def _is_tally(x: Any) -> bool:
    return isinstance(x, Tally)
