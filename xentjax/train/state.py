"""The training state: one frozen pytree with everything an optimizer step reads and changes.

Use it whenever a model is trained by a pure function: the model is split once into arrays and
structure, the arrays travel through `jax.jit` and `jax.lax.scan`, and `to_model` puts the model
together again to look at, to save or to sample from.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from xentjax.optim import evaluation_params
from xentjax.train.architecture import Architecture, split_model


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "params", "opt_state", "rest", "key"],
    meta_fields=["architecture"],
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything one optimizer step changes, and the model's structure as static data.

    A step donates the state it is given: its buffers are gone afterwards, so keep the state that
    comes back, or `copy()` first.

    Attributes:
        step: batches seen, int32 scalar; a step that was skipped counts.
        params: what the gradient is taken by: the `nnx.Param` values, Linen's "params".
        opt_state: the optax state.
        rest: all other model state: dropout's keys and counters, batch statistics.
        key: the typed JAX key from which every step derives its own.
        architecture: the model's structure, static and hashable, equal for equal configurations.

    Example:
        >>> import jax, optax
        >>> from flax import nnx
        >>> state = TrainState.create(
        ...     nnx.Linear(2, 3, rngs=nnx.Rngs(0)), optax.sgd(0.1), key=jax.random.key(0)
        ... )
        >>> int(state.step), state.parameter_count
        (0, 9)
    """

    step: Any
    params: Any
    opt_state: Any
    rest: Any
    key: Any
    architecture: Architecture

    @classmethod
    def create(
        cls, model: Any, optimizer: optax.GradientTransformation, *, key: jax.Array
    ) -> "TrainState":
        """Split a model into a state at step 0; the model itself keeps its own arrays.

        Args:
            model: a flax.nnx model, of which every `nnx.Param` is trained, or what `from_linen` or
                `from_apply` returned.
            optimizer: an optax optimizer, asked for its initial state.
            key: a JAX key for what is random in a step besides an nnx model's own dropout.

        Raises:
            TypeError: if the model is of another kind.
            ValueError: if there is nothing in it to train.
        """
        architecture, params, rest = split_model(model)
        state = cls(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=optimizer.init(params),
            rest=rest,
            key=key,
            architecture=architecture,
        )
        return state.copy()

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    def evaluated(self) -> "TrainState":
        """The state with the parameters its optimizer wants evaluated.

        Those of schedule-free optimizers and of averages (`optim.ema`, `optim.swa`) differ from
        the parameters being trained; for all others nothing changes.
        """
        return dataclasses.replace(self, params=evaluation_params(self.opt_state, self.params))

    def copy(self) -> "TrainState":
        """The same state in buffers of its own, which outlive a donation of this one."""
        return jax.tree.map(jnp.copy, self)

    def to_model(self) -> Any:
        """The model to evaluate, with this state's numbers: no dropout, averages if there are any.

        Returns:
            An nnx module in evaluation mode, or a callable for a model of another kind.
        """
        params, rest = jax.tree.map(jnp.copy, (self.evaluated().params, self.rest))
        return self.architecture.merge(params, rest, training=False, key=self.key)
