"""Architectures: the static half of a model, so that any kind of model is trained by one step.

A flax.nnx module, a Linen module with its variables and a plain function of parameters all become
the same three things: an `Architecture`, which is hashable and knows how to compute, the `params`
that are trained, and the `rest` that is not: batch statistics, dropout's keys and counters.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from flax import linen, nnx

# How Linen modules and plain functions commonly ask whether they are being trained.
_TRAINING = ("train", "training", "is_training")
_NOT_TRAINING = "deterministic"


@runtime_checkable
class Architecture(Protocol):
    """What a model computes, without its numbers; hashable, so that it can be static under jit."""

    def merge(self, params: Any, rest: Any, *, training: bool, key: Any) -> Any:
        """Returns the callable model with these numbers in it."""
        ...

    def rest_of(self, model: Any) -> Any:
        """Returns what a merged model has made of its `rest`, in the same structure."""
        ...


class SplitModel(NamedTuple):
    """A model taken apart; `TrainState.create` and `fit` take it where they take a model."""

    architecture: Architecture
    params: Any
    rest: Any


def split_model(model: Any) -> SplitModel:
    """Takes a model apart.

    Args:
        model: a flax.nnx module, or what `from_linen` or `from_apply` returned.

    Raises:
        TypeError: for anything else.
        ValueError: if there is nothing in it to train.
    """
    if isinstance(model, SplitModel):
        return model
    if isinstance(model, linen.Module):
        raise TypeError(
            f"model: got the Linen module {type(model).__name__} without its variables; give "
            "from_linen(module, module.init(key, inputs))"
        )
    if not isinstance(model, nnx.Module):
        raise TypeError(
            f"model: got a {type(model).__name__}, wanted a flax.nnx module, from_linen(module, "
            "variables) or from_apply(function, params)"
        )
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    if not jax.tree.leaves(params):
        raise ValueError(
            f"model: got a {type(model).__name__} without any nnx.Param, so there is nothing "
            "to train; wrap its trainable arrays in nnx.Param"
        )
    return SplitModel(_NNX(graphdef), params, rest)


def from_linen(
    module: linen.Module,
    variables: Mapping[str, Any],
    *,
    rng_names: Sequence[str] = ("dropout",),
) -> SplitModel:
    """A Linen module and its variables as a model to train.

    The collection "params" is trained; all others, such as "batch_stats", are carried along. The
    module's `__call__` is told that it is being trained by whichever argument it has of train,
    training, is_training and deterministic, and gets a key for each random stream.

    Args:
        module: the module.
        variables: what `module.init(key, inputs)` returned.
        rng_names: the streams that the module draws from, by `make_rng(name)`.

    Raises:
        ValueError: if variables hold no "params".

    Example:
        >>> import jax.numpy as jnp
        >>> dense = linen.Dense(3)
        >>> model = from_linen(dense, dense.init(jax.random.key(0), jnp.ones((1, 2))))
        >>> [leaf.shape for leaf in jax.tree.leaves(model.params)]
        [(3,), (2, 3)]
    """
    if "params" not in variables:
        raise ValueError(
            f"variables must hold 'params', got {sorted(variables)}; give all that "
            "module.init(key, inputs) returns"
        )
    rest = {name: value for name, value in variables.items() if name != "params"}
    arguments = inspect.signature(type(module).__call__).parameters
    return SplitModel(
        _Linen(module, _mode_argument(arguments), tuple(rng_names)), variables["params"], rest
    )


def from_apply(apply: Callable[..., Any], params: Any) -> SplitModel:
    """A plain function of parameters as a model to train.

    Args:
        apply: `apply(params, inputs) → outputs`, pure. If it has an argument `key` it gets a JAX
            key that differs at each step, and `training` (or train, is_training, deterministic)
            says whether it is being trained. The same function object compiles once.
        params: its parameters, a pytree of arrays.

    Raises:
        ValueError: if params hold no array.

    Example:
        >>> import jax.numpy as jnp
        >>> model = from_apply(lambda w, x: x @ w, jnp.ones((2, 3)))
        >>> model.architecture.merge(model.params, (), training=False, key=None)(jnp.ones(2)).shape
        (3,)
    """
    if not jax.tree.leaves(params):
        raise ValueError("params must hold at least one array to train, got none")
    arguments = inspect.signature(apply).parameters
    return SplitModel(_Plain(apply, _mode_argument(arguments), "key" in arguments), params, ())


@dataclasses.dataclass(frozen=True)
class _NNX:
    graphdef: Any

    def merge(self, params: Any, rest: Any, *, training: bool, key: Any) -> nnx.Module:
        del key  # dropout's keys and counters are in rest
        # copy: the model's counters change inside a trace, and may only do so on objects that
        # were made inside it.
        model = nnx.merge(self.graphdef, params, rest, copy=True)
        if training:
            model.train()
        else:
            model.eval()
        return model

    def rest_of(self, model: nnx.Module) -> Any:
        return nnx.split(model, nnx.Param, ...)[2]


@dataclasses.dataclass(frozen=True)
class _Linen:
    module: linen.Module
    mode_argument: str | None
    rng_names: tuple[str, ...]

    def merge(self, params: Any, rest: Any, *, training: bool, key: Any) -> "_BoundLinen":
        return _BoundLinen(self, params, rest, training, key)

    def rest_of(self, model: "_BoundLinen") -> Any:
        return model.rest


class _BoundLinen:
    """A Linen module with its variables, called like a function; keeps what the call changed."""

    def __init__(
        self, architecture: _Linen, params: Any, rest: Any, training: bool, key: Any
    ) -> None:
        self.rest = rest
        self._architecture, self._params = architecture, params
        self._training, self._key = training, key

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        module = self._architecture.module
        variables = {"params": self._params, **self.rest}
        options = {**_mode(self._architecture.mode_argument, self._training), **options}
        rngs: Any = {} if self._key is None else self._keys(self._key)
        if not (self._training and self.rest):
            return module.apply(variables, *inputs, rngs=rngs, **options)
        outputs, changed = module.apply(
            variables, *inputs, rngs=rngs, mutable=list(self.rest), **options
        )
        self.rest = {**self.rest, **changed}
        return outputs

    def _keys(self, key: Any) -> dict[str, Any]:
        names = self._architecture.rng_names
        # The first stream takes the key itself; no other may draw the same numbers.
        return {
            name: jax.random.fold_in(key, place) if place else key
            for place, name in enumerate(names)
        }


@dataclasses.dataclass(frozen=True)
class _Plain:
    apply: Callable[..., Any]
    mode_argument: str | None
    takes_key: bool

    def merge(self, params: Any, rest: Any, *, training: bool, key: Any) -> Callable[..., Any]:
        del rest
        fixed = _mode(self.mode_argument, training) | ({"key": key} if self.takes_key else {})
        return lambda *inputs, **options: self.apply(params, *inputs, **{**fixed, **options})

    def rest_of(self, model: Any) -> tuple[()]:
        del model
        return ()


def _mode_argument(arguments: Mapping[str, Any]) -> str | None:
    return next((name for name in (*_TRAINING, _NOT_TRAINING) if name in arguments), None)


def _mode(argument: str | None, training: bool) -> dict[str, bool]:
    if argument is None:
        return {}
    return {argument: training != (argument == _NOT_TRAINING)}
