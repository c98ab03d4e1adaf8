"""The training state: one frozen pytree with everything an optimizer step reads and changes.

Use it whenever a flax.nnx model is trained by a pure function: the model is split once into arrays
and structure, the arrays travel through `jax.jit` and `jax.lax.scan`, and `to_model` puts the model
together again to look at, to save or to sample from.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["step", "params", "opt_state", "rest", "key"],
    meta_fields=["graphdef"],
)
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything one optimizer step changes, and the model's structure as static data.

    A step donates the state it is given: its buffers are gone afterwards, so keep the state that
    comes back, or `copy()` first.

    Attributes:
        step: optimizer steps taken, int32 scalar.
        params: the model's `nnx.Param` values, which the gradient is taken by.
        opt_state: the optax state.
        rest: all other model state: dropout's keys and counters, batch statistics.
        key: the typed JAX key from which every step derives its own.
        graphdef: the model's structure, static and hashable, equal for equal configurations.

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
    graphdef: Any

    @classmethod
    def create(
        cls, model: nnx.Module, optimizer: optax.GradientTransformation, *, key: jax.Array
    ) -> "TrainState":
        """Split a model into a state at step 0; the model itself keeps its own arrays.

        Args:
            model: a flax.nnx model; every `nnx.Param` in it is trained.
            optimizer: an optax optimizer, asked for its initial state.
            key: a JAX key for what is random in a step besides the model's own dropout.
        """
        graphdef, params, rest = nnx.split(model, nnx.Param, ...)
        if not jax.tree.leaves(params):
            raise ValueError(
                f"model: got a {type(model).__name__} without any nnx.Param, so there is nothing "
                "to train; wrap its trainable arrays in nnx.Param"
            )
        state = cls(
            step=jnp.zeros((), jnp.int32),
            params=params,
            opt_state=optimizer.init(params),  # pyright: ignore[reportArgumentType]
            rest=rest,
            key=key,
            graphdef=graphdef,
        )
        return state.copy()

    @property
    def parameter_count(self) -> int:
        """How many numbers are trained."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.params))

    def copy(self) -> "TrainState":
        """The same state in buffers of its own, which outlive a donation of this one."""
        return jax.tree.map(jnp.copy, self)

    def to_model(self) -> Any:
        """The model with this state's arrays, in evaluation mode (no dropout)."""
        model = nnx.merge(self.graphdef, *jax.tree.map(jnp.copy, (self.params, self.rest)))
        model.eval()
        return model
